"""Credentials that are renewed while accounts are read: what is lost then, and what is not."""

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.command import IAMAUDIT, Ran
from tests.credentials.cases import ENVIRONMENT, RIGHT, ROLE, Case
from tests.credentials.home import HOUR, SCAN, Home
from tests.credentials.sources import CONTAINER_TOKEN, WEB_TOKEN
from tests.faults.cloud import MANAGEMENT

BRIEF = timedelta(minutes=5)
"""The SDK renews credentials that last no longer with every call."""
ORGANIZATION = ("--accounts", "org", "--concurrency", "2")
TOKEN_FILES = {
    "web identity": "web identity of the environment",
    "a container": "a container with a token file",
}
AS_ITS_OWNER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""As root may write anywhere, it is run without that."""


def token_of(name: str) -> str:
    return WEB_TOKEN if name == "web identity" else CONTAINER_TOKEN


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize("name", TOKEN_FILES)
async def test_a_token_file_that_goes_ends_the_run_and_a_new_one_goes_on(
    name: str, transport: str, home: Home
) -> None:
    home.sources.cloud.lifetime = home.sources.lifetime = BRIEF
    environment = home.set_up(RIGHT[TOKEN_FILES[name]])
    token = home.folder / "here/token"
    home.sources.before = lambda: token.unlink(missing_ok=True)
    options = (*ORGANIZATION, "--transport", transport)

    stopped = await home.run(environment, *SCAN, *options)
    first = list(home.accounts.values())
    home.sources.before = lambda: None
    token.write_text(token_of(name))
    resumed = await home.run(environment, *SCAN, *options, "--resume", "latest")

    assert stopped.code in {3, 4}, stopped.stderr
    assert "The caller's credentials ended during the run" in stopped.stderr
    assert f"the token file {token} can't be read: No such file" in stopped.stderr
    assert "--resume" in stopped.stderr
    assert "Traceback" not in stopped.stderr + resumed.stderr
    assert any(each["outcome"] != "audited" for each in first)
    assert resumed.code == 0, resumed.stderr
    assert {each["outcome"] for each in home.accounts.values()} == {"audited"}


@pytest.mark.parametrize("transport", ["fast", "sdk"])
async def test_a_token_file_of_one_account_that_goes_costs_that_account(
    transport: str, home: Home
) -> None:
    home.sources.cloud.lifetime = BRIEF
    profile = f"role_arn = {ROLE}\nweb_identity_token_file = HOME/token\n"
    environment = home.set_up(
        Case(profile=profile, files={"token": WEB_TOKEN}, variables=ENVIRONMENT)
    )
    member = f"{int(MANAGEMENT) + 1:012}"
    (home.folder / "all.yaml").write_text(
        f"- {{id: '{MANAGEMENT}', profile: prof}}\n- {{id: '{member}'}}\n"
    )
    home.sources.before = lambda: (home.folder / "here/token").unlink(missing_ok=True)

    ran = await home.run(environment, *SCAN, "--accounts", "@all.yaml", "--transport", transport)

    assert ran.code == 3, ran.stderr
    assert home.accounts[member]["outcome"] == "audited"
    assert home.accounts[MANAGEMENT]["outcome"] in {"partial", "unreachable"}
    assert "web_identity_token_file of profile prof" in json.dumps(home.accounts[MANAGEMENT])


@pytest.mark.parametrize("transport", ["fast", "sdk"])
async def test_an_sso_token_that_can_not_be_written_back_serves_the_whole_run(
    transport: str, home: Home
) -> None:
    home.sources.cloud.lifetime = BRIEF
    environment = home.set_up(RIGHT["SSO with a token to refresh"]) | {"AWS_PROFILE": "prof"}
    reports = home.folder / "data"
    reports.mkdir()
    with read_only(home.folder / ".aws"):
        before = contents(home.folder / ".aws")
        ran = await as_its_owner(
            home, environment, *SCAN, *ORGANIZATION, "--transport", transport, "--output", "data"
        )
        after = contents(home.folder / ".aws")

    assert ran.code == 0, ran.stderr
    assert ran.stderr == ""
    assert before == after
    assert home.sources.centre.asked["CreateToken"] == 1
    assert {each["outcome"] for each in ran.report["accounts"]} == {"audited"}


async def test_an_sso_token_that_can_be_written_back_is(home: Home) -> None:
    environment = home.set_up(RIGHT["SSO with a token to refresh"])

    first = await home.run(environment, *SCAN, "--profile", "prof")
    second = await home.run(environment, *SCAN, "--profile", "prof")

    assert (first.code, second.code) == (0, 0)
    assert home.sources.centre.asked["CreateToken"] == 1
    files = list((home.folder / ".aws/sso/cache").iterdir())
    assert all(each.suffix == ".json" and each.stat().st_mode & 0o077 == 0 for each in files[-1:])


@pytest.mark.parametrize("name", ["config", "credentials"])
async def test_a_file_that_can_not_be_read_is_named_and_not_done_without(
    name: str, home: Home
) -> None:
    environment = home.set_up(Case(variables=ENVIRONMENT))
    file = home.folder / ".aws" / name
    file.chmod(0)

    ran = await as_its_owner(home, environment, *SCAN)

    assert ran.code == 2, ran.stderr
    assert f"{file}: Permission denied" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


async def test_a_file_that_is_a_pipe_is_not_waited_for(home: Home) -> None:
    pipe = home.folder / "pipe"
    os.mkfifo(pipe)
    environment = home.set_up(
        Case(variables=ENVIRONMENT | {"AWS_SHARED_CREDENTIALS_FILE": str(pipe)})
    )

    ran = await home.run(environment, *SCAN)

    assert ran.code == 0, ran.stderr


class read_only:  # noqa: N801 -- used as a verb
    """Let nobody write to a folder and what is in it, while the context lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        for each in (*self._folder.rglob("*"), self._folder):
            each.chmod(0o500 if each.is_dir() else 0o400)

    def __exit__(self, *_: object) -> None:
        for each in (self._folder, *sorted(self._folder.rglob("*"))):
            each.chmod(0o700 if each.is_dir() else 0o600)


def contents(folder: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


async def as_its_owner(home: Home, environment: dict[str, str], *arguments: str) -> Ran:
    """Run the installed command as somebody whom the modes of files bind."""
    process = await asyncio.create_subprocess_exec(
        *(AS_ITS_OWNER if os.geteuid() == 0 else ()),
        str(IAMAUDIT),
        *arguments,
        env=environment,
        cwd=home.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(HOUR.total_seconds() / 60):
        out, told = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), told.decode(), home.folder / "data")
