"""Judging while accounts are read must come to what judging out of the store comes to."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from auditor import fanout
from auditor.engine.account_judge import AccountJudge
from auditor.engine.ahead import JudgesAhead
from auditor.engine.judgement import RunJudge
from auditor.errors import PolicyError
from auditor.formats import json as report_json
from auditor.model.account import OutcomeKind
from auditor.model.finding import JudgedKey
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.compiled import CompiledPolicy
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.store.trend import trend
from auditor.wiring.policies import load_policies
from tests.builders import (
    NOW,
    a_key,
    a_policy,
    a_rule,
    a_run,
    a_user_with,
    an_account,
    an_inventory,
    compiled,
    used,
)
from tests.fakes import FakeClock

BASELINE = load_policies(["baseline"])
NO_REPORT = Unknown(operation="iam:GetCredentialReport", code="AccessDenied")
EXEMPT = compiled(
    a_policy(a_rule(when="key.active"))
    + """exemptions:
  - {user: "user-1*", reason: moves to roles, owner: mail team, expires: 2027-01-31}
"""
)
BROKEN = compiled(a_policy(a_rule(when='user.tags["team"] == "a"')))


def users(number: int = 40) -> list[Any]:
    return [
        a_user_with(
            a_key(f"AKIA{each}A", days_old=each * 10, last_use=used(days=each)),
            a_key(f"AKIA{each}B", days_old=each, active=each % 2 == 0),
            name=f"user-{each}",
            tags={"team": "a"},
        )
        for each in range(number)
    ]


INVENTORIES = [
    an_inventory(*users(), account=an_account("1" * 12)),
    an_inventory(*users(3), account=an_account("2" * 12), outcome=OutcomeKind.PARTIAL),
    an_inventory(*users(1), account=an_account("3" * 12), root_keys_unknown=NO_REPORT),
    an_inventory(account=an_account("4" * 12), outcome=OutcomeKind.UNREACHABLE, via=None),
    an_inventory(
        a_user_with(a_key("", days_old=500, last_use=used()), name=ROOT_USER_NAME, admin=True),
        account=an_account("5" * 12),
    ),
]


def begin(store: SqliteRunStore) -> None:
    store.begin(a_run(), [each.account for each in INVENTORIES])
    for each in INVENTORIES:
        store.save("run-1", each)


def judge_of(store: SqliteRunStore, policies: list[CompiledPolicy]) -> RunJudge:
    return RunJudge(store, "run-1", policies, partition="aws", now=NOW)


def told(store: SqliteRunStore) -> dict[str, Any]:
    text = io.StringIO()
    report_json.write(StoredReport(store.connection, "run-1", version="0"), text)
    report: dict[str, Any] = json.loads(text.getvalue())
    return report


def recorded(store: SqliteRunStore, judge: RunJudge) -> dict[str, Any]:
    store.record("run-1", judge.judged(), judge.results)
    store.run("run-1")  # is as it was sealed
    return told(store)


@pytest.mark.parametrize("ahead", [range(5), range(1, 3), range(0, 5, 2), range(4, -1, -1)])
@pytest.mark.parametrize("policies", [BASELINE, [*BASELINE, EXEMPT]])
async def test_the_report_is_that_of_judging_out_of_the_store(
    store: SqliteRunStore, ahead: range, policies: list[CompiledPolicy]
) -> None:
    begin(store)
    plain = recorded(store, judge_of(store, policies))
    judge, writer = judge_of(store, policies), fanout.Writer()
    judges = JudgesAhead(judge, store, "run-1", FakeClock())

    for each in ahead:
        await judges.take(INVENTORIES[each], writer)

    assert recorded(store, judge) == plain
    assert plain["findings"]


async def test_what_was_judged_ahead_is_not_read_out_of_the_store_again(
    store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store)
    judge, writer, read = judge_of(store, BASELINE), fanout.Writer(), list[str]()
    judges, users_of = JudgesAhead(judge, store, "run-1", FakeClock()), store.users

    def noted(run_id: str, account_id: Any) -> Any:
        read.append(account_id)
        return users_of(run_id, account_id)

    monkeypatch.setattr(store, "users", noted)
    await judges.take(INVENTORIES[0], writer)
    await judges.take(INVENTORIES[1], writer)
    recorded(store, judge)

    assert read == ["3" * 12, "4" * 12, "5" * 12]


async def test_accounts_beyond_a_few_are_left_for_later(store: SqliteRunStore) -> None:
    """What waits to be judged is in memory."""
    inventories = [an_inventory(*users(), account=an_account(f"{each:012}")) for each in range(20)]
    store.begin(a_run(), [each.account for each in inventories])
    for each in inventories:
        store.save("run-1", each)
    judge, writer = judge_of(store, BASELINE), fanout.Writer()
    judges = JudgesAhead(judge, store, "run-1", FakeClock())

    async with anyio.create_task_group() as group:
        for each in inventories:
            group.start_soon(judges.take, each, writer)
    left = {key.account_id for key in judge.judged()}

    assert len(left) == 12


async def test_a_rule_that_fails_ends_the_run_at_its_end_and_not_the_reading(
    store: SqliteRunStore,
) -> None:
    begin(store)
    untagged = an_inventory(a_user_with(a_key()), account=an_account("1" * 12))
    store.save("run-1", untagged)
    judge = judge_of(store, [BROKEN])

    await JudgesAhead(judge, store, "run-1", FakeClock()).take(untagged, fanout.Writer())

    with pytest.raises(PolicyError, match="there is no tag 'team'"):
        recorded(store, judge)


@pytest.mark.parametrize("turns", range(8))
async def test_an_interruption_leaves_nothing_counted_twice(
    store: SqliteRunStore, turns: int
) -> None:
    begin(store)
    plain = recorded(store, judge_of(store, [EXEMPT]))
    judge, writer = judge_of(store, [EXEMPT]), fanout.Writer()
    judges = JudgesAhead(judge, store, "run-1", FakeClock())

    async def interrupt(inventory: AccountInventory) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(judges.take, inventory, writer)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    for each in INVENTORIES:
        await interrupt(each)

    assert recorded(store, judge) == plain
    assert plain["exemptions"][0]["findings"] > 0


async def test_a_scan_that_is_judged_again_forgets_what_was_judged_ahead(
    store: SqliteRunStore,
) -> None:
    begin(store)
    judge = judge_of(store, BASELINE)
    await JudgesAhead(judge, store, "run-1", FakeClock()).take(INVENTORIES[0], fanout.Writer())
    recorded(store, judge)

    again = recorded(store, judge_of(store, [EXEMPT]))

    assert {each["rule_id"] for each in again["findings"]} == {"old"}


async def test_what_was_judged_ahead_counts_once_the_run_is_recorded(
    store: SqliteRunStore, tmp_path: Path
) -> None:
    begin(store)
    judges = JudgesAhead(judge_of(store, BASELINE), store, "run-1", FakeClock())
    await judges.take(INVENTORIES[0], fanout.Writer())

    [run] = trend(store.connection)
    assert (run["judged"], run["open"]) == (False, None)
    assert not store.judged("run-1")

    store.close()  # as where the process ends: the next one judges all accounts
    after = SqliteRunStore(tmp_path / "iamaudit.db")
    again = recorded(after, judge_of(after, [EXEMPT]))
    after.close()

    assert {each["rule_id"] for each in again["findings"]} == {"old"}
    assert {each["account_id"] for each in again["findings"]} >= {"1" * 12, "2" * 12}


@pytest.mark.parametrize(("network", "slices"), [(0.0, 20), (0.01, 7), (1.0, 1)])
async def test_keys_take_as_long_as_the_network_took_and_few_take_their_turn_anyway(
    store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch, network: float, slices: int
) -> None:
    begin(store)
    clock, round_, found = FakeClock(), 0, list[int]()
    judged = AccountJudge.judged

    def slowly(self: AccountJudge, users: Iterable[UserInventory]) -> Iterator[JudgedKey]:
        for key in judged(self, users):
            clock.slept.append(0.001)
            found.append(round_)
            yield key

    async def serve() -> None:
        nonlocal round_
        while len(found) < 80:
            round_ += 1
            clock.slept.append(network)
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(AccountJudge, "judged", slowly)
    judges = JudgesAhead(judge_of(store, BASELINE), store, "run-1", clock)
    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        await judges.take(INVENTORIES[0], fanout.Writer())

    assert len(found) == 80
    assert len(set(found)) == slices
