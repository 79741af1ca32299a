import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from botocore.exceptions import ConnectionClosedError

from auditor.aws.fast.connection import Answer, Asked, Inbox
from auditor.aws.fast.http import Pool, Route
from tests.aws.wire import Spoken, http, listening, readers

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


class Held:
    """A server that answers when it is told to, the requests in their order, or hangs up."""

    def __init__(self) -> None:
        self.on_their_way = 0
        self.most = 0
        self.seen = 0
        self._release = asyncio.Queue[bytes]()

    async def serve(
        self, spoken: Spoken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.seen += 1
            self.on_their_way += 1
            self.most = max(self.most, self.on_their_way)
            said = await self._release.get()
            self.on_their_way -= 1
            if not said:
                return
            writer.write(said)

    def answer(self, number: int = 1, said: bytes = http(b"")) -> None:
        for _ in range(number):
            self._release.put_nowait(said)

    async def until(self, seen: int) -> None:
        with anyio.fail_after(5):
            while self.seen < seen:  # noqa: ASYNC110 -- the server has no event for it
                await anyio.sleep(0.001)


@asynccontextmanager
async def a_pool(limit: int) -> AsyncIterator[tuple[Held, Pool, Route, Spoken]]:
    held = Held()
    async with listening(held.serve) as spoken, readers(spoken.url) as made:
        pool = Pool(limit)
        try:
            yield held, pool, made.endpoint.route, spoken
        finally:
            await pool.aclose()
            held.answer(20, b"")


def at_its_end(pool: Pool, act: Callable[[], object]) -> None:
    """Do something once, right after the only request of a pool has ended."""
    [connection] = pool._open
    after = connection.at_end

    def both() -> None:
        connection.at_end = after
        after()
        act()

    connection.at_end = both


async def test_no_more_requests_are_on_their_way_than_the_limit_and_all_are_sent() -> None:
    async with a_pool(2) as (held, pool, route, spoken):
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await pool.post(route, REQUEST)).status)

        async with anyio.create_task_group() as group:
            for _ in range(7):
                group.start_soon(ask)
            await held.until(2)
            await anyio.sleep(0.05)
            assert held.seen == 2
            for seen in (3, 4, 5, 6, 7):
                held.answer()
                await held.until(seen)
            held.answer(2)

        assert statuses == [200] * 7
        assert held.most == 2
        assert spoken.connections == 2, "one that has its answer is used for the next in line"


async def test_the_next_is_sent_though_nobody_has_read_the_answer_yet() -> None:
    async with a_pool(1) as (held, pool, route, _):
        order: list[str] = []
        sent = asyncio.Event()

        async def first() -> None:
            await pool.post(route, REQUEST)
            order.append("first read")

        async def second() -> None:
            await pool.post(route, REQUEST)
            order.append("second read")

        async with anyio.create_task_group() as group:
            group.start_soon(first)
            await held.until(1)
            group.start_soon(second)
            await anyio.sleep(0.01)
            write = pool._open
            [connection] = write
            transport = connection._transport
            assert transport is not None
            written = transport.write

            def note(data: bytes) -> None:
                order.append("second sent")
                sent.set()
                written(data)

            transport.write = note  # type: ignore[method-assign, assignment]
            held.answer()
            await sent.wait()
            held.answer()

        assert order == ["second sent", "first read", "second read"]


async def test_answers_that_come_together_are_handed_over_in_their_order_and_not_all_at_once() -> (
    None
):
    inbox, asked = Inbox(1), [_asked() for _ in range(8)]
    for at, each in enumerate(asked):
        inbox.hand_over(each, Answer(200 + at, None, b""))
    asked[1].cancel()

    done: list[int] = []
    while len(done) < 5 and (not done or done[-1] < 8):
        await asyncio.sleep(0)  # all that is ready runs once, as what comes from the network does
        done.append(sum(each.done() for each in asked))

    assert done == [3, 6, 8]
    assert [each.result() for each in asked if not each.cancelled()] == [
        Answer(200 + at, None, b"") for at in (0, 2, 3, 4, 5, 6, 7)
    ]

    last = _asked()
    inbox.hand_over(last, Answer(299, None, b""))
    with anyio.fail_after(5):
        assert await last == Answer(299, None, b"")


async def test_where_many_answers_wait_more_are_handed_over_at_once() -> None:
    inbox, asked = Inbox(1), [_asked() for _ in range(60)]
    for each in asked:
        inbox.hand_over(each, Answer(200, None, b""))

    await asyncio.sleep(0)

    assert sum(each.done() for each in asked) == 15


def _asked() -> Asked:
    return asyncio.get_running_loop().create_future()


async def test_who_is_cancelled_in_line_takes_nobodys_turn() -> None:
    async with a_pool(1) as (held, pool, route, _):
        first = asyncio.create_task(pool.post(route, REQUEST))
        await held.until(1)
        given_up = asyncio.create_task(pool.post(route, REQUEST))
        last = asyncio.create_task(pool.post(route, REQUEST))
        await asyncio.sleep(0)
        given_up.cancel()
        held.answer()
        await held.until(2)
        held.answer()
        with anyio.fail_after(5):
            await asyncio.gather(first, last)
        assert given_up.cancelled()


async def test_who_is_cancelled_as_the_turn_to_open_a_connection_comes_hands_it_on() -> None:
    async with a_pool(1) as (held, pool, route, spoken):
        first = asyncio.create_task(pool.post(route, REQUEST))
        await held.until(1)
        unlucky = asyncio.create_task(pool.post(replace(route), REQUEST))
        last = asyncio.create_task(pool.post(route, REQUEST))
        await asyncio.sleep(0)
        at_its_end(pool, unlucky.cancel)
        held.answer()
        await held.until(2)
        held.answer()
        with anyio.fail_after(5):
            await asyncio.gather(first, last)
        assert unlucky.cancelled()
        assert spoken.connections == 1


async def test_who_is_cancelled_as_the_turn_comes_has_sent_and_takes_the_connection_along() -> None:
    async with a_pool(1) as (held, pool, route, spoken):
        first = asyncio.create_task(pool.post(route, REQUEST))
        await held.until(1)
        unlucky, last = (asyncio.create_task(pool.post(route, REQUEST)) for _ in range(2))
        await asyncio.sleep(0)
        at_its_end(pool, unlucky.cancel)
        held.answer(3)
        with anyio.fail_after(5):
            await asyncio.gather(first, last)
        assert unlucky.cancelled()
        assert spoken.connections == 2


async def test_who_is_cancelled_when_the_answer_is_there_leaves_the_connection_to_the_next() -> (
    None
):
    async with a_pool(1) as (held, pool, route, spoken):
        first = asyncio.create_task(pool.post(route, REQUEST))
        await held.until(1)
        at_its_end(pool, lambda: asyncio.get_running_loop().call_soon(first.cancel))
        last = asyncio.create_task(pool.post(route, REQUEST))
        await asyncio.sleep(0)
        held.answer()
        await held.until(2)
        held.answer()
        with anyio.fail_after(5):
            assert (await last).status == 200
        assert spoken.connections == 1


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_request_that_fails_gives_its_turn_on(limit: int) -> None:
    async with a_pool(limit) as (held, pool, route, spoken):
        first = asyncio.create_task(pool.post(route, REQUEST))
        await held.until(1)
        others = [asyncio.create_task(pool.post(route, REQUEST)) for _ in range(limit)]
        held.answer(1, b"")
        with pytest.raises(ConnectionClosedError):
            await first
        await held.until(1 + limit)
        held.answer(limit)
        with anyio.fail_after(5):
            answers = await asyncio.gather(*others)
        assert [each.status for each in answers] == [200] * limit
        assert spoken.connections == 1 + limit


async def test_a_connection_that_can_not_be_opened_gives_its_turn_on() -> None:
    async with a_pool(1) as (held, pool, route, _):
        nobody = await _unused_route(route)
        for _ in range(3):
            with pytest.raises(Exception, match="Could not connect"):
                await pool.post(nobody, REQUEST)
        held.answer()
        with anyio.fail_after(5):
            assert (await pool.post(route, REQUEST)).status == 200


async def _unused_route(like: Route) -> Route:
    async def hang_up(*_: object) -> None:
        pass

    async with listening(hang_up) as spoken, readers(spoken.url) as made:
        route = made.endpoint.route
    assert route != like
    return route
