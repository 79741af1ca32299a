"""`history` and `prune`: what the store knows of its runs, and removing old ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from auditor.model.outcome import JournalLine
from auditor.store import cursor
from auditor.store.journal import SqliteJournal
from auditor.store.output import LATEST
from auditor.store.reading import Row
from auditor.store.retention import Retention
from auditor.store.runs import SqliteRunStore
from auditor.store.trend import trend


def runs(store_file: Path) -> Sequence[Row]:
    """Return the stored runs, the newest first; raise AuditError."""
    store = SqliteRunStore(store_file, create=False)
    try:
        return trend(store.connection)
    finally:
        store.close()


def is_stored(store_file: Path, run: str) -> bool:
    """Whether the store has the run; raise AuditError where it can't be read."""
    if not store_file.exists():
        return False
    store = SqliteRunStore(store_file, create=False)
    try:
        found = cursor.rows(store.connection, "SELECT 1 FROM main.run WHERE id = ?", (run,))
        return next(found, None) is not None
    finally:
        store.close()


def run_lines(store_file: Path, run: str) -> Sequence[JournalLine]:
    """Return the journal's lines about a run's plans, in order; raise AuditError.

    A run that was removed still has its lines.
    """
    with _opened(store_file) as (store, journal):
        lines = journal.lines_of_run(run) if run != LATEST else ()
        return lines or journal.lines_of_run(store.run(run).id)


@contextmanager
def retention(store_file: Path) -> Iterator[Retention]:
    """Open what removes runs; raise AuditError."""
    with _opened(store_file) as (store, journal):
        yield Retention(store.connection, journal, store_file)


@contextmanager
def _opened(store_file: Path) -> Iterator[tuple[SqliteRunStore, SqliteJournal]]:
    store = SqliteRunStore(store_file, create=False)
    try:
        journal = SqliteJournal(store_file)
        try:
            yield store, journal
        finally:
            journal.close()
    finally:
        store.close()
