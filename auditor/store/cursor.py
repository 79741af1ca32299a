"""Rows of a query, one at a time."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any


def rows(
    connection: sqlite3.Connection, query: str, arguments: Sequence[object] = ()
) -> Iterator[sqlite3.Row]:
    """Yield rows whose columns have names."""
    return _each(connection, query, arguments, sqlite3.Row)


def tuples(
    connection: sqlite3.Connection, query: str, arguments: Sequence[object] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield rows as tuples: half the price, for what there is much of."""
    return _each(connection, query, arguments, None)


def _each(
    connection: sqlite3.Connection, query: str, arguments: Sequence[object], factory: Any
) -> Iterator[Any]:
    cursor = connection.cursor()
    cursor.row_factory = factory
    try:
        yield from chain(cursor.execute(query, arguments))  # which `yield from` does not close
    finally:
        # Rows not read to their end, as where a report breaks off, are let go of late: by then
        # the file may be closed.
        with suppress(sqlite3.ProgrammingError):
            cursor.close()
