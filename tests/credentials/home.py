"""A home folder with a configuration of credentials, and the tool run by whoever lives there."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any

from tests import warm
from tests.command import Ran, clean_environment
from tests.credentials.cases import SECRET, Case
from tests.credentials.sources import Sources
from tests.faults.sso import SESSION

SCAN = ("scan", "--format", "json", "--quiet", "--fail-on", "never")
HOUR = timedelta(hours=1)


@dataclass
class Home:
    """A folder that is somebody's home, and the sources of credentials that it leads to."""

    folder: Path
    sources: Sources

    def set_up(self, case: Case) -> dict[str, str]:
        """Write the files of a configuration; return the environment."""
        config = self.add(case, case.config)
        write(self.folder / ".aws/config", config)
        write(self.folder / ".aws/credentials", case.credentials)
        if case.spoilt is not None:
            operation, status, text = case.spoilt
            self.sources.spoilt[operation] = status, text
        given = {name: self._named(text) for name, text in case.variables.items()}
        quiet = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(self.folder)}
        return clean_environment() | self.sources.environment | quiet | given

    def add(self, case: Case, config: str | bytes | None = None, suffix: str = "") -> str | bytes:
        """Write what a case needs beside the two files; return its part of the config file."""
        for name, text in case.files.items():
            write(self.folder / f"here{suffix}" / name, self._named(text, suffix))
        if case.sign_in:
            self.sign_in(case.sign_in, f"corp{suffix}")
        if case.profile is None:
            return self._named(config or "", suffix) if isinstance(config, str) else config or ""
        return self._named(f"[profile PROF]\n{case.profile}{case.more}", suffix)

    def sign_in(self, how: str, session: str) -> None:
        """Leave a token in the CLI's cache, by the name of its session and by that of its URL."""
        centre, cache = self.sources.centre, self.folder / ".aws/sso/cache"
        lasts = -HOUR if how in {"expired", "refreshable"} else HOUR
        centre.sign_in(self.folder, lasts=lasts, refresh=how == "refreshable")
        centre.renews = how == "refreshable"
        written = cache / f"{sha1(SESSION.encode(), usedforsecurity=False).hexdigest()}.json"
        text = written.read_text()
        written.unlink()
        if how == "damaged":
            text = f'{{"accessToken": "{SECRET}"'
        elif how == "naive":
            text = text.replace('Z"', '"')
        elif how == "two lines":
            text = text.replace('"accessToken": "', '"accessToken": "x\\n')
        for name in (session, f"https://{session}.example/start"):
            (cache / f"{sha1(name.encode(), usedforsecurity=False).hexdigest()}.json").write_text(
                text
            )

    async def scan(self, environment: dict[str, str], transport: str, *options: str) -> Ran:
        """Scan into a folder of the transport's own."""
        output = self.folder / f"out-{transport}"
        ran = await self.run(
            environment, *SCAN, "--transport", transport, "--output", str(output), *options
        )
        return replace(ran, folder=output)

    async def run(self, environment: dict[str, str], *arguments: str) -> Ran:
        """Run a command of the tool, with nobody at a terminal."""
        code, out, told = await asyncio.to_thread(
            warm.run, arguments, environment=environment, folder=self.folder
        )
        return Ran(code, out, told, self.folder / "reports")

    @property
    def accounts(self) -> dict[str, dict[str, Any]]:
        """What the report of the newest scan says of each account."""
        report = json.loads((self.folder / "reports/latest/report.json").read_text())
        return {each["id"]: each for each in report["accounts"]}

    def _named(self, text: str, suffix: str = "") -> str:
        return (
            named(text, suffix)
            .replace("HOME", str(self.folder / f"here{suffix}"))
            .replace("URL", self.sources.url)
        )


def named(text: str, suffix: str = "") -> str:
    """Give the profiles and the SSO session of a case their names."""
    for short in ("PROF", "SRC", "CORP"):
        text = text.replace(short, f"{short.lower()}{suffix}")
    return text


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(content)
    if content.startswith(b"#!"):
        path.chmod(0o700)
