"""The rate that a limiter settles at, by a simulated token bucket: no real time passes."""

import heapq
from random import Random

import anyio
import anyio.lowlevel
import pytest

from auditor.aws.limiter import Limiter


class Simulation:
    """A clock (port Clock) that jumps to the next sleeper, and a token bucket of AWS's."""

    def __init__(self, rate: float, burst: float) -> None:
        self.time = 0.0
        self.refused = 0
        self._rate, self._burst, self._tokens, self._filled = rate, burst, burst, 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._number = 0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> object:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        event = anyio.Event()
        self._number += 1
        heapq.heappush(self._sleepers, (self.time + seconds, self._number, event))
        await event.wait()

    def take(self) -> bool:
        self._tokens = min(self._burst, self._tokens + (self.time - self._filled) * self._rate)
        self._filled = self.time
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        return True

    async def run(self) -> None:
        """Wake the sleepers in order until there are none."""
        while True:
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            if not self._sleepers:
                return
            at, _, event = heapq.heappop(self._sleepers)
            self.time = max(self.time, at)
            event.set()


async def calls(
    simulation: Simulation, limiter: Limiter, number: int, *, at_once: int, latency: float = 0.02
) -> None:
    """Make calls until so many got through, at most so many at the same time."""
    left = iter(range(number))

    async def worker() -> None:
        for _ in left:
            while True:
                await limiter.admit("ListAccessKeys")
                await simulation.sleep(latency)
                if simulation.take():
                    limiter.succeeded("ListAccessKeys")
                    break
                limiter.throttled("ListAccessKeys")

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(worker)
        group.start_soon(simulation.run)


def limiter_of(simulation: Simulation) -> Limiter:
    return Limiter(simulation, Random(7))  # type: ignore[arg-type]  # noqa: S311


@pytest.mark.parametrize(
    ("rate", "burst", "within"),
    [(20, 20, 1.05), (20, 5, 1.05), (20, 1, 1.3), (5, 10, 1.05), (100, 100, 1.05)],
)
@pytest.mark.parametrize("at_once", [4, 60])
async def test_it_comes_close_to_what_the_bucket_allows(
    rate: float, burst: float, within: float, at_once: int
) -> None:
    simulation = Simulation(rate, burst)
    number = int(rate * 60)

    await calls(simulation, limiter_of(simulation), number, at_once=at_once)

    bound = max((number - burst) / rate, number * 0.02 / at_once)
    assert simulation.time <= within * bound
    assert simulation.refused < 0.35 * number


async def test_groups_that_share_a_bucket_use_all_of_it() -> None:
    simulation = Simulation(rate=20, burst=20)
    limiter, users = limiter_of(simulation), iter(range(400))

    async def read(group: str) -> None:
        while True:
            await limiter.admit(group)
            await simulation.sleep(0.02)
            if simulation.take():
                limiter.succeeded(group)
                return
            limiter.throttled(group)

    async def worker() -> None:
        for user in users:
            await read("ListAccessKeys")
            for _ in range(1 + user % 2):
                await read("GetAccessKeyLastUsed")

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(worker)
        tasks.start_soon(simulation.run)

    assert simulation.time <= 1.15 * (400 * 2.5 - 20) / 20


async def test_without_a_throttled_answer_nothing_waits() -> None:
    simulation = Simulation(rate=1e9, burst=1e9)

    await calls(simulation, limiter_of(simulation), 1000, at_once=10)

    assert simulation.time == pytest.approx(1000 / 10 * 0.02)


async def test_groups_do_not_wait_for_each_other() -> None:
    simulation = Simulation(rate=1, burst=1)
    limiter = limiter_of(simulation)
    limiter.throttled("GetAccessKeyLastUsed", retry_after=30)

    await limiter.admit("ListUsers")

    assert simulation.time == 0
    assert limiter.rate("ListUsers") is None
    assert limiter.rate("GetAccessKeyLastUsed") is not None


async def test_what_the_answer_asks_to_wait_is_waited() -> None:
    simulation = Simulation(rate=1, burst=1)
    limiter = limiter_of(simulation)
    limiter.throttled("ListUsers", retry_after=12)

    async with anyio.create_task_group() as group:
        group.start_soon(limiter.admit, "ListUsers")
        group.start_soon(simulation.run)

    assert simulation.time >= 12


def test_throttled_answers_of_one_moment_slow_down_once() -> None:
    simulation = Simulation(rate=1, burst=1)
    limiter = limiter_of(simulation)
    for _ in range(100):
        limiter.succeeded("ListUsers")
    for _ in range(50):
        limiter.throttled("ListUsers")

    assert limiter.rate("ListUsers") == pytest.approx(85)


def test_a_rate_never_falls_to_nothing() -> None:
    simulation = Simulation(rate=1, burst=1)
    limiter = limiter_of(simulation)
    for _ in range(200):
        limiter.throttled("ListUsers")
        simulation.time += 10

    rate = limiter.rate("ListUsers")
    assert rate is not None
    assert rate >= 0.5
