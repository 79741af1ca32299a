import io
from typing import Any

import pytest
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


def test_accounts_not_yet_begun_count_as_those_that_were_seen() -> None:
    display, tally, _ = a_display(accounts=4, accounts_done=1)
    tally.add(Tally(users=100, users_done=100))
    one = tally.begin(0.0)
    one.users, one.users_done = 100, 50

    assert display.fraction == (20 + 150) / (4 * 20 + 400)


def test_the_time_left_follows_the_pace_so_far() -> None:
    display, tally, watch = a_display(accounts=10, accounts_done=0)
    before = display.seconds_left
    watch.seconds, tally.accounts_done = 30.0, 1

    assert before is None
    assert display.seconds_left == 270
    assert "4:30 left" in display.line()


def test_one_slow_account_takes_longer_than_all_at_the_common_pace() -> None:
    display, tally, watch = a_display(accounts=2, accounts_done=1)
    tally.add(Tally(users=1000, users_done=1000))
    slow = tally.begin(0.0)
    slow.users, slow.users_done, watch.seconds = 1000, 100, 1000.0

    left = display.seconds_left

    assert left is not None
    assert 8000 < left < 9000


def test_an_account_that_was_given_up_has_nothing_left() -> None:
    display, tally, _ = a_display(accounts=1, accounts_done=0)
    lost = tally.begin(0.0)
    lost.users, lost.users_done = 100, 1
    tally.end(lost)
    tally.accounts_done = 1

    assert display.fraction == 1.0
    assert tally.reading == []


ESTATES: dict[str, list[int]] = {
    "alike": [50] * 200,
    "of every size": [round(30 * 1.035 ** (at * 37 % 97)) for at in range(97)],
    "one giant among dwarfs": [*[20] * 12, 4000, *[20] * 37],
    "one": [5000],
    "a few": [30, 800, 200, 10],
}


@pytest.mark.parametrize("name", ESTATES)
def test_the_time_left_is_right_within_a_third_after_the_first_tenth(name: str) -> None:
    told = simulated(ESTATES[name])
    whole = told[-1][0]

    for at in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        now, left = next(each for each in told if each[0] >= at * whole)
        assert left == pytest.approx(whole - now, rel=1 / 3), f"at {at:.0%}"


def simulated(sizes: list[int]) -> list[tuple[float, float]]:
    """Read accounts, 15 at a time, 20 users a second in each; return what is told, and when."""
    display, tally, watch = a_display(accounts=len(sizes))
    told: list[tuple[float, float]] = []
    waiting, open_ = list(sizes), dict[int, tuple[Tally, int]]()
    step = 0.1
    while waiting or open_:
        while waiting and len(open_) < 15:
            counts = tally.begin(watch.seconds)
            open_[id(counts)] = (counts, waiting.pop(0))
        watch.seconds += step
        for key, (counts, size) in list(open_.items()):
            age = watch.seconds - counts.began - 1.0  # a second for the role and the report
            if age < 0:
                continue
            counts.users = min(size, 1000 * (1 + int(age / 0.3)))
            counts.users_done = min(counts.users, int(20 * age))
            if counts.users_done == size:
                tally.end(counts)
                tally.accounts_done += 1
                del open_[key]
        told.append((watch.seconds, display.seconds_left or 0.0))
    return told


def test_the_line_has_every_figure() -> None:
    display, tally, watch = a_display(accounts=3, users=9, users_done=4, keys=7, throttles=2)
    tally.calls["iam:ListUsers"] = 30
    watch.seconds = 2.0

    assert display.line() == "0/3 accounts, 4/9 users, 7 keys, 15 calls/s, 2 throttled, 0:30 left"


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
