"""Digests by which a change of the store's file shows: one of each judged run, a chain of lines.

They have no key, so who can write the file can make them anew; that is why a run's digest stands in
its reports and plans as well (docs/decisions/0016-tamper-evidence.md).
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import MappingProxyType
from typing import Any

import orjson

from auditor.store import cursor
from auditor.store.damage import changed, reads
from auditor.store.encoding import dumps, load_mapping

NONE_KNOWN: Mapping[tuple[str, str], str] = MappingProxyType({})
_ORDERS = {
    "policy_source": "position",
    "account": "id",
    "user": "account_id, name",
    "access_key": "account_id, user_name, position",
    "judged_key": "account_id, user_name, position",
    "finding": "account_id, user_name, position, rule_id",
    "control_result": "framework, control, account_id",
    "exemption": "policy_id, position",
}
"""The tables of a run by their keys: read in this order nothing is sorted."""
TABLES = (*_ORDERS, "seal")
"""All that have rows of a run, besides its own."""
_ROWS = {"run": "SELECT * FROM main.run WHERE id = ?"} | {
    table: f"SELECT * FROM main.{table} WHERE run_id = ? ORDER BY {order}"  # noqa: S608 -- names of ours
    for table, order in _ORDERS.items()
}
"""All columns count: a version that adds one to these tables has to seal the runs anew."""
_OF_ACCOUNT = "run_id = ? AND account_id = ?"
_ROWS_OF = {
    table: f"SELECT * FROM main.{table} WHERE {_OF_ACCOUNT} ORDER BY {_ORDERS[table]}"  # noqa: S608 -- names of ours
    for table in ("user", "access_key", "judged_key", "finding")
}
"""Those with many rows: they are digested account by account, as they are written."""
_ACCOUNTS = {
    table: f"SELECT DISTINCT account_id FROM main.{table} WHERE run_id = ? ORDER BY account_id"  # noqa: S608 -- names of ours
    for table in _ROWS_OF
}
_FORM = "form"
_BY_ACCOUNT = "by account"
"""What a seal has as its form; the first ones had none, and digested all tables alike."""
_AT_ONCE = 500
LINE = (
    "at", "plan_id", "run_id", "action_id", "account_id", "user_name", "access_key_id", "kind",
    "step", "detail",
)  # fmt: skip
"""The columns of a journal's line that its digest covers, in order."""
_LINES = f"SELECT sequence, digest, {', '.join(LINE)} FROM main.journal ORDER BY sequence"  # noqa: S608
_WRITTEN = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'journal'"
_GONE_RUNS = "SELECT run_id FROM main.seal EXCEPT SELECT id FROM main.run"
_GONE_PLANS = "SELECT plan_id FROM main.journal EXCEPT SELECT id FROM main.plan"


def seal(
    connection: sqlite3.Connection, run_id: str, known: Mapping[tuple[str, str], str] = NONE_KNOWN
) -> None:
    """Note what the store holds of a run that has just been judged, in the same transaction.

    `known` are digests of rows, by their table and account, made when they were written.
    """
    digests = {_FORM: _BY_ACCOUNT, **_digests(connection, run_id, by_account=True, known=known)}
    connection.execute(
        "INSERT OR REPLACE INTO main.seal (run_id, digests) VALUES (?, ?)", (run_id, dumps(digests))
    )


def unseal(connection: sqlite3.Connection, run_id: str) -> None:
    """Take back judgement and seal of a run that is about to change, in the same transaction."""
    connection.execute("UPDATE main.run SET judged = 0 WHERE id = ? AND judged", (run_id,))
    connection.execute("DELETE FROM main.seal WHERE run_id = ?", (run_id,))


def digest(connection: sqlite3.Connection, run_id: str) -> str | None:
    """Return the run's digest as it was sealed.

    None for one that is not judged, was judged by a version that did not seal, or is shown judged
    otherwise than it was.
    """
    kept = _kept(connection, "seal", run_id)
    return None if not kept or kept[0] is None else hashlib.sha256(kept[0].encode()).hexdigest()


@reads
def check_run(connection: sqlite3.Connection, run_id: str) -> None:
    """Raise AuditError where a run is not as it was sealed, or a sealed run is gone."""
    with _one_moment(connection):
        gone = connection.execute(_GONE_RUNS).fetchone()
        if gone:
            raise changed(f"run {gone[0]} was taken out of it")
        [(judged,)] = connection.execute("SELECT judged FROM main.run WHERE id = ?", (run_id,))
        kept = _kept(connection, "main.seal", run_id)
        if bool(judged) != bool(kept):
            raise changed(f"run {run_id} has a judgement and no seal, or a seal and no judgement")
        if not kept or kept[0] is None:  # not judged, or by a version that did not seal
            return
        sealed = load_mapping(kept[0], str)
        form = {_FORM: sealed[_FORM]} if _FORM in sealed else {}
        found = _digests(connection, run_id, by_account=form.get(_FORM) == _BY_ACCOUNT)
    if kept[0] != dumps({**form, **found}):
        differing = [table for table in _ROWS if sealed.get(table) != found[table]]
        told = ", ".join(differing) or "the seal itself"
        raise changed(f"run {run_id} is not as it was sealed: {told}")


@reads
def check_runs(connection: sqlite3.Connection) -> None:
    """Raise AuditError as `check_run` for any run of the store."""
    for (run_id,) in connection.execute("SELECT id FROM main.run").fetchall():
        check_run(connection, run_id)


def next_link(connection: sqlite3.Connection, line: Sequence[object]) -> str:
    """Return the digest of a line that is to be added to the journal."""
    last = "SELECT digest FROM main.journal ORDER BY sequence DESC LIMIT 1"
    (before,) = connection.execute(last).fetchone() or ("",)
    if before is None:  # written by a version that kept no digests: they count all the same
        before = ""
        for _, _, *written in cursor.tuples(connection, _LINES):
            before = link(before, written)
    return link(before, line)


@reads
def check_journal(connection: sqlite3.Connection) -> None:
    """Raise AuditError where lines of the journal were changed, moved, added or taken out.

    Lines of a version that kept no digests are covered once a later line follows them.
    """
    with _one_moment(connection):
        [(written,)] = connection.execute(_WRITTEN)
        found, before, chained = 0, "", False
        for found, (sequence, kept, *line) in enumerate(cursor.tuples(connection, _LINES), 1):
            before = link(before, line)
            chained = chained or kept is not None
            if sequence != found or (chained and kept != before):
                raise changed(f"line {found} of its journal is not as it was written")
        if found != written:
            raise changed(f"its journal has {found} lines, and {written} were written")
        gone = connection.execute(_GONE_PLANS).fetchone()
        if gone:
            raise changed(f"{gone[0]}, which its journal is about, was taken out of it")


def link(before: str, line: Sequence[object]) -> str:
    """Return the digest of a line by the one of the line before, `""` for the first."""
    return hashlib.sha256(orjson.dumps([before, *line])).hexdigest()


def _kept(connection: sqlite3.Connection, table: str, run_id: str) -> tuple[Any, ...] | None:
    query = f"SELECT digests FROM {table} WHERE run_id = ?"  # noqa: S608 -- names of ours
    return next(cursor.tuples(connection, query, (run_id,)), None)


def digest_of(rows: Iterable[Sequence[object]]) -> str:
    """Return SHA-256 over rows as JSON arrays; holds a few at a time."""
    sha256, left = hashlib.sha256(), iter(rows)
    while some := list(islice(left, _AT_ONCE)):
        sha256.update(orjson.dumps(some))
    return sha256.hexdigest()


def _digests(
    connection: sqlite3.Connection,
    run_id: str,
    *,
    by_account: bool,
    known: Mapping[tuple[str, str], str] = NONE_KNOWN,
) -> Mapping[str, str]:
    """Return a digest of each table: of its rows, or `by_account` of the accounts' digests."""
    return {
        table: digest_of(
            _of_accounts(connection, table, run_id, known)
            if by_account and table in _ROWS_OF
            else connection.execute(query, (run_id,))
        )
        for table, query in _ROWS.items()
    }


def _of_accounts(
    connection: sqlite3.Connection, table: str, run_id: str, known: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, str]]:
    """Yield each account that has rows in a table, with the digest of those that are not known."""
    for (account_id,) in connection.execute(_ACCOUNTS[table], (run_id,)):
        found = known.get((table, account_id))
        if found is None:
            found = digest_of(connection.execute(_ROWS_OF[table], (run_id, account_id)))
        yield account_id, found


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all that is read inside be of one moment, whatever another process writes meanwhile."""
    mine = not connection.in_transaction
    if mine:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if mine and connection.in_transaction:
            connection.execute("ROLLBACK")
