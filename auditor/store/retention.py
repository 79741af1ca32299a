"""Which runs may go, and removing them: never the journal, nor what somebody may yet need.

The journal is evidence: its lines stay, and the plans that they are about.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from auditor.errors import AuditError
from auditor.model.outcome import Result
from auditor.model.plan import ActionKind, Plan
from auditor.remediation import journal as written
from auditor.store import seal
from auditor.store.damage import reads
from auditor.store.encoding import certain
from auditor.store.journal import SqliteJournal

_PERHAPS_RUNNING = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """One run beyond what is to be kept: to be removed, or why not."""

    id: str
    started_at: datetime
    because: str | None
    """Why it stays all the same; None for one that may go."""


class Retention:
    """Looks through the runs of a store, and removes some."""

    def __init__(self, connection: sqlite3.Connection, journal: SqliteJournal, path: Path) -> None:
        self._connection = connection
        self._journal = journal
        self._path = path

    @reads
    def beyond(
        self, *, keep: int | None, keep_for: timedelta | None, now: datetime
    ) -> list[Retained]:
        """Return the runs that are neither among the newest `keep` nor as young as `keep_for`.

        The oldest come first. Never among them are the newest run, the newest finished one, and
        those that `latest` means: the newest judged one, and the newest that is both.
        """
        runs = self._connection.execute(
            "SELECT id, started_at, finished_at, judged FROM main.run ORDER BY rowid DESC"
        ).fetchall()
        finished = [run for run in runs if run[2] is not None]
        judged = [run for run in runs if run[3]]
        both = [run for run in finished if run[3]]
        newest = {run[0] for some in (runs, finished, judged, both) for run in some[:1]}
        told = []
        for place, (run_id, started_at, finished_at, _) in enumerate(runs):
            age = now - certain(started_at)
            kept = (keep is not None and place < keep) or (keep_for is not None and age <= keep_for)
            if not kept and run_id not in newest:
                running = finished_at is None and age < _PERHAPS_RUNNING
                because = "it may still be running" if running else self._needed(run_id, now)
                told.append(Retained(id=run_id, started_at=certain(started_at), because=because))
        return told[::-1]

    def remove(self, run_id: str) -> None:
        """Remove a run in one transaction; raise AuditError where that can't be done."""
        with self._writing():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for table in seal.TABLES:
                    self._connection.execute(
                        f"DELETE FROM main.{table} WHERE run_id = ?",  # noqa: S608 -- names of ours
                        (run_id,),
                    )
                self._connection.execute(
                    "DELETE FROM main.plan WHERE run_id = ?"
                    " AND NOT EXISTS (SELECT 1 FROM main.journal WHERE plan_id = plan.id)",
                    (run_id,),
                )
                self._connection.execute("DELETE FROM main.run WHERE id = ?", (run_id,))
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def shrink(self) -> None:
        """Give the space back to the disk; raise AuditError where that can't be done now."""
        with self._writing():
            self._connection.execute("VACUUM")
            with suppress(sqlite3.OperationalError):  # somebody reads: the next one does it
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _needed(self, run_id: str, now: datetime) -> str | None:
        """Return what is left to do with the plans of a run; None where nothing is."""
        for plan in self._journal.plans(run_id):
            if self._connection.execute(
                "SELECT 1 FROM main.lease WHERE plan_id = ?", (plan.id,)
            ).fetchone():
                return f"{plan.id} is being applied, or was cut off"
            actions = written.by_action(self._journal.lines(plan.id))
            if any(written.is_open(lines) for lines in actions.values()):
                return f"{plan.id} was cut off: apply it with --resume"
            if any(self._undoable(plan, lines) for lines in actions.values()):
                return f"{plan.id} can be undone"
            if plan.actions and not actions and plan.applicable and now < plan.expires_at:
                return f"{plan.id} can still be applied"
        return None

    def _undoable(self, plan: Plan, lines: written.Lines) -> bool:
        """Whether a key is inactive because of the plan, as far as the journal knows."""
        outcome = written.outcome(lines)
        if outcome is None or outcome.result is not Result.APPLIED:
            return False
        last = self._journal.last_change(lines[-1].account_id, lines[-1].access_key_id)
        mine = last is not None and last.plan_id == plan.id
        return mine and lines[-1].kind is ActionKind.DEACTIVATE

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise AuditError(
                f"the store {self._path} can't be written: {error}",
                hint="free the disk or the lock, and try again",
            ) from None
