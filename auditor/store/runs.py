"""Writing runs into the store, and reading their inventory back (port RunStore)."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from auditor.errors import AuditError
from auditor.model.access_key import AccessKey, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import Account, AccountId, AccountState, OutcomeKind, Via
from auditor.model.compliance import ControlResult
from auditor.model.finding import Finding, JudgedKey
from auditor.model.identity import Identity
from auditor.model.inventory import AccountInventory, ReadError, UserInventory
from auditor.model.run import Run
from auditor.model.unknown import Unknown
from auditor.store.encoding import (
    dump_facts,
    dump_unknown,
    dumps,
    instant,
    load_facts,
    load_unknown,
    loads,
    parse_instant,
)
from auditor.store.schema import open_database

_JUDGEMENT = ("judged_key", "finding", "control_result")

NO_KEY = -1
"""The position of a finding of which it is not known whether there is a key."""


class SqliteRunStore:
    """Runs in one SQLite file; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_database(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file, for reports to read from."""
        return self._connection

    def begin(self, run: Run, accounts: Sequence[Account]) -> None:
        """Commit the run and its accounts, each still unread."""
        with self._transaction():
            self._insert("run", _run_row(run))
            for account in accounts:
                self._insert("account", _account_row(run.id, account))

    def save(self, run_id: str, inventory: AccountInventory) -> None:
        """Commit one account, whole, in place of what was there of it."""
        account_id = inventory.account.id
        with self._transaction():
            for table in ("user", "access_key"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE run_id = ? AND account_id = ?",  # noqa: S608
                    (run_id, account_id),
                )
            for user in inventory.users:
                self._insert("user", _user_row(run_id, account_id, user.identity))
                for position, key in enumerate(user.keys):
                    row = _key_row(run_id, account_id, user.identity.name, position, key)
                    self._insert("access_key", row)
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

    def finish(self, run: Run) -> None:
        """Commit the end of the run: its time, its calls, its throttles."""
        with self._transaction():
            self._connection.execute(
                "UPDATE run SET finished_at = ?, api_calls = ?, throttled = ? WHERE id = ?",
                (
                    instant(run.finished_at),
                    dumps(dict(sorted(run.api_calls.items()))),
                    run.throttled,
                    run.id,
                ),
            )

    def record(
        self,
        run_id: str,
        judged: Iterator[JudgedKey],
        results: Callable[[], Sequence[ControlResult]],
    ) -> None:
        """Commit what the policies said, in one transaction, in place of an earlier judgement.

        Judging fills scratch tables first, so the file is locked for the copying alone.
        """
        self._judge_into_scratch(run_id, judged, results)
        with self._transaction():
            for table in _JUDGEMENT:
                self._connection.execute(f"DELETE FROM main.{table} WHERE run_id = ?", (run_id,))  # noqa: S608
                self._connection.execute(f"INSERT INTO main.{table} SELECT * FROM temp.{table}")  # noqa: S608
        self._drop_scratch()

    def _judge_into_scratch(
        self,
        run_id: str,
        judged: Iterator[JudgedKey],
        results: Callable[[], Sequence[ControlResult]],
    ) -> None:
        """Fill temporary tables, which stand before the file's own of the same name."""
        self._drop_scratch()
        with self._transaction("BEGIN"):
            for table in _JUDGEMENT:
                self._connection.execute(
                    f"CREATE TEMP TABLE {table} AS SELECT * FROM main.{table} WHERE 0"  # noqa: S608
                )
            for key in judged:
                self._record_key(run_id, key)
            for result in results():
                self._record_result(run_id, result)

    def _drop_scratch(self) -> None:
        for table in _JUDGEMENT:
            self._connection.execute(f"DROP TABLE IF EXISTS temp.{table}")

    def accounts(self, run_id: str) -> Iterator[AccountInventory]:
        """Yield the accounts of a run in order of id, without their users."""
        for row in self._select("SELECT * FROM account WHERE run_id = ? ORDER BY id", run_id):
            yield _inventory(row)

    def users(self, run_id: str, account_id: AccountId) -> Iterator[UserInventory]:
        """Yield the users of an account in order of name, each with all its keys."""
        keys = groupby(
            self._select(
                "SELECT * FROM access_key WHERE run_id = ? AND account_id = ?"
                " ORDER BY user_name, position",
                run_id,
                account_id,
            ),
            key=lambda row: str(row["user_name"]),
        )
        owner, owned = next(keys, (None, iter(())))
        for row in self._select(
            "SELECT * FROM user WHERE run_id = ? AND account_id = ? ORDER BY name",
            run_id,
            account_id,
        ):
            mine: tuple[AccessKey, ...] = ()
            if row["name"] == owner:
                mine = tuple(_key(key) for key in owned)
                owner, owned = next(keys, (None, iter(())))
            yield UserInventory(identity=_identity(row), keys=mine)

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """Commit all that is done inside, or nothing of it; raise AuditError where it can't be."""
        try:
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:  # the disk, the lock; a bug is another error
            raise AuditError(
                f"the store {self._path} can't be written: {error}",
                hint="free the disk or the lock, and scan again",
            ) from None

    def _insert(self, table: str, row: dict[str, object]) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 -- names of ours
            tuple(row.values()),
        )

    def _select(self, query: str, *arguments: object) -> Iterator[sqlite3.Row]:
        with closing(self._connection.cursor()) as cursor:
            cursor.row_factory = sqlite3.Row
            yield from cursor.execute(query, arguments)

    def _record_key(self, run_id: str, key: JudgedKey) -> None:
        place = {
            "run_id": run_id,
            "account_id": key.account_id,
            "user_name": key.user_name,
            "position": NO_KEY if key.position is None else key.position,
        }
        if key.position is not None:
            judgement = {"user_class": key.user_class, "violations": dumps(key.violations)}
            self._insert("judged_key", place | judgement)
        for finding in key.findings:
            self._insert("finding", place | _finding_row(finding))

    def _record_result(self, run_id: str, result: ControlResult) -> None:
        for account_id, counts in result.accounts.items():
            self._insert(
                "control_result",
                {
                    "run_id": run_id,
                    "framework": result.control.framework,
                    "control": result.control.id,
                    "account_id": account_id,
                    "unit": result.control.unit,
                    **asdict(counts),
                },
            )


def _run_row(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "now": instant(run.now),
        "source": run.source,
        "partition": run.partition,
        "caller_arn": run.caller_arn,
        "policies": dumps([asdict(policy) for policy in run.policies]),
        "rules": dumps([asdict(rule) for rule in run.rules]),
        "api_calls": dumps(dict(run.api_calls)),
        "throttled": run.throttled,
    }


def _account_row(run_id: str, account: Account) -> dict[str, object]:
    return {
        "run_id": run_id,
        "id": account.id,
        "name": account.name,
        "ou": account.ou,
        "state": account.state,
        "tags": None if account.tags is None else dumps(dict(account.tags)),
        "ou_unknown": dump_unknown(account.ou_unknown),
        "tags_unknown": dump_unknown(account.tags_unknown),
        "skip": account.skip,
        "outcome": OutcomeKind.SKIPPED if account.skip else None,
    }


def _user_row(run_id: str, account_id: str, identity: Identity) -> dict[str, object]:
    return {
        "run_id": run_id,
        "account_id": account_id,
        "name": identity.name,
        "arn": identity.arn,
        "path": identity.path,
        "created_at": instant(identity.created_at),
        "root": int(identity.root),
        "facts": dump_facts(identity),
    }


def _key_row(
    run_id: str, account_id: str, user_name: str, position: int, key: AccessKey
) -> dict[str, object]:
    row: dict[str, object] = {
        "run_id": run_id,
        "account_id": account_id,
        "user_name": user_name,
        "position": position,
        "id": key.id,
        "slot": key.slot,
        "status": key.status,
        "created_at": instant(key.created_at),
    }
    match key.last_use:
        case Used(at=at, service=service, region=region):
            row |= {"last_used_state": "used", "last_used_at": instant(at)}
            row |= {"last_used_service": service, "last_used_region": region}
        case NeverUsed():
            row |= {"last_used_state": "never"}
        case Unknown() as unknown:
            row |= {"last_used_state": "unknown", "unknown": dump_unknown(unknown)}
    return row


def _finding_row(finding: Finding) -> dict[str, object]:
    return {
        "rule_id": finding.rule_id,
        "id": finding.id,
        "title": finding.title,
        "severity": finding.severity,
        "status": finding.status,
        "access_key_id": finding.access_key_id,
        "message": finding.message,
        "remedy": finding.remedy,
        "controls": dumps(finding.controls),
        "exemption": finding.exemption,
        "unknown_operation": finding.unknown_operation,
        "unknown_code": finding.unknown_code,
    }


def _inventory(row: sqlite3.Row) -> AccountInventory:
    """Return an account; one that was never read counts as unreachable."""
    return AccountInventory(
        account=Account(
            id=AccountId(row["id"]),
            name=row["name"],
            ou=row["ou"],
            state=None if row["state"] is None else AccountState(row["state"]),
            tags=None if row["tags"] is None else loads(row["tags"]),
            ou_unknown=load_unknown(row["ou_unknown"]),
            tags_unknown=load_unknown(row["tags_unknown"]),
            skip=row["skip"],
        ),
        outcome=OutcomeKind(row["outcome"] or OutcomeKind.UNREACHABLE),
        via=None if row["via"] is None else Via(row["via"]),
        role_arn=row["role_arn"],
        credential_report_at=parse_instant(row["credential_report_at"]),
        root_keys_unknown=load_unknown(row["root_keys_unknown"]),
        errors=tuple(ReadError(**error) for error in loads(row["errors"])),
    )


def _identity(row: sqlite3.Row) -> Identity:
    facts: dict[str, Any] = load_facts(row["facts"])
    return Identity(
        name=row["name"],
        arn=row["arn"],
        path=row["path"],
        created_at=parse_instant(row["created_at"]),
        root=bool(row["root"]),
        **facts,
    )


def _key(row: sqlite3.Row) -> AccessKey:
    return AccessKey(
        id=row["id"],
        slot=row["slot"],
        status=KeyStatus(row["status"]),
        created_at=parse_instant(row["created_at"]),
        last_use=_last_use(row),
    )


def _last_use(row: sqlite3.Row) -> LastUse:
    match row["last_used_state"]:
        case "used":
            at = parse_instant(row["last_used_at"])
            if at is None:
                raise ValueError("a used key has a date")
            return Used(at=at, service=row["last_used_service"], region=row["last_used_region"])
        case "never":
            return NeverUsed()
        case _:
            unknown = load_unknown(row["unknown"])
            if unknown is None:
                raise ValueError("an unknown last use has a reason")
            return unknown
