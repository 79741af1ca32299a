"""What a scan does with each configuration of credentials, by both transports."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha1
from pathlib import Path

import pytest

from tests import warm
from tests.command import Ran, clean_environment
from tests.credentials.cases import BASE, BROKEN, BROKEN_PROFILES, ENVIRONMENT, RIGHT, SECRET, Case
from tests.credentials.sources import Sources, a_cloud
from tests.faults.cloud import CALLER_SECRET, MANAGEMENT
from tests.faults.sso import SESSION, IdentityCenter

TRANSPORTS = ("fast", "sdk")
SCAN = ("scan", "--format", "json", "--quiet", "--fail-on", "never")
HOUR = timedelta(hours=1)
MEMBERS = tuple(f"{int(MANAGEMENT) + number:012}" for number in range(1, 4))


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
        for name in (session, f"https://{session}.example/start"):
            (cache / f"{sha1(name.encode(), usedforsecurity=False).hexdigest()}.json").write_text(
                text
            )

    async def scan(self, environment: dict[str, str], transport: str, *options: str) -> Ran:
        output = self.folder / f"out-{transport}"
        scan = (*SCAN, "--transport", transport, "--output", str(output), *options)
        code, out, told = await asyncio.to_thread(
            warm.run, scan, environment=environment, folder=self.folder
        )
        return Ran(code, out, told, output)

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


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    cloud = a_cloud()
    async with Sources(cloud, IdentityCenter(cloud)).serving() as sources:
        yield Home(tmp_path, sources)


def outcomes(ran: Ran) -> dict[str, str]:
    return {each["id"]: each["outcome"] for each in ran.report["accounts"]}


@pytest.mark.parametrize("name", [*RIGHT, *BROKEN])
async def test_a_configuration_is_used_or_its_one_mistake_is_named(name: str, home: Home) -> None:
    case = RIGHT.get(name) or BROKEN[name]
    environment = home.set_up(case)
    options = (*case.options, *(() if case.profile is None else ("--profile", "prof")))
    scans = (home.scan(environment, each, *options) for each in TRANSPORTS)

    for ran in await asyncio.gather(*scans):
        assert "Traceback" not in ran.stderr
        assert "internal error" not in ran.stderr
        assert not any(each in ran.stdout + ran.stderr for each in (SECRET, CALLER_SECRET))
        if name in RIGHT:
            assert (ran.code, ran.stderr) == (0, "")
            assert outcomes(ran) == {MANAGEMENT: "audited"}
        else:
            assert ran.code == case.code, ran.stderr
            assert len(ran.stderr.splitlines()) == 1, ran.stderr
            assert all(named(each) in ran.stderr for each in case.says), ran.stderr
            assert ("check the network" in ran.stderr) == (name == "nobody who answers")


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_broken_profiles_cost_their_accounts_and_no_other(first: bool, home: Home) -> None:
    cases = {f"{5 * 10**11 + number:012}": each for number, each in enumerate(BROKEN_PROFILES)}
    texts = [home.add(BROKEN_PROFILES[name], suffix=id_) for id_, name in cases.items()]
    environment = home.set_up(
        Case(config="".join(map(str, texts)).replace(BASE, "") + BASE, variables=ENVIRONMENT)
    )
    broken = [f"- {{id: '{id_}', profile: prof{id_}}}\n" for id_ in cases]
    good = [f"- id: '{id_}'\n" for id_ in MEMBERS]
    lines = [*broken, *good] if first else [*good, *broken]
    (home.folder / "all.yaml").write_text("".join(lines))

    scans = (home.scan(environment, each, "--accounts", "@all.yaml") for each in TRANSPORTS)

    for ran in await asyncio.gather(*scans):
        assert ran.code == 3, ran.stderr
        found = {each["id"]: each for each in ran.report["accounts"]}
        assert {found[each]["outcome"] for each in MEMBERS} == {"audited"}
        for id_, name in cases.items():
            assert found[id_]["outcome"] == "unreachable", name
            [error] = found[id_]["errors"]
            says = [named(each, id_) for each in BROKEN_PROFILES[name].says]
            assert all(each in error["message"] for each in says), (name, error["message"])
        assert not any(each in json.dumps(ran.report) for each in (SECRET, CALLER_SECRET))
