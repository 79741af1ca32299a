from pathlib import Path
from typing import Any

import pytest

from auditor.cli.exits import ExitCode, exit_code
from auditor.engine.judgement import RunJudge
from auditor.model.account import OutcomeKind
from auditor.model.finding import Severity
from auditor.model.inventory import AccountInventory
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import load_policies
from tests.builders import DENIED, NOW, a_key, a_run, a_user_with, an_account, an_inventory, used

CLEAN = a_user_with(a_key(days_old=10, last_use=used()))
LOW = a_user_with(a_key("AKIA1", days_old=10), a_key("AKIA2", days_old=9))
HIGH = a_user_with(a_key(days_old=50))
UNKNOWN = a_user_with(a_key(days_old=10, last_use=DENIED))
UNJUDGED = a_user_with(a_key(), admin=DENIED)


def code(
    folder: Path,
    *inventories: AccountInventory,
    fail_on: Severity | None = Severity.LOW,
    interrupted: bool = False,
) -> ExitCode:
    store = SqliteRunStore(folder / "iamaudit.db")
    store.begin(a_run(), [inventory.account for inventory in inventories])
    for inventory in inventories:
        if inventory.outcome is not OutcomeKind.SKIPPED:
            store.save("run-1", inventory)
    judge = RunJudge(store, "run-1", load_policies(["baseline"]), partition="aws", now=NOW)
    store.record("run-1", judge.judged(), judge.results)
    report = StoredReport(store.connection, "run-1", version="0")
    try:
        return exit_code(report, fail_on=fail_on, interrupted=interrupted)
    finally:
        store.close()


SKIPPED = an_inventory(
    account=an_account("2" * 12, skip="suspended"), outcome=OutcomeKind.SKIPPED, via=None
)
UNREACHABLE = an_inventory(account=an_account("3" * 12), outcome=OutcomeKind.UNREACHABLE, via=None)


@pytest.mark.parametrize(
    ("inventories", "wanted"),
    [
        ([an_inventory(CLEAN)], ExitCode.CLEAN),
        ([an_inventory(CLEAN), SKIPPED], ExitCode.CLEAN),
        ([an_inventory(LOW)], ExitCode.FINDINGS),
        ([an_inventory(HIGH), UNREACHABLE], ExitCode.INCOMPLETE),
        ([an_inventory(CLEAN, outcome=OutcomeKind.PARTIAL)], ExitCode.INCOMPLETE),
        ([an_inventory(UNKNOWN)], ExitCode.INCOMPLETE),
        ([an_inventory(UNJUDGED)], ExitCode.INCOMPLETE),
        ([UNREACHABLE], ExitCode.NOTHING),
        ([SKIPPED, UNREACHABLE], ExitCode.NOTHING),
    ],
)
def test_the_code_says_the_worst_that_is_true(
    tmp_path: Path, inventories: list[AccountInventory], wanted: ExitCode
) -> None:
    assert code(tmp_path, *inventories) == wanted


@pytest.mark.parametrize(
    ("user", "fail_on", "wanted"),
    [
        (LOW, Severity.HIGH, ExitCode.CLEAN),
        (HIGH, Severity.HIGH, ExitCode.FINDINGS),
        (HIGH, Severity.CRITICAL, ExitCode.CLEAN),
        (HIGH, None, ExitCode.CLEAN),
    ],
)
def test_only_findings_at_or_above_the_threshold_count(
    tmp_path: Path, user: Any, fail_on: Severity | None, wanted: ExitCode
) -> None:
    assert code(tmp_path, an_inventory(user), fail_on=fail_on) == wanted


def test_an_interruption_goes_before_everything(tmp_path: Path) -> None:
    assert code(tmp_path, UNREACHABLE, interrupted=True) == ExitCode.INTERRUPTED
