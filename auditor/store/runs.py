"""Writing runs into the store, and reading their inventory back (port RunStore)."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

from auditor.errors import AuditError
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse
from auditor.model.account import Account, AccountId
from auditor.model.compliance import ControlResult
from auditor.model.finding import JudgedKey
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.run import Run, RunResults
from auditor.store import cursor, seal
from auditor.store.damage import not_whole, reads
from auditor.store.encoding import dump_unknown, dumps, instant
from auditor.store.lease import give_back, take
from auditor.store.output import LATEST
from auditor.store.rows import (
    Row,
    account_row,
    control_row,
    exemption_row,
    finding_rows,
    judged_row,
    key_rows,
    parse_identity,
    parse_inventory,
    parse_key,
    parse_run,
    parse_source,
    run_row,
    source_row,
    use_columns,
    user_row,
)
from auditor.store.schema import JUDGEMENT, open_database

_STALE = timedelta(days=1)
"""After which a run of another machine that left its lease behind may be resumed."""
_AT_ONCE = 100
"""Judged keys held in memory, to be written together."""
_COLUMNS = {"user": 8, "access_key": 13, "judged_key": 6, "finding": 17}
"""Of the tables with many rows, all of them: their rows are tuples in the schema's order."""
_BY_ACCOUNT = frozenset({"judged_key", "finding"})
"""The tables of a judgement that are written account by account."""
_MOST_VALUES = 999
"""Of one statement, for any SQLite. Around each it gives the interpreter away and waits for it,
while the event loop in the other thread wants it as much: so one writes many rows."""


@cache
def _filling(schema: str, table: str, rows: int) -> str:
    row = f"({', '.join('?' * _COLUMNS[table])})"
    return f"INSERT INTO {schema}.{table} VALUES {', '.join([row] * rows)}"  # noqa: S608 -- names of ours


_place = itemgetter(2, 3, slice(4, 5))
"""What rows of an account are in the order of: user, position, and the rule of a finding."""


class SqliteRunStore:
    """Runs in one SQLite file; used by one thread at a time."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        self._connection = open_database(path, create=create)
        self._ahead: dict[str, set[str]] = defaultdict(set)
        """The accounts of a run that have what is to be recorded of them."""
        self._digests: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        """Of the rows of an account in a table, as this process wrote them, by run."""

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file, for reports to read from."""
        return self._connection

    @contextmanager
    def lease(self, run_id: str, *, now: datetime) -> Iterator[None]:
        """Keep the run to this process while the context lasts; raise AuditError if it is taken."""
        taken = AuditError(
            f"run {run_id} is still being scanned by another process",
            hint="wait for it; after a crash on another machine, a day",
        )
        with self._transaction():
            mine = take(self._connection, run_id, now=now, stale=_STALE, taken=taken)
        try:
            yield
        finally:
            with suppress(AuditError), self._transaction():  # the next to look sees that we ended
                give_back(self._connection, run_id, mine)

    def begin(self, run: Run, accounts: Sequence[Account]) -> None:
        """Commit the run and its accounts, each still unread."""
        with self._transaction():
            self._insert("run", run_row(run))
            for position, source in enumerate(run.sources):
                self._insert("policy_source", source_row(run.id, position, source))
            for account in accounts:
                self._insert("account", account_row(run.id, account))

    def save(self, run_id: str, inventory: AccountInventory) -> None:
        """Commit one account, whole, in place of what was there of it."""
        account_id = inventory.account.id
        with self._transaction():
            seal.unseal(self._connection, run_id)
            for table in ("user", "access_key"):
                self._delete(table, run_id, account_id)
            users = (user_row(run_id, account_id, user.identity) for user in inventory.users)
            keys = (key_rows(run_id, account_id, user) for user in inventory.users)
            self._fill_account(run_id, account_id, "user", users)
            self._fill_account(run_id, account_id, "access_key", chain.from_iterable(keys))
            self._note_inactive(run_id, account_id)
            self._connection.execute(
                "UPDATE account SET outcome = ?, via = ?, role_arn = ?, credential_report_at = ?,"
                " root_keys_unknown = ?, users = ?, keys = ?, errors = ?"
                " WHERE run_id = ? AND id = ?",
                (
                    inventory.outcome,
                    inventory.via,
                    inventory.role_arn,
                    instant(inventory.credential_report_at),
                    dump_unknown(inventory.root_keys_unknown),
                    sum(not user.identity.root for user in inventory.users),
                    sum(len(user.keys) for user in inventory.users),
                    dumps([asdict(error) for error in inventory.errors]),
                    run_id,
                    account_id,
                ),
            )

    def _note_inactive(self, run_id: str, account_id: str) -> None:
        """Keep since when keys of an account have been seen inactive, over all runs."""
        place = {"run": run_id, "account": account_id, "active": KeyStatus.ACTIVE}
        saved = "FROM access_key WHERE run_id = :run AND account_id = :account"
        self._connection.execute(
            # The plus: to look for each of the few inactive keys, not for each active one.
            "DELETE FROM inactive_key WHERE account_id = :account AND +access_key_id IN"  # noqa: S608
            f" (SELECT id {saved} AND status = :active)",
            place,
        )
        self._connection.execute(
            "INSERT OR IGNORE INTO inactive_key (account_id, access_key_id, since)"  # noqa: S608
            " SELECT account_id, id, (SELECT started_at FROM main.run WHERE id = :run)"
            f" {saved} AND status != :active AND id IS NOT NULL",
            place,
        )

    def set_last_uses(self, run_id: str, uses: Mapping[AccessKeyId, LastUse]) -> None:
        """Commit the last uses of single keys that were asked for again."""
        self._digests.pop(run_id, None)
        with self._transaction():
            seal.unseal(self._connection, run_id)
            self._connection.executemany(
                "UPDATE access_key SET last_used_state = ?, last_used_at = ?,"
                " last_used_service = ?, last_used_region = ?, unknown = ?"
                " WHERE run_id = ? AND id = ?",
                ((*use_columns(use), run_id, key_id) for key_id, use in uses.items()),
            )

    def finish(self, run: Run) -> None:
        """Commit the end of the run: its time, its calls, its throttles."""
        with self._transaction():
            seal.unseal(self._connection, run.id)
            self._connection.execute(
                "UPDATE run SET finished_at = ?, api_calls = ?, throttled = ? WHERE id = ?",
                (
                    instant(run.finished_at),
                    dumps(dict(sorted(run.api_calls.items()))),
                    run.throttled,
                    run.id,
                ),
            )

    def judge_ahead(self, run_id: str, judged: Sequence[JudgedKey]) -> None:
        """Commit what the policies said of some accounts, whole; it counts once `record` is done.

        Raises AuditError where that can't be.
        """
        with self._transaction():
            seal.unseal(self._connection, run_id)
            for account_id, keys in groupby(judged, key=lambda key: key.account_id):
                for table, rows in _judged_rows(run_id, list(keys)).items():
                    self._delete(table, run_id, account_id)
                    self._fill_account(run_id, account_id, table, rows)
        self._ahead[run_id] |= {key.account_id for key in judged}

    def record(
        self, run_id: str, judged: Iterator[JudgedKey], results: Callable[[], RunResults]
    ) -> None:
        """Commit what the policies said, in one transaction, in place of an earlier judgement.

        That is what was committed ahead, and `judged`. Judging fills scratch tables first, so the
        file is locked for the copying alone.
        """
        self._judge_into_scratch(run_id, judged, results)
        with self._transaction():
            self._delete_judgement(run_id, but_of=self._ahead[run_id])
            for table in JUDGEMENT:
                self._connection.execute(f"INSERT INTO main.{table} SELECT * FROM temp.{table}")  # noqa: S608
            self._connection.execute("UPDATE main.run SET judged = 1 WHERE id = ?", (run_id,))
            seal.seal(self._connection, run_id, self._digests.pop(run_id, seal.NONE_KNOWN))
        self._ahead.pop(run_id)
        self._drop_scratch()

    def rejudge(
        self, run: Run, judged: Iterator[JudgedKey], results: Callable[[], RunResults]
    ) -> None:
        """Let reports see the run as it is given here and judged anew; the file stays as it is."""
        self._judge_into_scratch(run.id, judged, results)
        with self._transaction("BEGIN"):
            self._connection.execute("CREATE TEMP TABLE run AS SELECT * FROM main.run WHERE 0")
            self._insert("temp.run", run_row(run) | {"judged": 1})
            self._connection.execute("CREATE TEMP TABLE seal AS SELECT * FROM main.seal WHERE 0")

    def _judge_into_scratch(
        self, run_id: str, judged: Iterator[JudgedKey], results: Callable[[], RunResults]
    ) -> None:
        """Fill temporary tables, which stand before the file's own of the same name."""
        with self._transaction("BEGIN"):
            self._make_scratch()
            while keys := list(islice(judged, _AT_ONCE)):
                for table, rows in _judged_rows(run_id, keys).items():
                    self._fill("temp", table, rows)
            found = results()
            for result in found.controls:
                self._record_control(run_id, result)
            for exemption in found.exemptions:
                self._insert("temp.exemption", exemption_row(run_id, exemption))

    def _delete_judgement(self, run_id: str, *, but_of: Set[str]) -> None:
        rows = self._connection.execute("SELECT id FROM account WHERE run_id = ?", (run_id,))
        others = [account_id for (account_id,) in rows.fetchall() if account_id not in but_of]
        for table in JUDGEMENT:
            if table in _BY_ACCOUNT:
                for account_id in others:
                    self._delete(table, run_id, account_id)
            else:
                self._connection.execute(f"DELETE FROM main.{table} WHERE run_id = ?", (run_id,))  # noqa: S608

    def _delete(self, table: str, run_id: str, account_id: str) -> None:
        self._connection.execute(
            f"DELETE FROM main.{table} WHERE run_id = ? AND account_id = ?",  # noqa: S608
            (run_id, account_id),
        )

    def _make_scratch(self) -> None:
        self._drop_scratch()
        for table, body in JUDGEMENT.items():
            self._connection.execute(f"CREATE TEMP TABLE {table} {body}")

    def _drop_scratch(self) -> None:
        for table in ("run", "seal", *JUDGEMENT):
            self._connection.execute(f"DROP TABLE IF EXISTS temp.{table}")

    @reads
    def run(self, name: str, *, to_resume: bool = False) -> Run:
        """Return a run by its id, or the newest judged one for `latest`; raise AuditError.

        Where no run has been judged, and with `to_resume`, `latest` is the run begun last. A
        judged run is found to be as it was sealed.
        """
        order = "rowid DESC" if to_resume else "judged DESC, rowid DESC"
        newest = next(self._select(f"SELECT * FROM main.run ORDER BY {order} LIMIT 1"), None)  # noqa: S608 -- one of the two above
        if newest is None:
            raise AuditError(f"there is no run in {self._path} yet", hint="scan first")
        row: sqlite3.Row | None = newest
        if name != LATEST:
            row = next(self._select("SELECT * FROM main.run WHERE id = ?", name), None)
        if row is None:
            hint = f"the newest is {newest['id']}"
            raise AuditError(f"there is no run {name!r} in {self._path}", hint=hint)
        sources = self._select(
            "SELECT * FROM policy_source WHERE run_id = ? ORDER BY position", row["id"]
        )
        found = parse_run(row, tuple(parse_source(source) for source in sources))
        seal.check_run(self._connection, found.id)
        return found

    @reads
    def newer_unjudged(self, run_id: str) -> str | None:
        """Return the newest run after this one, where it was not judged; None where it was."""
        query = "SELECT id, judged FROM main.run ORDER BY rowid DESC LIMIT 1"
        row = next(self._select(query), None)
        if row is None or row["judged"] or row["id"] == run_id:
            return None
        return str(row["id"])

    @reads
    def digest(self, run_id: str) -> str | None:
        """Return the digest that seals a run; None where it is not sealed."""
        return seal.digest(self._connection, run_id)

    def check_whole(self) -> None:
        """Raise AuditError where the file is damaged."""
        try:
            [(found,)] = self._connection.execute("PRAGMA quick_check(1)")
        except sqlite3.DatabaseError as error:
            found = str(error)
        if found != "ok":
            raise not_whole(self._path, str(found))

    def unread(self, run_id: str, unfinished: str) -> frozenset[AccountId]:
        """Return the accounts of a run that were not read to their end.

        Those that were never begun, and those of which an error has the code `unfinished`.
        """
        rows = self._select(
            "SELECT id FROM account WHERE run_id = ? AND (outcome IS NULL OR EXISTS"
            " (SELECT 1 FROM json_each(errors) WHERE value ->> 'code' = ?))",
            run_id,
            unfinished,
        )
        return frozenset(AccountId(row["id"]) for row in rows)

    @reads
    def judged(self, run_id: str) -> bool:
        """Whether the judgement of the run was recorded; a scan that was killed has none."""
        row = next(self._select("SELECT judged FROM main.run WHERE id = ?", run_id))
        return bool(row["judged"])

    @reads
    def accounts(self, run_id: str) -> Iterator[AccountInventory]:
        """Yield the accounts of a run in order of id, without their users."""
        for row in self._select("SELECT * FROM account WHERE run_id = ? ORDER BY id", run_id):
            yield parse_inventory(row)

    @reads
    def users(self, run_id: str, account_id: AccountId) -> Iterator[UserInventory]:
        """Yield the users of an account in order of name, each with all its keys."""
        keys = groupby(
            self._select(
                "SELECT * FROM access_key WHERE run_id = ? AND account_id = ?"
                " ORDER BY user_name, position",
                run_id,
                account_id,
            ),
            key=lambda row: str(row[2]),
        )
        owner, owned = next(keys, (None, iter(())))
        for row in self._select(
            "SELECT * FROM user WHERE run_id = ? AND account_id = ? ORDER BY name",
            run_id,
            account_id,
        ):
            mine: tuple[AccessKey, ...] = ()
            if row[2] == owner:
                mine = tuple(parse_key(key) for key in owned)
                owner, owned = next(keys, (None, iter(())))
            yield UserInventory(identity=parse_identity(row), keys=mine)

    @reads
    def find(self, run_id: str, key: str) -> list[tuple[AccountId, str]]:
        """Return account and user of an access key id, or of `ACCOUNT/USER` as it is."""
        account_id, slash, user_name = key.partition("/")
        rows = self._select(
            "SELECT DISTINCT account_id, user_name,"
            " EXISTS (SELECT 1 FROM account WHERE run_id = access_key.run_id AND id = account_id)"
            " AND EXISTS (SELECT 1 FROM user WHERE run_id = access_key.run_id"
            "  AND user.account_id = access_key.account_id AND name = user_name) AS owned"
            " FROM access_key"
            " WHERE run_id = ? AND ((? AND account_id = ? AND user_name = ?) OR id = ?)"
            " ORDER BY account_id, user_name",
            run_id,
            bool(slash),
            account_id,
            user_name,
            key,
        )
        found = list(rows)
        if not all(row["owned"] for row in found):
            raise LookupError("a key of nobody")
        return [(AccountId(row["account_id"]), str(row["user_name"])) for row in found]

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """Commit all that is done inside, or nothing of it; raise AuditError where it can't be."""
        try:
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._digests.clear()  # of rows that may not have been kept
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:  # the disk, the lock; a bug is another error
            raise AuditError(
                f"the store {self._path} can't be written: {error}",
                hint="free the disk or the lock, and scan again; --resume goes on with a run",
            ) from None
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            raise not_whole(self._path, str(error)) from None

    def _insert(self, table: str, row: dict[str, object]) -> None:
        self._connection.execute(_insertion(table, tuple(row)), tuple(row.values()))

    def _fill_account(self, run_id: str, account_id: str, table: str, rows: Iterable[Row]) -> None:
        """Write all rows of an account in a table, in the order of their keys, and digest them."""
        in_order = sorted(rows, key=_place)
        self._fill("main", table, in_order)
        self._digests[run_id][table, account_id] = seal.digest_of(in_order)

    def _fill(self, schema: str, table: str, rows: Iterable[Row]) -> None:
        left, together = iter(rows), _MOST_VALUES // _COLUMNS[table]
        while some := list(islice(left, together)):
            values = tuple(chain.from_iterable(some))
            self._connection.execute(_filling(schema, table, len(some)), values)

    def _select(self, query: str, *arguments: object) -> Iterator[sqlite3.Row]:
        return cursor.rows(self._connection, query, arguments)

    def _record_control(self, run_id: str, result: ControlResult) -> None:
        for account_id, counts in result.accounts.items():
            self._insert("temp.control_result", control_row(run_id, result, account_id, counts))


def _judged_rows(run_id: str, keys: Sequence[JudgedKey]) -> Mapping[str, Iterable[Row]]:
    known = (key for key in keys if key.position is not None)
    findings = (finding_rows(run_id, key) for key in keys)
    return {
        "judged_key": (judged_row(run_id, key) for key in known),
        "finding": chain.from_iterable(findings),
    }


@cache
def _insertion(table: str, names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 -- names of ours
