"""A store with all that a store can have: a judged run, another one, a plan, its journal."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from auditor.engine.judgement import RunJudge
from auditor.model.account import OutcomeKind
from auditor.model.inventory import ReadError
from auditor.model.outcome import Result, Step
from auditor.model.unknown import Unknown
from auditor.remediation.planner import Planning, plan
from auditor.store import seal
from auditor.store.journal import SqliteJournal
from auditor.store.proposals import proposals
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import load_policies, stamps
from tests.builders import NOW, a_key, a_run, a_user_with, an_account, an_inventory, used

PLAN_ID = "plan-1"


def resealed(path: Path) -> None:
    """Make all digests of runs and of the journal anew, as who knows the tool could."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("DELETE FROM seal")
        for (run_id,) in store.execute(
            "SELECT id FROM run WHERE judged AND id NOT NULL"
        ).fetchall():
            seal.seal(store, run_id)
        columns = ", ".join(seal.LINE)
        before = ""
        for sequence, *line in store.execute(
            f"SELECT sequence, {columns} FROM journal ORDER BY sequence"  # noqa: S608
        ).fetchall():
            before = seal.link(before, line)
            store.execute("UPDATE journal SET digest = ? WHERE sequence = ?", (before, sequence))


def a_store(path: Path) -> str:
    """Make the file; return the id of its last run."""
    policies = load_policies(["baseline"])
    store = SqliteRunStore(path)
    run = None
    for number in (1, 2):
        run = a_run(
            f"run-{number}",
            policies=tuple(each.stamp for each in policies),
            sources=tuple(each.source for each in policies),
            rules=stamps(policies),
            started_at=NOW - timedelta(hours=3 - number),
            now=NOW,
        )
        whole = an_inventory(
            a_user_with(
                a_key(days_old=200, last_use=used(days=100)),
                a_key("AKIAIOSFODNN7EXAMPL2", active=False, days_old=300 + number),
                tags={"team": "x"},
                groups=("ops",),
            ),
            a_user_with(
                a_key("AKIAIOSFODNN7EXAMPL3", last_use=Unknown(operation="iam:X", code="Y")),
                name="bob",
                admin=Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied"),
            ),
        )
        accounts = [an_account(tags={"a": "b"}, name="prod"), an_account("222222222222")]
        store.begin(run, accounts)
        store.save(run.id, whole)
        error = ReadError(
            operation="iam:ListUsers", code="AccessDenied", message="no", subject=None
        )
        store.save(
            run.id,
            an_inventory(account=accounts[1], outcome=OutcomeKind.UNREACHABLE, errors=(error,)),
        )
        store.finish(run)
        judge = RunJudge(store, run.id, policies, partition="aws", now=NOW)
        store.record(run.id, judge.judged(), judge.results)
    assert run is not None
    journal = SqliteJournal(path)
    made = plan(
        proposals(store.connection, run.id),
        id_=PLAN_ID,
        run=run,
        planning=Planning(),
        history=journal.history,
        own_key_ids=frozenset(),
        now=NOW,
    )
    assert made.actions
    journal.record_plan(made)
    for action in made.actions:
        detail = {"status": "Active", "keys": [action.access_key_id]}
        journal.append(at=NOW, plan=made, action=action, step=Step.INTENT, detail=detail)
        said = {"result": Result.APPLIED, "reason": "", "request_id": "r"}
        journal.append(at=NOW, plan=made, action=action, step=Step.OUTCOME, detail=said)
    with journal.lease(made, now=NOW):
        pass
    journal.close()
    store.close()
    return run.id
