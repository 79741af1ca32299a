"""Runs of a caller who signed in by IAM Identity Center, and whose token ends on the way."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.command import IAMAUDIT, clean_environment
from tests.faults.cloud import CHANGES, Asked, Cloud
from tests.faults.desk import Command, Desk
from tests.faults.server import FaultServer
from tests.faults.sso import CONFIG, PROFILE, IdentityCenter
from tests.faults.stops import what_was_found

NOW = datetime.now(UTC).replace(microsecond=0)
SCAN = (
    *("scan", "--accounts", "org", "--format", "json", "--now", NOW.isoformat(), "--quiet"),
    *("--profile", PROFILE, "--concurrency", "8", "--log-level", "debug"),
)
ACCOUNTS = 12
HOUR = timedelta(hours=1)


@dataclass
class SignedIn(Command):
    """The command with a profile that signs in by a centre, and nothing else to call with."""

    centre: IdentityCenter | None = None

    async def start(self, *arguments: str, file_limit: int | None = None) -> None:
        assert file_limit is None
        assert self.centre is not None
        (self.folder / ".aws").mkdir(exist_ok=True)
        (self.folder / ".aws/config").write_text(CONFIG)
        at = {
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_SSO": self.centre.url,
            "AWS_ENDPOINT_URL_SSO_OIDC": self.centre.url,
            "AWS_CA_BUNDLE": os.environ["AWS_CA_BUNDLE"],
        }
        self.process = await asyncio.create_subprocess_exec(
            str(IAMAUDIT),
            *arguments,
            env=clean_environment() | at,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@dataclass
class Estate:
    """An organization, who lets a caller in, and the command that scans it."""

    server: FaultServer
    centre: IdentityCenter
    command: SignedIn

    def at_request(self, number: int, ends: str) -> None:
        """Let the token end when so many requests of IAM have come."""
        came = 0

        def count(asked: Asked) -> None:
            nonlocal came
            came += asked.service == "iam"
            if came == number:
                self.end(ends)

        self.server.before = count

    def end(self, how: str) -> None:
        if how == "revoked":
            self.centre.token = "another"
            return
        past, token = timedelta(seconds=-1), self.centre.token
        self.centre.sign_in(self.command.folder, lasts=past, refresh="refresh" in how)
        self.centre.token = token if how == "refreshed" else ""


@pytest.fixture
async def estate(tmp_path: Path) -> AsyncIterator[Estate]:
    cloud = Cloud(5, accounts=ACCOUNTS, users=6, least=5, now=NOW)
    cloud.lifetime = timedelta(minutes=5)  # so the SDK asks for the role anew with every call
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(FaultServer(cloud, latency=0.002).serving())
        centre = await stack.enter_async_context(IdentityCenter(cloud).serving())
        command = SignedIn(tmp_path, server.url, centre=centre)
        centre.sign_in(tmp_path, lasts=HOUR, refresh=False)
        yield Estate(server, centre, command)


async def whole(estate: Estate, folder: Path) -> object:
    """What a scan finds that nothing ends."""
    ran = await Desk(folder, estate.server.url).scan(now=NOW)
    assert ran.report is not None
    return what_was_found(dict(ran.report))


@pytest.mark.parametrize(
    ("ends", "told_why"),
    [
        ("over", "TokenRetrievalError: "),
        ("over, and its refresh token refused", "TokenRetrievalError: "),
        ("revoked", "UnauthorizedSSOTokenError: "),
    ],
)
async def test_a_token_that_ends_stops_the_scan_and_a_new_sign_in_goes_on(
    ends: str, told_why: str, estate: Estate, tmp_path: Path
) -> None:
    estate.at_request(60, ends)
    code, _, told = await estate.command.run(*SCAN)
    stopped, asked = estate.command.report(), estate.centre.asked.copy()
    code_early, _, told_early = await estate.command.run(*SCAN, "--resume", "latest")

    estate.server.before = lambda _: None
    estate.centre.sign_in(tmp_path, lasts=HOUR, refresh=False)
    code_then, _, told_then = await estate.command.run(*SCAN, "--resume", "latest")

    assert code == 3, told
    assert f"The caller's credentials ended during the run: {told_why}" in told
    go_on = f"then the same command with --resume {stopped['run']['id']}"
    assert f"sign in (aws sso login, or renew them), {go_on}" in told
    assert "Traceback" not in told
    assert not any(secret in told for secret in ("token-", "sASIA", "tASIA", 'refresh"'))
    assert 0 < stopped["coverage"]["accounts"]["audited"] < ACCOUNTS
    assert asked["CreateToken"] > 0 if "refresh" in ends else asked["CreateToken"] == 0
    assert code_early == 2
    assert told_early.splitlines()[-1].startswith(
        "iamaudit: the SSO sign-in of profile audit has ended;"
    )
    assert code_then == 1, told_then
    assert what_was_found(estate.command.report()) == await whole(estate, tmp_path / "whole")


async def test_a_token_that_can_be_refreshed_is_and_the_scan_goes_on(
    estate: Estate, tmp_path: Path
) -> None:
    estate.at_request(60, "refreshed")
    estate.centre.renews = True
    code, _, told = await estate.command.run(*SCAN)

    assert code == 1, told
    assert estate.centre.asked["CreateToken"] >= 1
    assert what_was_found(estate.command.report()) == await whole(estate, tmp_path / "whole")


async def test_an_apply_whose_token_ends_says_so_and_its_resume_does_the_rest(
    estate: Estate, tmp_path: Path
) -> None:
    command, cloud = estate.command, estate.server.cloud
    scan = ("scan", "--accounts", "org", "--profile", PROFILE, "--remediate", "dry-run")
    scanned, _, told = await command.run(*scan, "--quiet")
    assert scanned == 1, told
    plan = json.loads((tmp_path / "reports/latest/plan.json").read_text())
    assert len({each["account_id"] for each in plan["actions"]}) > 10  # as many at once
    entered = 0

    def count(asked: Asked) -> None:
        nonlocal entered
        entered += asked.operation == "AssumeRole"
        if entered == 3:
            estate.server.before = lambda _: None
            estate.end("over")

    estate.server.before = count
    apply = ("apply", "reports/latest/plan.json", "--yes", "--max-actions", "200")
    code, said, told = await command.run(*apply, "--profile", PROFILE)
    changed = [each for each in cloud.calls if each.operation in CHANGES]
    estate.centre.sign_in(tmp_path, lasts=HOUR, refresh=False)
    code_then, _, told_then = await command.run(*apply, "--profile", PROFILE, "--resume")

    assert code == 4, told
    assert "the SSO sign-in of profile audit has ended" in said
    assert "Traceback" not in told
    assert 0 < len(changed) < len(plan["actions"])
    assert code_then == 0, told_then
    made = [each.form["AccessKeyId"] for each in cloud.calls if each.operation in CHANGES]
    assert sorted(made) == sorted(each["access_key_id"] for each in plan["actions"])
