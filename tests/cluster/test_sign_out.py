"""The credentials that the workers call with come to their end: a clear stop, to be resumed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.cloud import Asked, Cloud
from tests.faults.desk import Command, Desk, caller_in
from tests.faults.kinds import Fault
from tests.faults.server import FaultServer, Rule
from tests.faults.stops import what_was_found

NOW = datetime.now(UTC).replace(microsecond=0)
SCAN = ("scan", "--accounts", "org", "--format", "json", "--now", NOW.isoformat(), "--quiet")
ACCOUNTS = 30


@dataclass(frozen=True)
class Estate:
    """An organization, the command that scans it, and what a whole scan of it finds."""

    server: FaultServer
    command: Command
    whole: dict[str, Any]

    async def resumed(self, *workers: str) -> dict[str, Any]:
        """Sign in again and go on; return what was found."""
        self.server.rules = []
        code, _, told = await self.command.run(*SCAN, *workers, "--resume", "latest")
        assert code == 1, told
        return what_was_found(self.command.report())

    def ends_with(self, code: int, told: str) -> None:
        """Hold the stop of a scan to what must be said of it."""
        stopped = self.command.report()
        assert code == 3, told
        assert "The caller's credentials ended during the run: ExpiredToken: The security" in told
        assert f"then the same command with --resume {stopped['run']['id']}" in told
        assert "Traceback" not in told
        assert stopped["run"]["finished_at"] is None
        assert 0 < stopped["coverage"]["accounts"]["audited"] < ACCOUNTS


@pytest.fixture
async def estate(tmp_path: Path) -> AsyncIterator[Estate]:
    cloud = Cloud(5, accounts=ACCOUNTS, users=6, now=NOW)
    server = FaultServer(cloud, latency=0.005)
    async with server.serving():
        with caller_in():
            whole = await Desk(tmp_path / "whole", server.url).scan(now=NOW)
        assert whole.report is not None
        yield Estate(server, Command(tmp_path, server.url), what_was_found(dict(whole.report)))


def expired_from_the(number: int, operation: str) -> Rule:
    """The token is not accepted for an operation from its so many-th request on."""
    return Rule(fault=Fault.EXPIRED, operations=frozenset({operation}), first=number - 1)


async def test_a_sign_out_in_a_worker_stops_the_scan_and_it_goes_on_once_renewed(
    estate: Estate,
) -> None:
    estate.server.rules = [
        expired_from_the(13, "AssumeRole"),
        expired_from_the(4, "GetCallerIdentity"),  # three processes have asked once
    ]
    code, _, told = await estate.command.run(*SCAN, "--workers", "2")

    estate.ends_with(code, told)
    sent = estate.server.struck[Fault.EXPIRED]
    assert sent < 2 * ACCOUNTS, "it stopped, and did not try account after account"
    assert await estate.resumed("--workers", "2") == estate.whole


async def test_a_worker_that_starts_again_and_is_signed_out_takes_nothing_for_read(
    estate: Estate,
) -> None:
    came = 0

    def lose_the_worker(asked: Asked) -> None:
        nonlocal came
        came += asked.service == "iam"
        if came == 150:
            estate.server.before = lambda _: None
            estate.server.rules = [expired_from_the(1, "GetCallerIdentity")]
            assert estate.command.process is not None
            children = psutil.Process(estate.command.process.pid).children(recursive=True)
            [worker] = [each for each in children if "spawn_main" in " ".join(each.cmdline())]
            worker.kill()

    estate.server.before = lose_the_worker
    code, _, told = await estate.command.run(*SCAN, "--workers", "1", "--concurrency", "8")

    estate.ends_with(code, told)
    assert await estate.resumed() == estate.whole


async def test_a_sign_out_before_the_workers_have_begun_is_one_line(estate: Estate) -> None:
    estate.server.rules = [expired_from_the(3, "GetCallerIdentity")]
    code, _, told = await estate.command.run(*SCAN, "--workers", "2")

    assert code == 2
    assert told.startswith("iamaudit: AWS does not accept the credentials: ExpiredToken")
    assert told.count("\n") == 1
    assert not (estate.command.folder / "reports").exists()
