"""Who works on a plan or a run now: one process at a time.

The functions run within a transaction of the caller's.
"""

import os
import socket
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from auditor.errors import AuditError
from auditor.store.damage import reads
from auditor.store.encoding import certain, dumps, instant, load_mapping


def take(
    connection: sqlite3.Connection,
    name: str,
    *,
    now: datetime,
    stale: timedelta,
    taken: AuditError,
) -> str:
    """Take the lease of a plan's or run's id and return what gives it back.

    Raises `taken` where a living process has it; one of another machine counts as living until
    it has not been renewed for `stale`.
    """
    row = connection.execute(
        "SELECT holder, renewed_at FROM lease WHERE plan_id = ?", (name,)
    ).fetchone()
    if row is not None and _held(*row, now=now, stale=stale):
        raise taken
    mine = dumps(_holder())
    connection.execute(
        "INSERT OR REPLACE INTO lease (plan_id, holder, renewed_at) VALUES (?, ?, ?)",
        (name, mine, instant(now)),
    )
    return mine


def give_back(connection: sqlite3.Connection, name: str, mine: str) -> None:
    """End what `take` began, unless somebody else has it by now."""
    connection.execute("DELETE FROM lease WHERE plan_id = ? AND holder = ?", (name, mine))


def _holder() -> dict[str, Any]:
    return {"place": _place(), "pid": os.getpid(), "started": _started(os.getpid())}


def _place() -> list[str]:
    """Return what tells the process ids of one machine, or container, from those of another."""
    return [socket.gethostname(), _text(_BOOT), _link(_NAMESPACE)]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


@reads
def _held(kept: str, renewed_at: str, *, now: datetime, stale: timedelta) -> bool:
    """Whether the holder of a lease still lives, as far as can be told."""
    holder = load_mapping(kept)
    if holder["place"] == _place():
        return holder["started"] is not None and _started(holder["pid"]) == holder["started"]
    return now - certain(renewed_at) < stale


def _started(pid: int) -> str | None:
    """Return when a process of this machine began, in clock ticks; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return _alive(pid)


def _alive(pid: int) -> str | None:
    """Do without /proc: tell only that a process of that number lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return "alive"
    return "alive"
