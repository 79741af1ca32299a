from auditor.aws.throttle import Pace
from tests.fakes import FakeClock


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    clock = FakeClock()
    pace = Pace(clock, rate=5, burst=8)

    for _ in range(8):
        await pace.turn()
    assert clock.slept == []

    for _ in range(10):
        await pace.turn()
    assert abs(clock.monotonic() - 10 / 5) < 1e-9


async def test_time_that_passed_fills_the_burst_again_but_no_further() -> None:
    clock = FakeClock()
    pace = Pace(clock, rate=1, burst=2)

    await clock.sleep(100)
    for _ in range(3):
        await pace.turn()

    assert abs(clock.monotonic() - 101) < 1e-9
