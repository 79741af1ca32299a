"""Work that may take so much of the processor and of memory, and no more."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_GIB = 1024**3
_AGAIN = 0.5
"""Seconds until the work is told again, where it did not hear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is allowed."""

    seconds: float = 300.0
    """Of the processor, not of the clock."""
    memory: int = 2 * _GIB
    """Bytes beyond those in use when it begins."""
    text: int = _GIB // 2
    """Characters written."""


class TooLongError(BaseException):
    """Raised inside the work when its time is up; no `except Exception` on the way stops it."""


@contextmanager
def bounded(bounds: Bounds) -> Iterator[None]:
    """Raise TooLongError or MemoryError inside where the work goes beyond its bounds.

    For the main thread: elsewhere Python hears no signal, and nothing is bounded. A single step
    that never comes back to Python is ended by the system, and the process with it, once it has
    taken as long again.
    """

    def stop(*_: object) -> None:
        raise TooLongError

    used = resource.getrusage(resource.RUSAGE_SELF)
    twice = used.ru_utime + used.ru_stime + 2 * bounds.seconds
    restore = [
        _lowered(resource.RLIMIT_AS, None if (held := _held()) is None else held + bounds.memory),
        _lowered(resource.RLIMIT_CPU, int(twice) + 1),
        _lowered(resource.RLIMIT_CORE, 0),  # of what the system ends: there may be secrets in it
    ]
    before = signal.signal(signal.SIGPROF, stop)
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, bounds.seconds, _AGAIN)
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    finally:  # even where the time was up just now
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        for each in restore:
            each()


def _lowered(kind: int, soft: int | None) -> Callable[[], None]:
    """Lower a limit of this process, where there is one to set; return what restores it."""
    was, hard = resource.getrlimit(kind)
    if soft is not None and (was == resource.RLIM_INFINITY or soft < was):
        resource.setrlimit(kind, (soft, hard))
    return lambda: resource.setrlimit(kind, (was, hard))


def _held() -> int | None:
    """Return the bytes of address space in use; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()
