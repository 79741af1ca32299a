"""What a run's plan says and what came of it: `document.PlanPart`."""

import sqlite3
from collections.abc import Mapping, Set
from typing import Any

from auditor.model.outcome import Result
from auditor.remediation import journal as written
from auditor.remediation.journal import CUT_OFF
from auditor.store import plan_file
from auditor.store.encoding import load_mapping, loads
from auditor.store.reading import Row, RunReading

_PLAN = (
    "SELECT * FROM plan WHERE run_id = ? AND undoes IS NULL ORDER BY"
    " EXISTS (SELECT 1 FROM journal WHERE plan_id = plan.id) DESC, rowid DESC LIMIT 1"
)
_JOURNAL = "SELECT * FROM journal WHERE run_id = ? ORDER BY sequence"


def plan(run: RunReading) -> Row | None:
    """Return the newest plan that was begun, or else the newest; raise AuditError."""
    for each in run.rows("SELECT * FROM plan WHERE run_id = ?"):
        plan_file.check_row(each)
    row = run.first(_PLAN)
    if row is None:
        return None
    plan_file.parse(row["document"], source=f"plan {row['id']}")
    kept, outcomes = loads(row["document"]), _outcomes(run, row["id"])
    plain = ("id", "created_at", "expires_at", "sha256", "held")
    return {
        **{name: kept[name] for name in plain},
        "applicable": kept["judged_at"] == kept["scanned_at"],
        "actions": [
            {**action, "outcome": outcomes.get(action["id"])} for action in kept["actions"]
        ],
    }


def taken(run: RunReading) -> Set[tuple[str, str]]:
    """Return account and id of the keys that the run's plans took away for good."""
    changes: dict[tuple[str, str], str] = {}
    for line in run.rows(_JOURNAL):
        applied = line["step"] == "outcome" and _detail(line)["result"] == "applied"
        if applied and line["kind"] != "rotate":
            changes[line["account_id"], line["access_key_id"]] = line["kind"]
    return {key for key, kind in changes.items() if kind != "activate"}


def _outcomes(run: RunReading, plan_id: str) -> Mapping[str, Row]:
    """Return how each action of a plan stands, by its id."""
    outcomes: dict[str, dict[str, Any]] = {}
    keys: dict[str, str] = {}
    for line in run.rows(_JOURNAL):
        detail = _detail(line)
        if line["plan_id"] == plan_id:
            keys[line["access_key_id"]] = line["action_id"]
            outcomes[line["action_id"]] = _outcome(line, detail)
        elif line["kind"] == "activate" and detail.get("result") == "applied":
            action_id = keys.get(line["access_key_id"])
            if action_id in outcomes:
                outcomes[action_id]["undone"] = True
    return outcomes


def _detail(line: sqlite3.Row) -> Row:
    detail = load_mapping(line["detail"])
    if line["step"] == "outcome":
        written.parse(detail)
    return detail


def _outcome(line: sqlite3.Row, detail: Row) -> dict[str, Any]:
    """Return `document.OutcomePart` by the last line about an action."""
    ended = line["step"] == "outcome"
    return {
        "result": detail["result"] if ended else Result.UNCLEAR,
        "reason": detail["reason"] if ended else CUT_OFF,
        "at": line["at"],
        "request_id": detail.get("request_id"),
        "new_access_key_id": detail.get("new_key_id"),
        "secret_in": detail.get("secret_in"),
        "undone": False,
    }
