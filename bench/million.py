"""Make a store of many accounts from a scan of one: copies of its rows, each under its own id."""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

from auditor.store.seal import seal

_TABLES = ("account", "user", "access_key", "judged_key", "finding", "control_result")
_FIRST = 222_000_000_000
_NAMING_IT = ("arn", "facts", "message", "role_arn")


def copies(path: Path, keys: int) -> tuple[int, int]:
    """Copy the one account of the store until it has so many keys or more.

    Return how many accounts and keys there are then.
    """
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA synchronous = OFF")
        [(account, each)] = store.execute("SELECT id, keys FROM account").fetchall()
        wanted = -(-keys // each)
        with store:
            store.execute("CREATE TEMP TABLE copy (id TEXT)")
            ids = ((str(_FIRST + number),) for number in range(wanted - 1))
            store.executemany("INSERT INTO copy VALUES (?)", ids)
            for table in _TABLES:
                _multiply(store, table, account)
            for (run_id,) in store.execute("SELECT run_id FROM seal").fetchall():
                seal(store, run_id)  # or it would be told as edited
        [(accounts, found)] = store.execute("SELECT count(*), sum(keys) FROM account").fetchall()
        return accounts, found


def _multiply(store: sqlite3.Connection, table: str, account: str) -> None:
    names = [column[1] for column in store.execute(f"PRAGMA table_info({table})")]
    key = "id" if table == "account" else "account_id"
    columns = ", ".join(_column(name, key) for name in names)
    # A materialized copy: the table must not be read while it grows.
    store.execute(f"CREATE TEMP TABLE original AS SELECT * FROM {table}")  # noqa: S608
    store.execute(
        f"INSERT INTO {table} SELECT {columns} FROM copy CROSS JOIN original",  # noqa: S608
        {"account": account},
    )
    store.execute("DROP TABLE original")


def _column(name: str, key: str) -> str:
    if name == key:
        return "copy.id"
    if name in _NAMING_IT:
        return f"replace(original.{name}, :account, copy.id)"
    return f"original.{name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--keys", type=int, default=1_000_000)
    given = parser.parse_args()
    print(*copies(given.store, given.keys))


if __name__ == "__main__":
    main()
