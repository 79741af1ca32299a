"""The rows of one run, as they are read for a report."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from auditor.store import cursor

Row: TypeAlias = Mapping[str, Any]


class RunReading:
    """Asks about one run; every query has one parameter, the run's id."""

    def __init__(self, connection: sqlite3.Connection, run_id: str) -> None:
        self._connection = connection
        self._run_id = run_id

    def rows(self, query: str) -> Iterator[sqlite3.Row]:
        """Yield rows whose columns have names, one at a time."""
        return cursor.rows(self._connection, query, (self._run_id,))

    def tuples(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows as tuples, one at a time: half the price, for what there is much of."""
        return cursor.tuples(self._connection, query, (self._run_id,))

    def first(self, query: str) -> sqlite3.Row | None:
        """Return the first row, if there is one."""
        return next(self.rows(query), None)

    def number(self, query: str) -> int:
        """Return the number that the query asks for."""
        return int(next(self.tuples(query))[0])
