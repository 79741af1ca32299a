"""How far a scan is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from auditor.engine.tally import Tally

_LINE_SECONDS = 5.0
_REFRESHES = 4
_BAR_WIDTH = 30
_ACCOUNT = 20
"""What an account takes beside its users, in users: a role, a report, the listings."""
_RECENT = 8
"""Accounts at least, of those seen last, that those to come are taken to be like."""
_PATIENCE = 5.0
"""Seconds until the pace of an account tells more than that of all."""


@contextmanager
def shown(tally: Tally, console: Console, *, quiet: bool) -> Iterator[None]:
    """Show the tally while the context lasts."""
    display = Display(tally, time.monotonic)
    if quiet:
        yield
    elif console.is_terminal:
        with Live(
            get_renderable=display.bar,
            console=console,
            refresh_per_second=_REFRESHES,
            transient=True,
        ):
            yield
    else:
        with _lines(display, console):
            yield


class Display:
    """Renders a tally; `clock` gives seconds that never go back."""

    def __init__(self, tally: Tally, clock: Callable[[], float]) -> None:
        self._tally = tally
        self._clock = clock
        self._started = clock()

    def bar(self) -> Table:
        """Return the bar and the figures beside it."""
        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(total=1.0, completed=self.fraction, width=_BAR_WIDTH), self.line())
        return row

    def line(self) -> str:
        """Return the figures as one line of plain text."""
        tally = self._tally
        counts = [tally, *tally.reading]
        parts = [
            f"{tally.accounts_done}/{tally.accounts} accounts",
            f"{sum(each.users_done for each in counts)}/{sum(each.users for each in counts)} users",
            f"{sum(each.keys for each in counts)} keys",
            f"{tally.calls.total() / self._elapsed:.0f} calls/s",
        ]
        if tally.throttles:
            parts.append(f"{tally.throttles} throttled")
        left = self.seconds_left
        if left is not None:
            parts.append(f"{_clock_time(left)} left")
        return ", ".join(parts)

    @property
    def fraction(self) -> float:
        """How much of the work is done, from 0 to 1."""
        done, rest = self._work
        return done / (done + rest) if done else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the pace so far; None while it can't be told.

        An account is held to a rate of its own, so the slowest of those being read may take longer
        than all at the common pace.
        """
        done, rest = self._work
        if not done:
            return None
        reading, now = self._tally.reading, self._clock()
        usual = self._users_done / self._elapsed / max(1, len(reading))
        alone = (_alone(each, now, usual) for each in reading)
        return max(rest / (done / self._elapsed), *alone, 0.0)

    @property
    def _work(self) -> tuple[float, float]:
        """What is done and what is left, in users; an account not yet begun has as many as most."""
        tally = self._tally
        listed = [each.users for each in tally.reading if each.users]
        known = [*tally.sizes, *listed]
        like = known[-max(_RECENT, len(known) // 4) :]
        unseen = max(0, tally.accounts - len(known)) * (sum(like) / len(like) if like else 0.0)
        begun = sum(max(0, each.users - each.users_done) for each in tally.reading)
        done = self._users_done + _ACCOUNT * tally.accounts_done
        return done, begun + unseen + _ACCOUNT * (tally.accounts - tally.accounts_done)

    @property
    def _users_done(self) -> int:
        return sum(each.users_done for each in (self._tally, *self._tally.reading))

    @property
    def _elapsed(self) -> float:
        return max(self._clock() - self._started, 1e-6)


def _alone(account: Tally, now: float, usual: float) -> float:
    """Return the seconds that an account takes by itself: at its own pace, first at the usual."""
    pace = (account.users_done + _PATIENCE * usual) / (max(0.0, now - account.began) + _PATIENCE)
    return (account.users - account.users_done) / pace if pace else 0.0


@contextmanager
def _lines(display: Display, console: Console) -> Iterator[None]:
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_LINE_SECONDS):
            console.print(display.line(), markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
