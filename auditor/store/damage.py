"""A store that says what iamaudit never writes: torn, edited, or of another hand."""

import sqlite3
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import isgeneratorfunction
from pathlib import Path
from traceback import clear_frames
from typing import Any, ParamSpec, TypeVar, cast

from auditor.errors import AuditError

P = ParamSpec("P")
T = TypeVar("T")

_SIGNS = (
    sqlite3.DatabaseError, ValueError, LookupError, TypeError, AttributeError, OverflowError,
    StopIteration,
)  # fmt: skip
"""What reading garbage raises."""


def reads(function: Callable[P, T]) -> Callable[P, T]:
    """Let what reads the store raise AuditError where the store is damaged.

    Only what the function itself raises, not what is done with the rows that it yields.
    """
    if isgeneratorfunction(function):

        @wraps(function)
        def rows(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            try:
                yield from function(*args, **kwargs)
            except _SIGNS as error:
                raise damaged(error) from None

        return cast(Callable[P, T], rows)

    @wraps(function)
    def value(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except _SIGNS as error:
            raise damaged(error) from None

    return value


def damaged(error: Exception) -> AuditError:
    """Return what to say of garbage in the store.

    Whoever catches this closes the store: cursors of what was half read are closed before.
    """
    clear_frames(error.__traceback__)
    said = one_line(str(error).partition(" with text ")[0])  # what follows is the garbage itself
    if isinstance(error, sqlite3.OperationalError):
        told = f"the store can't be read: {said}"
    elif isinstance(error, sqlite3.DatabaseError):
        told = f"the store is damaged: {said}"
    else:
        told = f"the store is damaged: it says what iamaudit never writes ({type(error).__name__})"
    return AuditError(told, hint="restore it, or name another with --store")


def not_whole(path: Path, reason: str) -> AuditError:
    """Return what to say of a file that is torn, or lacks tables."""
    return AuditError(
        f"the store {path} is damaged: {one_line(reason)}",
        hint="restore it from a copy, or choose another --output and scan again",
    )


def changed(reason: str) -> AuditError:
    """Return what to say of a file whose rows are not as iamaudit left them."""
    return AuditError(
        f"the store is damaged: {one_line(reason)}",
        hint="find out who wrote to it; restore it from a copy, or scan into another --output",
    )


def one_line(said: str) -> str:
    """Return what SQLite said as one line: it quotes what a damaged file holds."""
    return " ".join(said.split())
