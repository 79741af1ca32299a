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
        calls = tally.calls.total()
        parts = [
            f"{tally.accounts_done}/{tally.accounts} accounts",
            f"{tally.users_done}/{tally.users} users",
            f"{tally.keys} keys",
            f"{calls / self._elapsed:.0f} calls/s",
        ]
        if tally.throttles:
            parts.append(f"{tally.throttles} throttled")
        left = self.seconds_left
        if left is not None:
            parts.append(f"{_clock_time(left)} left")
        return ", ".join(parts)

    @property
    def fraction(self) -> float:
        """How much of the work is done, from 0 to 1; users stand for the accounts being read."""
        tally = self._tally
        if not tally.accounts:
            return 0.0
        reading = tally.accounts_reading * (tally.users_done / tally.users if tally.users else 0)
        return min(1.0, (tally.accounts_done + reading) / tally.accounts)

    @property
    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the pace so far; None while it can't be told."""
        done = self.fraction
        return self._elapsed * (1 - done) / done if done else None

    @property
    def _elapsed(self) -> float:
        return max(self._clock() - self._started, 1e-6)


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
