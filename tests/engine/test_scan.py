import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from auditor.engine.in_process import InProcess
from auditor.engine.scan import Scan
from auditor.engine.tally import Tally
from auditor.model.access_key import AccessKey
from auditor.model.account import Account, OutcomeKind
from auditor.model.inventory import AccountInventory
from auditor.ports import OpenAccount
from tests.builders import a_key, an_account
from tests.fakes import FakeClock, FakeIam, FakeSessions


@dataclass
class SavedAccounts:
    """The part of a store that a scan uses."""

    saved: dict[str, AccountInventory] = field(default_factory=dict)

    def save(self, run_id: str, inventory: AccountInventory) -> None:
        self.saved[inventory.account.id] = inventory


def ids(number: int) -> list[str]:
    return [f"{each:012}" for each in range(1, number + 1)]


async def scan(
    sessions: FakeSessions, accounts: list[Account], *, concurrency: int = 8
) -> tuple[dict[str, AccountInventory], bool]:
    store = SavedAccounts()
    tally = Tally()
    auditing = InProcess(sessions, concurrency=concurrency, tally=tally, clock=FakeClock())
    ended = await Scan(
        auditing,
        store=store,  # type: ignore[arg-type]  # only save() is asked for
        run_id="run-1",
        tally=tally,
    ).read(accounts)
    return store.saved, ended.interrupted


async def test_every_account_is_saved_with_its_outcome() -> None:
    sessions = FakeSessions({each: FakeIam({"amy": [a_key()]}) for each in ids(5)})
    accounts = [an_account(each) for each in ids(6)]

    saved, interrupted = await scan(sessions, accounts)

    assert not interrupted
    assert {each: inventory.outcome for each, inventory in saved.items()} == {
        **dict.fromkeys(ids(5), OutcomeKind.AUDITED),
        "000000000006": OutcomeKind.UNREACHABLE,
    }
    [error] = saved["000000000006"].errors
    assert error.operation == "sts:AssumeRole"


async def test_an_account_to_skip_is_not_entered() -> None:
    sessions = FakeSessions({"000000000001": FakeIam()})

    saved, _ = await scan(sessions, [an_account(each, skip="suspended") for each in ids(2)])

    assert saved == {}
    assert sessions.most_open == 0


async def test_only_so_many_accounts_are_open_at_once() -> None:
    sessions = FakeSessions({each: FakeIam({"amy": [a_key()]}) for each in ids(20)})

    await scan(sessions, [an_account(each) for each in ids(20)], concurrency=8)

    assert sessions.most_open == 4


async def _open_while(sessions: FakeSessions, hang: str) -> int:
    """Return how many accounts are open after a while in which one call of each never ends."""
    tally = Tally()

    async def never(*_: object) -> list[AccessKey]:
        await anyio.sleep_forever()
        return []

    for each in sessions.accounts.values():
        setattr(each, hang, never)
    work = Scan(
        InProcess(sessions, concurrency=40, tally=tally, clock=FakeClock()),
        store=SavedAccounts(),  # type: ignore[arg-type]
        run_id="run-1",
        tally=tally,
    )
    async with anyio.create_task_group() as group:
        group.start_soon(work.read, [an_account(each) for each in ids(25)])
        await anyio.sleep(0.5)  # looks at what is idle come five times as often
        open_now = sessions.open_now
        group.cancel_scope.cancel()
    return open_now


async def test_two_more_are_begun_while_those_that_are_read_leave_places_idle() -> None:
    sessions = FakeSessions({each: FakeIam({"amy": []}) for each in ids(25)})

    assert await _open_while(sessions, "access_keys") == 6


async def test_more_accounts_are_read_at_once_when_aws_says_to_slow_down() -> None:
    sessions = FakeSessions({each: FakeIam({"amy": [a_key()]}) for each in ids(40)})
    tally = Tally()
    tally.throttled()
    auditing = InProcess(sessions, concurrency=32, tally=tally, clock=FakeClock())

    await Scan(
        auditing,
        store=SavedAccounts(),  # type: ignore[arg-type]
        run_id="run-1",
        tally=tally,
    ).read([an_account(each) for each in ids(40)])

    assert sessions.most_open == 16


async def test_an_interrupted_scan_keeps_what_was_read_and_says_so() -> None:
    quick, slow = FakeIam({"amy": [a_key()]}), FakeIam({"bob": [a_key()], "eve": [a_key("AKIAE")]})
    sessions = FakeSessions({"000000000001": quick, "000000000002": slow})

    def stop(operation: str, subject: str) -> None:
        if (operation, subject) == ("iam:ListAccessKeys", "eve"):
            os.kill(os.getpid(), signal.SIGINT)

    slow.fail = stop
    with anyio.fail_after(10):
        saved, interrupted = await scan(
            sessions, [an_account(each) for each in ids(2)], concurrency=1
        )

    assert interrupted
    assert saved["000000000001"].outcome is OutcomeKind.AUDITED
    assert saved["000000000002"].outcome is OutcomeKind.PARTIAL
    assert [error.code for error in saved["000000000002"].errors] == ["Interrupted"]
    assert "bob" in {user.identity.name for user in saved["000000000002"].users}


class SlowDoor(FakeSessions):
    """Sessions that take their time to close."""

    @asynccontextmanager
    async def open(self, account: Account) -> AsyncIterator[OpenAccount]:
        async with super().open(account) as opened:
            try:
                yield opened
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                await anyio.sleep(0.05)


async def test_an_account_that_was_read_is_saved_though_the_stop_comes_while_it_closes() -> None:
    sessions = SlowDoor({"000000000001": FakeIam({"amy": [a_key()]})})

    with anyio.fail_after(10):
        saved, interrupted = await scan(sessions, [an_account("000000000001")])

    assert interrupted
    assert saved["000000000001"].outcome is OutcomeKind.AUDITED


async def test_an_account_that_hangs_never_holds_the_others_up() -> None:
    hanging = FakeIam({f"user-{number}": [] for number in range(50)})
    sessions = FakeSessions({each: FakeIam({"amy": [a_key()]}) for each in ids(30)})
    sessions.accounts["000000000001"] = hanging
    store = SavedAccounts()
    tally = Tally()

    async def never(user_name: str) -> list[AccessKey]:
        await anyio.sleep_forever()
        return []

    hanging.access_keys = never  # type: ignore[method-assign]
    work = Scan(
        InProcess(sessions, concurrency=8, tally=tally, clock=FakeClock()),
        store=store,  # type: ignore[arg-type]
        run_id="run-1",
        tally=tally,
    )
    with anyio.move_on_after(3):
        async with anyio.create_task_group() as group:
            group.start_soon(work.read, [an_account(each) for each in ids(30)])
            while tally.accounts_done < 29:  # noqa: ASYNC110 -- the scan has no event for it
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    assert tally.accounts_done == 29
