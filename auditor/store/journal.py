"""Plans, what was done about them, and who may do it now (port Journal).

A connection of its own, with full syncs: a line is on the disk before the next step.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId
from auditor.model.account import AccountId
from auditor.model.outcome import JournalLine, Result, Step
from auditor.model.plan import Action, ActionKind, Plan
from auditor.remediation import journal as written
from auditor.remediation.planner import KeyHistory, Rotation
from auditor.store import cursor, plan_file, seal
from auditor.store.damage import reads
from auditor.store.encoding import certain, dumps, instant, load_mapping, of
from auditor.store.lease import give_back, take
from auditor.store.schema import open_database

_STALE = timedelta(minutes=15)
"""After which a lease of another machine that nobody renewed is taken over."""


class SqliteJournal:
    """The journal in the store's file; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file; raise AuditError where lines are not as they were written."""
        self._path = path
        self._connection = open_database(path, create=False)
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            seal.check_journal(self._connection)
        except AuditError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def record_plan(self, plan: Plan) -> str:
        """Commit a plan, so that it can be applied from this store; return its digest."""
        document = plan_file.document(plan)
        with self._transaction():
            self._connection.execute(
                "INSERT INTO plan (id, run_id, created_at, undoes, sha256, document)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    plan.id,
                    plan.run_id,
                    instant(plan.created_at),
                    plan.undoes,
                    document["sha256"],
                    dumps(document),
                ),
            )
        return str(document["sha256"])

    @reads
    def check_known(self, plan: Plan, sha256: str) -> None:
        """Raise AuditError unless exactly this plan was made in this store."""
        row = self._one("SELECT * FROM plan WHERE id = ?", plan.id)
        if row is not None:
            plan_file.check_row(row)
        if row is None or row["sha256"] != sha256:
            raise AuditError(
                f"plan {plan.id} was not made in {self._path}",
                hint="name the store that it was made in, with --store or --output",
            )

    @reads
    def plans(self, run_id: str) -> list[Plan]:
        """Return the plans of a run, in the order they were made."""
        rows = self._all("SELECT * FROM plan WHERE run_id = ? ORDER BY rowid", run_id)
        return [plan_file.parse_row(row) for row in rows]

    @reads
    def plan(self, plan_id: str) -> Plan:
        """Return a plan by its id; raise AuditError for one that was not made here."""
        row = self._one("SELECT * FROM plan WHERE id = ?", plan_id)
        if row is None:
            raise AuditError(
                f"there is no plan {plan_id!r} in {self._path}",
                hint="name the store that it was made in, with --store or --output",
            )
        return plan_file.parse_row(row)

    @reads
    def last_change(self, account_id: str, key_id: str) -> JournalLine | None:
        """Return the last line that made a key active or inactive, or deleted it."""
        row = self._one(
            "SELECT * FROM journal WHERE account_id = ? AND access_key_id = ?"
            " AND step = 'outcome' AND kind IN ('activate', 'deactivate', 'delete')"
            " AND detail ->> 'result' = 'applied' ORDER BY sequence DESC LIMIT 1",
            account_id,
            key_id,
        )
        return None if row is None else _line(row)

    def append(
        self,
        *,
        at: datetime,
        plan: Plan,
        action: Action,
        step: Step,
        detail: Mapping[str, object],
    ) -> None:
        """Add a line; it is on the disk on return. Raises AuditError."""
        line = (
            instant(at),
            plan.id,
            plan.run_id,
            action.id,
            action.account_id,
            action.user_name,
            action.access_key_id,
            action.kind,
            step,
            dumps(dict(detail)),
        )
        with self._transaction():
            link = seal.next_link(self._connection, line)
            self._connection.execute(_APPENDING, (*line, link))
            if step is Step.OUTCOME and detail["result"] == Result.APPLIED:
                self._note_status(action, at)
            self._connection.execute(
                "UPDATE lease SET renewed_at = ? WHERE plan_id = ?", (instant(at), plan.id)
            )

    def _note_status(self, action: Action, at: datetime) -> None:
        """Keep since when a key has been inactive; scans that see it active forget it."""
        key = (action.account_id, action.access_key_id)
        if action.kind is ActionKind.DEACTIVATE:
            query = "INSERT OR IGNORE INTO inactive_key VALUES (?, ?, ?)"
            self._connection.execute(query, (*key, instant(at)))
        elif action.kind is ActionKind.ACTIVATE:
            query = "DELETE FROM inactive_key WHERE account_id = ? AND access_key_id = ?"
            self._connection.execute(query, key)

    @reads
    def lines(self, plan_id: str) -> Sequence[JournalLine]:
        """Return the lines of a plan, in order."""
        return [
            _line(row)
            for row in self._all(
                "SELECT * FROM journal WHERE plan_id = ? ORDER BY sequence", plan_id
            )
        ]

    @reads
    def lines_of_run(self, run_id: str) -> Sequence[JournalLine]:
        """Return the lines of all plans of a run, in order."""
        return [
            _line(row)
            for row in self._all("SELECT * FROM journal WHERE run_id = ? ORDER BY sequence", run_id)
        ]

    @reads
    def history(self, account_id: AccountId, key_id: AccessKeyId) -> KeyHistory:
        """Return what was done to a key before, and since when it has been inactive."""
        seen = self._one(
            "SELECT since FROM inactive_key WHERE account_id = ? AND access_key_id = ?",
            account_id,
            key_id,
        )
        restored: datetime | None = None
        by_kind: dict[ActionKind, list[JournalLine]] = {}
        for row in self._all(
            "SELECT * FROM journal WHERE account_id = ? AND access_key_id = ? ORDER BY sequence",
            account_id,
            key_id,
        ):
            line = _line(row)
            by_kind.setdefault(line.kind, []).append(line)
            applied = line.step is Step.OUTCOME and line.detail["result"] == Result.APPLIED
            if applied and line.kind is ActionKind.ACTIVATE:
                restored = line.at
        rotation = _rotation(by_kind.get(ActionKind.ROTATE, ()))
        return KeyHistory(
            inactive_since=None if seen is None else certain(seen["since"]),
            restored_at=restored,
            rotation=rotation,
        )

    @contextmanager
    def lease(self, plan: Plan, *, now: datetime) -> Iterator[None]:
        """Keep the plan to this process while the context lasts; raise AuditError if it is taken.

        A process that died leaves its lease behind; on this machine that shows at once.
        """
        taken = AuditError(
            f"plan {plan.id} is being applied by another process",
            hint="wait for it; after a crash on another machine, 15 minutes",
        )
        with self._transaction():
            mine = take(self._connection, plan.id, now=now, stale=_STALE, taken=taken)
        try:
            yield
        finally:
            with self._transaction():
                give_back(self._connection, plan.id, mine)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise AuditError(
                f"the journal in {self._path} can't be written: {error}",
                hint="free the disk or the lock, then apply with --resume",
            ) from None

    def _all(self, query: str, *arguments: object) -> Iterator[sqlite3.Row]:
        return cursor.rows(self._connection, query, arguments)

    def _one(self, query: str, *arguments: object) -> sqlite3.Row | None:
        return next(self._all(query, *arguments), None)


_APPENDING = (
    f"INSERT INTO journal ({', '.join(seal.LINE)}, digest)"  # noqa: S608 -- names of ours
    f" VALUES ({', '.join('?' * len(seal.LINE))}, ?)"
)
_NEEDED = {
    Step.CREATED: ("new_key_id", "request_id"),
    Step.STORED: ("new_key_id", "secret_in"),
    Step.OUTCOME: ("result", "reason"),
}


def _line(row: sqlite3.Row) -> JournalLine:
    detail, step = load_mapping(row["detail"]), Step(row["step"])
    for name in _NEEDED.get(step, ()):
        of(detail[name], str)
    if step is Step.OUTCOME:
        written.parse(detail)
    return JournalLine(
        sequence=row["sequence"],
        at=certain(row["at"]),
        plan_id=row["plan_id"],
        run_id=row["run_id"],
        action_id=row["action_id"],
        account_id=row["account_id"],
        user_name=row["user_name"],
        access_key_id=row["access_key_id"],
        kind=ActionKind(row["kind"]),
        step=step,
        detail=detail,
        digest=row["digest"],
    )


def _rotation(lines: Sequence[JournalLine]) -> Rotation | None:
    """Return the last rotation that did, or may have done, something; not one that was refused."""
    attempts: list[list[JournalLine]] = []
    for line in lines:
        if line.step is Step.INTENT:
            attempts.append([])
        if attempts:
            attempts[-1].append(line)
    for attempt in reversed(attempts):
        outcome = written.outcome(attempt)
        if outcome is not None and outcome.result in {Result.REFUSED, Result.DRIFTED}:
            continue
        created = next((line for line in attempt if line.step is Step.CREATED), None)
        return Rotation(
            plan_id=attempt[0].plan_id,
            new_key_id=None if created is None else AccessKeyId(str(created.detail["new_key_id"])),
            finished=outcome is not None and outcome.result is Result.APPLIED,
        )
    return None
