"""`history`: what the store knows of its runs."""

from collections.abc import Sequence
from pathlib import Path

from auditor.model.outcome import JournalLine
from auditor.store.journal import SqliteJournal
from auditor.store.runs import SqliteRunStore


def runs(store_file: Path) -> list[dict[str, object]]:
    """Return the stored runs, the newest first; raise AuditError."""
    store = SqliteRunStore(store_file, create=False)
    try:
        return store.overview()
    finally:
        store.close()


def run_lines(store_file: Path, run: str) -> Sequence[JournalLine]:
    """Return the journal's lines about a run's plans, in order; raise AuditError."""
    store = SqliteRunStore(store_file, create=False)
    journal = SqliteJournal(store_file)
    try:
        return journal.lines_of_run(store.run(run).id)
    finally:
        journal.close()
        store.close()
