"""The only place that starts tasks: bounded, fair, cancellable."""

import asyncio
import signal
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup
from anyio.lowlevel import RunVar

T = TypeVar("T")
Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_LONG_ROUND = 0.002
"""Seconds that it takes to see to all that came from the network, where the processor is behind."""
_TILT = 0.5
"""By how much of an equal part the oldest share of a Bound has more, and the youngest less."""


async def together(*works: Work) -> None:
    """Run the works at the same time; the first to fail cancels the rest and is raised."""
    async with _group() as group:
        for work in works:
            group.start_soon(work)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, limit: int) -> None:
    """Run `work` on every item, at most `limit` at the same time.

    An item is asked for only when a worker is free. The first failure, of `items` too, cancels the
    rest and is raised.
    """
    left = iter(items)

    async def serve() -> None:
        for item in left:
            await work(item)

    await together(*[serve] * limit)


async def each_of(
    pages: AsyncIterator[Iterable[T]], work: Callable[[T], Awaitable[None]], *, limit: int
) -> None:
    """Run `work` on the items of pages as they come, at most `limit` at the same time.

    A page is asked for only when no item of those before is left for a worker that is free, so
    memory stays flat. The first failure, of `pages` too, cancels the rest and is raised.
    """
    turn = anyio.Lock()
    left: Iterator[T] | None = iter(())

    async def serve() -> None:
        nonlocal left
        while (mine := left) is not None:
            for item in mine:
                await work(item)
            if left is mine:
                async with turn:  # one asks for the next page, the others wait for it
                    if left is mine:
                        page = await anext(pages, None)
                        left = None if page is None else iter(page)

    await together(*[serve] * limit)


def _ending_signals() -> list[signal.Signals]:
    """Return the signals that ask this process to end; nohup has a closed terminal ignored."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]


async def until_interrupted(work: Work) -> bool:
    """Run `work`; return True if SIGINT, SIGTERM or SIGHUP cancelled it before it ended.

    Further signals are ignored until what it does on cancellation is done.
    """
    interrupted = False

    with (
        anyio.open_signal_receiver(*_ending_signals()) as signals,
        anyio.CancelScope() as scope,
    ):

        async def listen() -> None:
            nonlocal interrupted
            async for _ in signals:
                interrupted = True
                scope.cancel()
                return

        async def run() -> None:
            await work()
            scope.cancel()

        await together(listen, run)
    return interrupted


@asynccontextmanager
async def meanwhile(work: Callable[[], object]) -> AsyncIterator[None]:
    """Run `work` in a thread while the context lasts; it is waited for at the end."""
    async with _group() as group:
        group.start_soon(anyio.to_thread.run_sync, work)
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Let what is inside finish in spite of a cancellation."""
    with anyio.CancelScope(shield=True):
        yield


_one_aside: RunVar[anyio.CapacityLimiter] = RunVar("_one_aside")


async def aside(work: Callable[[], T]) -> T:
    """Run long work in a thread, one at a time: what comes from the network does not wait for it.

    Where so much comes that it has to wait anyway, two threads would only be in each other's way:
    the work is done at once. It is never abandoned half-way.
    """
    limiter = _one_aside.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(1)
        _one_aside.set(limiter)
    async with limiter:
        if await _round() >= _LONG_ROUND:
            return work()
        return await anyio.to_thread.run_sync(work)


async def _round() -> float:
    """Let all that is ready run once; return the seconds that it took."""
    time = asyncio.get_running_loop().time
    begun_at = time()
    await anyio.lowlevel.checkpoint()
    return time() - begun_at


class Writer:
    """Runs blocking work in a thread, one piece at a time, never abandoned half-way."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread and return what it returns."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


class Bound:
    """At most `total` calls at the same time, shared out among the open shares.

    Each share may hold a part of the total, rounded up, so calls of one account that hang or wait
    for a throttle to pass never take the places of the others. Places are kept for shares that are
    expected but not open yet: what a hanging account had taken it would not give back.

    The older a share, the larger its part: accounts of one size, begun together, would end together
    as well, and no call be made while the next ones are begun. What a share that comes to its end
    does not need any more, the others may have.
    """

    def __init__(self, total: int, *, expected: int = 1) -> None:
        self._total = total
        self._expected = expected
        self._busy = 0
        self._by_age: list[Share] = []
        self._in_turn: deque[Share] = deque()

    @asynccontextmanager
    async def share(self) -> AsyncIterator["Share"]:
        """Take part in the bound while the context lasts."""
        mine = Share(self)
        self._by_age.append(mine)
        self._in_turn.append(mine)
        self._share_out()
        try:
            yield mine
        finally:
            self._by_age.remove(mine)
            self._in_turn.remove(mine)
            self._share_out()
            self.grant()

    @property
    def idle(self) -> int:
        """How many places nobody takes who may."""
        return self._total - self._busy

    def expect(self, shares: int) -> None:
        """Keep places for so many shares from now on, the open ones among them."""
        self._expected = shares
        self._share_out()
        self.grant()

    def take(self, share: "Share") -> bool:
        """Give a share a place, if one is free that it may have: nobody else waits for it then."""
        if self._busy >= self._total or share.busy >= share.part:
            return False
        self._give(share)
        return True

    def grant(self) -> None:
        """Give free places to the shares in turn, up to its part each."""
        idle = 0
        while self._busy < self._total and idle < len(self._in_turn):
            share = self._in_turn[0]
            self._in_turn.rotate(-1)
            if share.waiting and share.busy < share.part:
                idle = 0
                turn = share.waiting.popleft()
                if not turn.cancelled():
                    self._give(share)
                    turn.set_result(None)
            else:
                idle += 1

    def end(self, share: "Share") -> None:
        """Let the others have what a share leaves free from now on."""
        share.ending = True
        self._share_out()
        self.grant()

    def free(self, share: "Share") -> None:
        """Take one place back."""
        self._busy -= 1
        share.busy -= 1
        self.grant()

    def _give(self, share: "Share") -> None:
        self._busy += 1
        share.busy += 1

    def _share_out(self) -> None:
        """Set the parts, which come to the total: straight down from the oldest share's.

        A share that comes to its end keeps what it had.
        """
        going_on = [share for share in self._by_age if not share.ending]
        number = max(1, self._expected, len(going_on))
        for younger_than, share in enumerate(going_on):
            tilt = _TILT * (1 - 2 * younger_than / (number - 1)) if number > 1 else 0.0
            share.part = ceil(self._total / number * (1 + tilt))


class Share:
    """One account's part of a Bound; entered around calls, of which there is one at a time."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self.busy = self.part = 0
        self.ending = False
        self.waiting: deque[asyncio.Future[None]] = deque()

    def end(self) -> None:
        """Let the other shares have what this one leaves free: hardly any calls are to come."""
        self._bound.end(self)

    async def __aenter__(self) -> None:
        if not self.waiting and self._bound.take(self):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        self._bound.grant()
        if turn.done():
            return
        try:
            await turn
        except BaseException:
            if not turn.cancelled():  # the place came, and then the cancellation
                self._bound.free(self)
            elif turn in self.waiting:
                self.waiting.remove(turn)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._bound.free(self)


@asynccontextmanager
async def _group() -> AsyncIterator[TaskGroup]:
    """Give a task group that raises the failure which ended it, and no group of failures."""
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise _first(failures) from None


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the exception that started the group's end."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
