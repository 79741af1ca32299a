"""Lets the process end itself with SIGKILL at one point: when, at which step, of which user.

That is before, during or after; a step of the journal, `call` (the change itself) or `put` (the
secret into its sink). Nothing else differs from the tool.
"""

import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from auditor.aws.secrets import SecretsManagerSink
from auditor.aws.writer import ClientWriter
from auditor.store import secret_file
from auditor.store.journal import SqliteJournal
from auditor.store.secret_file import SecretFile


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def at_journal(when: str, step: str, user: str) -> None:
    """Die before or after a line is on the disk, or with its transaction open."""
    append = SqliteJournal.append

    def at_commit(statement: str) -> None:
        if statement == "COMMIT":
            die()

    def dying(self: SqliteJournal, **line: Any) -> None:
        hit = line["step"] == step and line["action"].user_name == user
        if hit and when == "before":
            die()
        if hit and when == "during":
            self._connection.set_trace_callback(at_commit)
        append(self, **line)
        if hit:
            die()

    SqliteJournal.append = dying  # type: ignore[method-assign]


def at_method(when: str, user: str, owner: type, name: str, whose: Callable[[Any], str]) -> None:
    """Die before a method is called, or when it has answered."""
    method = getattr(owner, name)

    async def dying(self: Any, first: Any, *rest: Any) -> Any:
        if whose(first) != user:
            return await method(self, first, *rest)
        if when == "before":
            die()
        await method(self, first, *rest)
        die()

    setattr(owner, name, dying)


def with_half_a_file(user: str) -> None:
    """Die when one half of the secret's file is written."""
    write = secret_file._write

    def dying(name: str, folder: int, text: bytes) -> None:
        if f'"user_name": "{user}"'.encode() not in text:
            write(name, folder, text)
            return
        write(name, folder, text[: len(text) // 2])
        die()

    secret_file._write = dying


def arrange(when: str, step: str, user: str) -> None:
    """Set the trap."""
    if step == "call":
        for name in ("set_status", "delete_key", "create_key"):
            at_method(when, user, ClientWriter, name, str)
    elif step != "put":
        at_journal(when, step, user)
    elif when == "during":
        with_half_a_file(user)
    else:
        for sink in (SecretFile, SecretsManagerSink):
            at_method(when, user, sink, "put", lambda owner: str(owner.user_name))
