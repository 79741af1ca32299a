"""A part of `make soak`: random schedules, and processes stopped at random moments."""

from tests.faults.soak import in_processes
from tests.faults.stops import stopped

# Seeds that come to changes of every kind, and to all that may come between a plan and its apply.
_FIRST, _SCHEDULES, _STOPS = 4000, 40, 2


def test_random_faults_make_nothing_wrong_lost_or_claimed() -> None:
    figures = in_processes(range(_FIRST, _FIRST + _SCHEDULES), jobs=2)

    assert not figures.told
    assert figures.schedules == _SCHEDULES
    assert len(figures.faults) > 20
    assert {"scan", "apply", "resume", "undo"} <= figures.runs.keys()
    assert {f"{kind}: applied" for kind in ("deactivate", "delete", "rotate")} <= set(
        figures.actions
    )
    assert {"0", "1", "3", "4"} <= figures.codes.keys()
    assert {"moved", "a secret of others", "used and ended by others"} <= figures.meanwhile.keys()


def test_stopped_processes_stop_soon_and_go_on() -> None:
    stops = stopped(_STOPS, seed=1)

    assert not stops.wrong
    assert stops.interrupted + stops.killed
    assert stops.longest < 2
