"""The stored runs side by side: what each came to, and the change to the run before."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from auditor.model.finding import Severity
from auditor.store import cursor, plan_file, seal
from auditor.store.damage import reads
from auditor.store.encoding import POLICY, certain, load_records, parse_instant
from auditor.store.reading import Row

_LEVELS = tuple(str(level) for level in Severity)
_OPEN = ", ".join(f"count(*) FILTER (WHERE severity = '{level}') AS {level}" for level in _LEVELS)
_RUNS = """
SELECT id, started_at, finished_at, judged, policies,
  (SELECT count(*) FROM main.account WHERE run_id = run.id) AS accounts,
  (SELECT count(*) FROM main.account WHERE run_id = run.id AND outcome = 'audited') AS audited,
  (SELECT count(*) FROM main.access_key WHERE run_id = run.id) AS keys,
  (SELECT count(*) FROM main.plan WHERE run_id = run.id AND undoes IS NULL) AS plans,
  (SELECT count(*) FROM main.journal WHERE run_id = run.id AND step = 'outcome'
    AND kind != 'activate' AND detail ->> 'result' = 'applied') AS applied
FROM main.run ORDER BY rowid
"""


@reads
def trend(connection: sqlite3.Connection) -> list[Row]:
    """Return every run with its numbers, the newest first.

    `open` and `open_by_severity` are None for a run that was not judged: how many findings it has
    is not known. `change` is the number of open findings by severity, less that of the last
    finished run before; None where one of the two was not finished and judged. `comparable` says
    whether both read the same accounts whole and were judged by the same policies: where not, a
    change may be no change. `baseline` is true for the one run that `--baseline latest` is.
    Raises AuditError where any run, plan or line of the journal is not as it was written.
    """
    seal.check_journal(connection)
    seal.check_runs(connection)
    for plan in cursor.rows(connection, "SELECT * FROM main.plan"):
        plan_file.check_row(plan)
    found = {
        run_id: dict(zip(_LEVELS, counts, strict=True))
        for run_id, *counts in connection.execute(
            f"SELECT run_id, {_OPEN} FROM main.finding WHERE status = 'open'"  # noqa: S608 -- names of ours
            " AND run_id IN (SELECT id FROM main.run WHERE judged) GROUP BY run_id"
        )
    }
    told: list[Row] = []
    before: dict[str, Any] | None = None
    scope_before: object = None
    for run in cursor.rows(connection, _RUNS):
        open_ = found.get(run["id"], dict.fromkeys(_LEVELS, 0))
        certain(run["started_at"])
        finished = parse_instant(run["finished_at"]) is not None and bool(run["judged"])
        scope = _scope(connection, run) if finished else None
        compared = finished and before is not None
        plain = ("id", "started_at", "finished_at", "accounts", "audited", "keys")
        row: dict[str, Any] = {
            **{name: run[name] for name in plain},
            "judged": bool(run["judged"]),
            "digest": seal.digest(connection, run["id"]),
            "open": sum(open_.values()) if run["judged"] else None,
            "open_by_severity": open_ if run["judged"] else None,
            "change": _change(before, open_) if finished else None,
            "comparable": compared and scope == scope_before,
            "baseline": finished,
            "plans": run["plans"],
            "applied": run["applied"],
        }
        told.append(row)
        if finished:
            if before is not None:
                before["baseline"] = False
            before, scope_before = row, scope
    return told[::-1]


def _change(before: Row | None, open_: Mapping[str, int]) -> Mapping[str, int] | None:
    if before is None:
        return None
    return {level: open_[level] - before["open_by_severity"][level] for level in _LEVELS}


def _scope(connection: sqlite3.Connection, run: sqlite3.Row) -> object:
    """Return what must be the same for two runs to be compared by their numbers."""
    accounts = connection.execute(
        "SELECT id FROM main.account WHERE run_id = ? AND outcome = 'audited' ORDER BY id",
        (run["id"],),
    ).fetchall()
    return accounts, sorted(policy["sha256"] for policy in load_records(run["policies"], POLICY))
