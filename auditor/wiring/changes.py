"""Comparing stored runs: `diff`, and `--baseline` of `scan` and `report`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor import __version__
from auditor.errors import AuditError
from auditor.formats.masked import MaskedReport
from auditor.formats.stream import ReportStream
from auditor.store.changes import StoredChanges
from auditor.store.output import LATEST
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.judging import judge_if_needed


@contextmanager
def compared(
    store_file: Path, before: str, after: str, *, mask_keys: bool = False
) -> Iterator[ReportStream]:
    """Open the later run with its changes since the earlier one; raise AuditError.

    `latest` is for `after` the newest judged run, and for `before` the newest one before that which
    was finished and judged.
    """
    store = SqliteRunStore(store_file, create=False)
    try:
        later = store.run(after)
        earlier = baseline(store, before, than=later.id)
        judge_if_needed(store, later)
        changes = StoredChanges(store.connection, earlier, later.id, still_open=True)
        told = StoredReport(store.connection, later.id, version=__version__, changes=changes)
        yield MaskedReport(told) if mask_keys else told
    finally:
        store.close()


def find_baseline(store_file: Path, name: str) -> str:
    """Return the id of the run that a new scan is compared with; raise AuditError."""
    store = SqliteRunStore(store_file, create=False)
    try:
        return baseline(store, name)
    finally:
        store.close()


def baseline(store: SqliteRunStore, name: str, *, than: str | None = None) -> str:
    """Return the id of the run to compare with, judged; raise AuditError where there is none.

    `latest` is the newest run that was finished and judged, of those begun before `than` where that
    is given.
    """
    run_id = _newest_whole(store.connection, than) if name == LATEST else name
    if run_id is None:
        raise AuditError(
            "there is no earlier run that was finished and judged, to compare with",
            hint="scan once without --baseline, or name a run that iamaudit history lists",
        )
    run = store.run(run_id)
    judge_if_needed(store, run)
    return run.id


def changes_since(store: SqliteRunStore, earlier: str | None, run_id: str) -> StoredChanges | None:
    """Return the changes of a run that has been judged; None where there is no earlier one."""
    return None if earlier is None else StoredChanges(store.connection, earlier, run_id)


def _newest_whole(connection: sqlite3.Connection, than: str | None) -> str | None:
    row = connection.execute(
        "SELECT id FROM main.run WHERE finished_at IS NOT NULL AND judged"
        " AND (:than IS NULL OR rowid < (SELECT rowid FROM main.run WHERE id = :than))"
        " ORDER BY rowid DESC LIMIT 1",
        {"than": than},
    ).fetchone()
    return None if row is None else str(row[0])
