"""Which runs may be removed, what stays of them, and the trend over those that are left."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from auditor.model.outcome import Result, Step
from auditor.model.plan import Action, ActionKind, Expected, Plan, Protection
from auditor.store.journal import SqliteJournal
from auditor.store.retention import Retention
from auditor.store.runs import SqliteRunStore
from auditor.store.trend import trend
from tests.builders import ACCOUNT_ID, KEY_ID, NOW, a_key, a_run, ago
from tests.store.test_changes import kept, old, stored


@dataclass(kw_only=True)
class Opened:
    store: SqliteRunStore
    journal: SqliteJournal
    retention: Retention

    def runs(self, *ages: int) -> None:
        """Store a run for each age in days, the oldest first, by the name of its age."""
        for age in ages:
            at = ago(days=age)
            stored(self.store, f"{age}", kept(a_key()), started_at=at, now=at)

    def beyond(self, keep: int | None = None, days: int | None = None) -> dict[str, str | None]:
        keep_for = None if days is None else timedelta(days=days)
        return {
            run.id: run.because
            for run in self.retention.beyond(keep=keep, keep_for=keep_for, now=NOW)
        }

    def rows(self, run_id: str) -> int:
        tables = ("account", "user", "access_key", "judged_key", "finding", "policy_source")
        return sum(
            self.store.connection.execute(
                f"SELECT count(*) FROM {table} WHERE run_id = ?",  # noqa: S608 -- names of ours
                (run_id,),
            ).fetchone()[0]
            for table in tables
        )


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    path = tmp_path / "iamaudit.db"
    store = SqliteRunStore(path)
    journal = SqliteJournal(path)
    yield Opened(store=store, journal=journal, retention=Retention(store.connection, journal, path))
    journal.close()
    store.close()


def an_action(kind: ActionKind = ActionKind.DEACTIVATE) -> Action:
    key = a_key()
    assert key.created_at is not None
    return Action(
        id=f"{kind}-1",
        account_id=ACCOUNT_ID,
        user_name="alice",
        user_arn="arn:aws:iam::111111111111:user/alice",
        access_key_id=KEY_ID,
        kind=kind,
        because=("key-unused",),
        expected=Expected(status=key.status, created_at=key.created_at, last_use=key.last_use),
    )


def a_plan(run_id: str, *actions: Action, made_at: datetime = NOW) -> Plan:
    return Plan(
        id=f"plan-{run_id}",
        run_id=run_id,
        created_at=made_at,
        expires_at=made_at + timedelta(hours=24),
        judged_at=made_at,
        scanned_at=made_at,
        partition="aws",
        policies={},
        protection=Protection(),
        actions=actions,
        held=(),
    )


def journaled(opened: Opened, plan: Plan, *results: Result) -> None:
    """Journal an intent for the plan's action, and an outcome for each result."""
    [action] = plan.actions
    opened.journal.append(at=NOW, plan=plan, action=action, step=Step.INTENT, detail={})
    for result in results:
        detail = {"result": result, "reason": ""}
        opened.journal.append(at=NOW, plan=plan, action=action, step=Step.OUTCOME, detail=detail)


def test_runs_beyond_the_number_and_the_days_may_go(opened: Opened) -> None:
    opened.runs(40, 30, 20, 10)

    assert list(opened.beyond(keep=2)) == ["40", "30"]
    assert list(opened.beyond(days=25)) == ["40", "30"]
    assert list(opened.beyond(keep=1, days=35)) == ["40"]
    assert list(opened.beyond(keep=3, days=5)) == ["40"]


def test_the_newest_judged_run_which_latest_means_always_stays(opened: Opened) -> None:
    opened.runs(40, 30, 20)
    opened.store.begin(a_run("10", started_at=ago(days=10), finished_at=ago(days=10)), [])

    assert list(opened.beyond(keep=1)) == ["40", "30"]


def test_the_newest_run_and_the_newest_finished_one_always_stay(opened: Opened) -> None:
    opened.runs(40, 30)
    stored(opened.store, "cut off", kept(), started_at=ago(days=20), finished_at=None)

    assert list(opened.beyond(days=0)) == ["40"]


def test_a_run_that_may_still_be_running_stays(opened: Opened) -> None:
    stored(opened.store, "other", kept(), started_at=ago(hours=2), finished_at=None)
    opened.runs(0)

    assert opened.beyond(days=0) == {"other": "it may still be running"}


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ((), "plan-40 was cut off: apply it with --resume"),
        ((Result.UNCLEAR,), "plan-40 was cut off: apply it with --resume"),
        ((Result.APPLIED,), "plan-40 can be undone"),
        ((Result.DRIFTED,), None),
    ],
)
def test_a_run_stays_while_its_plan_was_cut_off_or_can_be_undone(
    opened: Opened, results: tuple[Result, ...], why: str | None
) -> None:
    opened.runs(40, 10)
    plan = a_plan("40", an_action(), made_at=ago(days=40))
    opened.journal.record_plan(plan)
    journaled(opened, plan, *results)

    assert opened.beyond(keep=1) == {"40": why}


def test_a_plan_that_was_undone_or_expired_holds_no_run(opened: Opened) -> None:
    opened.runs(40, 30, 10)
    plan = a_plan("40", an_action(), made_at=ago(days=40))
    undo = replace(a_plan("40", an_action(ActionKind.ACTIVATE)), id="undo", undoes=plan.id)
    expired = a_plan("30", an_action(), made_at=ago(days=30))
    for each in (plan, undo, expired):
        opened.journal.record_plan(each)
    for each in (plan, undo):
        journaled(opened, each, Result.APPLIED)

    assert opened.beyond(keep=1) == {"40": None, "30": None}


def test_a_fresh_plan_holds_its_run(opened: Opened) -> None:
    opened.runs(40, 10)
    opened.journal.record_plan(a_plan("40", an_action()))

    assert opened.beyond(keep=1) == {"40": "plan-40 can still be applied"}


def test_of_a_removed_run_the_journal_and_what_it_is_about_stay(opened: Opened) -> None:
    opened.runs(40, 10)
    plan = a_plan("40", an_action(), made_at=ago(days=40))
    opened.journal.record_plan(plan)
    opened.journal.record_plan(replace(plan, id="plan-never-begun"))
    journaled(opened, plan, Result.DRIFTED)
    other = opened.rows("10")

    opened.retention.remove("40")
    opened.retention.shrink()

    assert (opened.rows("40"), opened.rows("10")) == (0, other)
    assert [run["id"] for run in trend(opened.store.connection)] == ["10"]
    assert len(opened.journal.lines_of_run("40")) == 2
    assert [each.id for each in opened.journal.plans("40")] == [plan.id]


def test_the_trend_tells_the_change_to_the_finished_run_before(opened: Opened) -> None:
    stored(opened.store, "one", kept(old("AKIA1")))
    stored(opened.store, "cut off", kept(), finished_at=None)
    stored(opened.store, "two", kept(old("AKIA1"), old("AKIA2")))
    stored(opened.store, "three", [])

    runs = {str(run["id"]): run for run in trend(opened.store.connection)}

    assert list(runs) == ["three", "two", "cut off", "one"]
    assert [run["open"] for run in runs.values()] == [0, 2, 0, 1]
    changes = [run["change"] and run["change"]["medium"] for run in runs.values()]
    assert changes == [-2, 1, None, None]
    assert [run["comparable"] for run in runs.values()] == [False, True, False, False]
