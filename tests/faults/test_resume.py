"""A scan that was cut off, however it was, goes on where it stopped and loses nothing."""

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.config import Source
from tests.faults.cloud import Asked, Cloud
from tests.faults.desk import Command, Desk, caller_in
from tests.faults.kinds import Fault
from tests.faults.server import FaultServer, Rule
from tests.faults.stops import what_was_found

NOW = datetime.now(UTC).replace(microsecond=0)
SCAN = ("scan", "--accounts", "org", "--format", "json", "--now", NOW.isoformat(), "--quiet")
RESUME = (*SCAN, "--resume", "latest")


def a_cloud(accounts: int = 30) -> Cloud:
    return Cloud(5, accounts=accounts, users=6, now=NOW)


def finished(store: Path) -> set[str]:
    """The accounts that a store has read, of the newest run."""
    with closing(sqlite3.connect(store)) as opened:
        rows = opened.execute(
            "SELECT id FROM account WHERE outcome IS NOT NULL AND errors NOT LIKE '%Interrupted%'"
            " AND run_id = (SELECT id FROM run ORDER BY rowid DESC LIMIT 1)"
        )
        return {row[0] for row in rows}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    async def scanned() -> dict[str, Any]:
        async with FaultServer(a_cloud()).serving() as server:
            command = Command(tmp_path_factory.mktemp("undisturbed"), server.url)
            code, _, told = await command.run(*SCAN)
            assert code == 1, told
            return command.report()

    return what_was_found(asyncio.run(scanned()))


async def cut_off(server: FaultServer, command: Command, number: int, how: int) -> tuple[int, str]:
    """Scan, and send the signal when so many requests have come; return code and advice."""
    came = 0

    def count(_: Asked) -> None:
        nonlocal came
        came += 1
        if came == number:
            command.signal(how)

    server.before = count
    code, _, told = await command.run(*(each for each in SCAN if each != "--quiet"))
    assert "Traceback" not in told
    server.before = lambda _: None
    return code, told


@pytest.mark.parametrize("number", [45, 220])
async def test_a_killed_scan_goes_on_and_no_finished_account_is_read_again(
    number: int, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    cloud = a_cloud()
    server = FaultServer(cloud, latency=0.002)
    async with server.serving():
        command = Command(tmp_path, server.url)
        code, _ = await cut_off(server, command, number, signal.SIGKILL)
        assert code == -signal.SIGKILL
        done = finished(tmp_path / "reports/iamaudit.db")
        cloud.calls.clear()

        code, _, told = await command.run(*RESUME)

    asked = {each.account for each in cloud.calls if each.service == "iam"}
    assert code == 1, told
    assert not asked & done
    assert asked == cloud.accounts.keys() - done
    assert what_was_found(command.report()) == undisturbed


async def test_an_interrupted_scan_names_the_way_on_and_the_way_works(
    undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    server = FaultServer(a_cloud(), latency=0.002)
    async with server.serving():
        command = Command(tmp_path, server.url)
        stopped, advice = await cut_off(server, command, 120, signal.SIGINT)
        interrupted = command.report()

        code, _, told = await command.run(*RESUME)

    resumed = command.report()
    assert stopped == 130
    assert f"the same command with --resume {interrupted['run']['id']}" in advice
    assert code == 1, told
    assert not interrupted["coverage"]["complete"]
    assert resumed["run"]["id"] == interrupted["run"]["id"]
    assert resumed["run"]["finished_at"] is not None
    calls = "iam:GetCredentialReport"
    assert resumed["run"]["api_calls"][calls] >= len(resumed["accounts"])
    assert what_was_found(resumed) == undisturbed


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed; to be copied."""
    folder = tmp_path_factory.mktemp("cut")

    async def killed() -> None:
        async with (server := FaultServer(a_cloud(6), latency=0.002)).serving():
            await cut_off(server, Command(folder, server.url), 60, signal.SIGKILL)

    with caller_in():
        asyncio.run(killed())
    return folder / "reports"


@pytest.fixture
async def halted(cut: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with a run that was killed, and the cloud that it read."""
    shutil.copytree(cut, tmp_path / "reports")
    async with FaultServer(a_cloud(6)).serving() as server:
        yield Desk(tmp_path / "reports", server.url, more={"now": NOW, "resume": "latest"})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"exclude": ("100000000001",)}, "1 fewer (100000000001)"),
        ({"accounts": ("org", "111111111111")}, "1 more (111111111111)"),
        ({"policies": ("strict",)}, "has other policies: baseline"),
        ({"source": Source.REPORT}, "has --source live"),
        ({"now": datetime(2026, 1, 1, tzinfo=UTC)}, "measures ages from"),
        ({"resume": "20260101T000000Z-00000000"}, "there is no run"),
        ({"output": Path("elsewhere")}, "there is no store"),
    ],
    ids=str,
)
async def test_another_scan_is_no_way_to_go_on(
    changed: dict[str, Any], told: str, halted: Desk
) -> None:
    ran = await halted.scan(**changed)

    assert ran.code == 2
    assert ran.error
    assert told in str(ran.error)


async def test_where_much_was_read_ctrl_c_waits_for_no_report(cut: Path, tmp_path: Path) -> None:
    shutil.copytree(cut, tmp_path / "reports")
    with closing(sqlite3.connect(tmp_path / "reports/iamaudit.db")) as store:
        store.execute(
            "UPDATE account SET keys = 9000, outcome = 'audited' WHERE id = '100000000005'"
        )
        store.commit()
    server = FaultServer(a_cloud(6), gate=asyncio.Event())
    async with server.serving():
        command = Command(tmp_path, server.url)

        def interrupt(asked: Asked) -> None:
            if asked.service == "iam":
                server.before = lambda _: None
                command.signal(signal.SIGINT)

        server.before = interrupt
        code, said, told = await command.run(*RESUME)

    assert code == 130
    assert "keys that were read are kept in reports/iamaudit.db; the same command" in told
    assert "iamaudit report --run" in told
    assert not said
    assert not (tmp_path / "reports/latest").exists()


async def test_a_finished_run_is_not_gone_on_with(halted: Desk) -> None:
    assert (await halted.scan()).code == 1

    ran = await halted.scan()

    assert ran.code == 2
    assert "is finished" in str(ran.error)


async def test_a_run_that_is_being_scanned_is_not_resumed_and_two_runs_share_a_store(
    tmp_path: Path,
) -> None:
    server = FaultServer(a_cloud(6), gate=asyncio.Event())
    begun = asyncio.Event()
    server.before = lambda asked: begun.set() if asked.service == "iam" else None
    async with server.serving():
        first, second, third = (Command(tmp_path, server.url) for _ in range(3))
        await first.start(*SCAN)
        await begun.wait()
        code, _, told = await second.run(*RESUME)
        await third.start(*SCAN)
        assert server.gate
        server.gate.set()
        others, mine = await third.end(), await first.end()

    assert code == 2
    assert "is still being scanned by another process" in told
    assert (mine[0], others[0]) == (1, 1)
    with closing(sqlite3.connect(tmp_path / "reports/iamaudit.db")) as store:
        assert store.execute("SELECT count(*) FROM lease").fetchone() == (0,)
        [one, other] = store.execute("SELECT count(*), sum(keys) FROM account GROUP BY run_id")
    assert one == other


async def test_a_full_disk_is_said_and_what_was_read_is_there_when_it_is_not(
    undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    async with FaultServer(a_cloud(), latency=0.002).serving() as server:
        command = Command(tmp_path, server.url)
        code, _, told = await command.run(*SCAN, file_limit=200_000)
        assert code == 2, told
        assert "can't be written" in told
        assert "--resume" in told
        assert told.count("\n") == 1
        assert finished(tmp_path / "reports/iamaudit.db")

        code, _, told = await command.run(*RESUME)

    assert code == 1, told
    assert what_was_found(command.report()) == undisturbed


async def test_a_folder_that_can_not_be_written_to_is_said_before_aws_is_asked(
    tmp_path: Path,
) -> None:
    cloud = a_cloud(2)
    async with FaultServer(cloud).serving() as server:
        told = await Command(tmp_path, server.url).run(*SCAN, "--output", "/proc/reports")

    assert told[0] == 2
    assert "/proc/reports can't be written" in told[2]
    assert told[2].count("\n") == 1


@pytest.mark.parametrize("how", ["torn", "half", "foreign", "no database"])
async def test_a_store_that_is_not_whole_or_not_ours_is_said_and_left_alone(
    how: str, halted: Desk
) -> None:
    with closing(sqlite3.connect(halted.store)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = halted.store.read_bytes()
    spoilt = {
        "torn": content[:4096] + b"\xff" * 20_000 + content[24_096:],
        "half": content[: len(content) // 2],
        "foreign": b"",
        "no database": b"all my notes\n" * 1000,
    }[how]
    halted.store.write_bytes(spoilt)
    if how == "foreign":
        with closing(sqlite3.connect(halted.store)) as opened:
            opened.execute("CREATE TABLE mine (x)")
    before = halted.store.read_bytes()

    ran = await halted.scan()
    code, _, told = await Command(halted.folder.parent, halted.url).run("report")

    for exit_code, said in ((ran.code, f"{ran.error}\n"), (code, told)):
        assert exit_code == 2, said
        assert said.count("\n") == 1, said
        assert "store" in said
        assert "internal error" not in said
    if how in {"foreign", "no database"}:
        assert halted.store.read_bytes() == before


async def test_a_token_that_ends_stops_the_scan_and_it_goes_on_once_renewed(
    undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    server = FaultServer(a_cloud(), latency=0.002)
    ended = Rule(fault=Fault.EXPIRED, operations=frozenset({"AssumeRole"}), first=12)
    who = Rule(fault=Fault.EXPIRED, operations=frozenset({"GetCallerIdentity"}), first=1)
    server.rules = [ended, who]
    async with server.serving():
        command = Command(tmp_path, server.url)
        code, _, told = await command.run(*SCAN)
        stopped, sent = command.report(), server.struck[Fault.EXPIRED]
        server.rules = []

        code_then, _, told_then = await command.run(*RESUME)

    assert code == 3, told
    assert "credentials ended during the run: ExpiredToken" in told
    assert (
        f"aws sso login, or renew them), then the same command with --resume {stopped['run']['id']}"
        in told
    )
    assert stopped["run"]["finished_at"] is None
    assert 0 < stopped["coverage"]["accounts"]["audited"] < 30
    assert sent < 60, "it stopped, and did not try account after account"
    assert code_then == 1, told_then
    assert what_was_found(command.report()) == undisturbed
