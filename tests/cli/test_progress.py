import io
from typing import Any

from rich.console import Console

from auditor.cli.progress import Display, shown
from auditor.engine.tally import Tally


class Watch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def a_display(**counts: Any) -> tuple[Display, Tally, Watch]:
    tally, watch = Tally(**counts), Watch()
    return Display(tally, watch), tally, watch


def test_accounts_being_read_count_by_their_users() -> None:
    display, _, _ = a_display(
        accounts=4, accounts_done=1, accounts_reading=2, users=100, users_done=50
    )

    assert display.fraction == 0.5


def test_the_time_left_follows_the_pace_so_far() -> None:
    display, tally, watch = a_display(accounts=10, accounts_done=0)
    before = display.seconds_left
    watch.seconds, tally.accounts_done = 30.0, 1

    assert before is None
    assert display.seconds_left == 270
    assert "4:30 left" in display.line()


def test_the_line_has_every_figure() -> None:
    display, tally, watch = a_display(accounts=3, users=9, users_done=4, keys=7, throttles=2)
    tally.calls["iam:ListUsers"] = 30
    watch.seconds = 2.0

    assert display.line() == "0/3 accounts, 4/9 users, 7 keys, 15 calls/s, 2 throttled"


def test_nothing_to_do_is_no_division_by_zero() -> None:
    display, _, _ = a_display()

    assert display.fraction == 0
    assert "0/0 accounts" in display.line()


def test_a_terminal_gets_a_bar_and_leaves_no_trace_of_it() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)

    with shown(Tally(accounts=2, accounts_done=1), console, quiet=False):
        pass

    assert "1/2 accounts" in out.getvalue()
    assert out.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K", "\x1b[1A"))


def test_quiet_is_quiet() -> None:
    out = io.StringIO()

    with shown(Tally(accounts=2), Console(file=out, force_terminal=True), quiet=True):
        pass

    assert out.getvalue() == ""
