import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest

from auditor import fanout


async def test_every_item_is_worked_on_and_never_more_than_the_limit_at_once() -> None:
    busy, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await anyio.sleep(0.001)
        busy -= 1
        done.append(item)

    await fanout.each(range(20), work, limit=3)

    assert sorted(done) == list(range(20))
    assert most == 3


async def test_an_item_is_asked_for_only_when_a_worker_is_free() -> None:
    taken: list[int] = []
    go_on = anyio.Event()

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    async def work(item: int) -> None:
        await go_on.wait()

    async def look() -> None:
        await anyio.wait_all_tasks_blocked()
        assert taken == [0, 1]
        go_on.set()

    async def all_of_it() -> None:
        await fanout.each(items(), work, limit=2)

    await fanout.together(all_of_it, look)

    assert taken == list(range(10))


async def test_a_page_is_asked_for_only_when_nothing_is_left_of_those_before() -> None:
    taken: list[int] = []
    done: list[int] = []
    go_on = anyio.Event()

    async def pages() -> AsyncIterator[Sequence[int]]:
        for page in range(3):
            taken.append(page)
            await anyio.lowlevel.checkpoint()
            yield range(3 * page, 3 * page + 3) if page != 1 else ()

    async def work(item: int) -> None:
        await go_on.wait()
        done.append(item)

    async def look() -> None:
        await anyio.wait_all_tasks_blocked()
        assert taken == [0]  # of its three items, two are being worked on
        go_on.set()

    async def all_of_it() -> None:
        await fanout.each_of(pages(), work, limit=2)

    await fanout.together(all_of_it, look)

    assert sorted(done) == [0, 1, 2, 6, 7, 8]


async def test_while_a_page_is_on_its_way_the_items_of_the_one_before_are_worked_on() -> None:
    finished: list[int] = []
    slow_page, slow_item = anyio.Event(), anyio.Event()

    async def pages() -> AsyncIterator[Sequence[int]]:
        yield (0, 1)
        slow_item.set()
        await slow_page.wait()
        yield (2, 3)

    async def work(item: int) -> None:
        if item == 0:
            await slow_item.wait()
            slow_page.set()
        finished.append(item)

    with anyio.fail_after(5):
        await fanout.each_of(pages(), work, limit=2)

    assert sorted(finished) == [0, 1, 2, 3]


async def test_the_first_failure_cancels_the_rest_and_is_raised_by_itself() -> None:
    cancelled = False

    async def fails() -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("the reason")

    async def waits() -> None:
        nonlocal cancelled
        try:
            await anyio.sleep_forever()
        finally:
            cancelled = True

    with pytest.raises(LookupError, match="the reason"):
        await fanout.together(waits, fails)

    assert cancelled


async def test_a_failing_stream_of_pages_is_raised() -> None:
    async def pages() -> AsyncIterator[Sequence[int]]:
        yield [1]
        raise LookupError("page 2")

    async def work(item: int) -> None:
        await anyio.lowlevel.checkpoint()

    with pytest.raises(LookupError, match="page 2"):
        await fanout.each_of(pages(), work, limit=2)


@pytest.mark.parametrize(("stuck_one", "part"), [(0, 3), (1, 1)])
async def test_a_bound_is_shared_out_so_a_stuck_account_holds_only_its_part(
    stuck_one: int, part: int
) -> None:
    bound = fanout.Bound(4)
    stuck, lively = 0, 0
    all_done = anyio.Event()

    async with bound.share() as older, bound.share() as younger, anyio.create_task_group() as group:
        slow, quick = (older, younger) if stuck_one == 0 else (younger, older)

        async def hang() -> None:
            nonlocal stuck
            async with slow:
                stuck += 1
                await anyio.sleep_forever()

        async def call() -> None:
            nonlocal lively
            async with quick:
                await anyio.lowlevel.checkpoint()
                lively += 1
                if lively == 50:
                    all_done.set()

        for _ in range(10):
            group.start_soon(hang)
        for _ in range(50):
            group.start_soon(call)
        with anyio.fail_after(5):
            await all_done.wait()
        group.cancel_scope.cancel()

    assert stuck == part


async def test_the_older_a_share_the_larger_its_part_and_together_they_are_the_whole() -> None:
    bound = fanout.Bound(60, expected=6)

    async def hang(share: fanout.Share) -> None:
        async with share:
            await anyio.sleep_forever()

    async with AsyncExitStack() as stack:
        shares = [await stack.enter_async_context(bound.share()) for _ in range(6)]
        async with anyio.create_task_group() as group:
            for share in shares:
                for _ in range(60):
                    group.start_soon(hang, share)
            await anyio.wait_all_tasks_blocked()
            held = [share.busy for share in shares]
            group.cancel_scope.cancel()

    assert held == [15, 13, 11, 9, 7, 5]


async def test_when_the_oldest_share_ends_the_next_one_has_its_part() -> None:
    bound = fanout.Bound(4, expected=2)
    inside = 0

    async def hang(share: fanout.Share) -> None:
        nonlocal inside
        async with share:
            inside += 1
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        async with bound.share():
            younger = await stack.enter_async_context(bound.share())
            for _ in range(4):
                group.start_soon(hang, younger)
            await anyio.wait_all_tasks_blocked()
            assert inside == 1
        await anyio.wait_all_tasks_blocked()
        assert inside == 3
        group.cancel_scope.cancel()


async def test_what_a_share_leaves_that_comes_to_its_end_others_may_have() -> None:
    bound = fanout.Bound(4, expected=2)
    answered = anyio.Event()

    async def hang(share: fanout.Share) -> None:
        async with share:
            await anyio.sleep_forever()

    async def be_answered(share: fanout.Share) -> None:
        async with share:
            await answered.wait()

    async with bound.share() as older, bound.share() as younger, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(be_answered, older)
        group.start_soon(hang, older)
        for _ in range(9):
            group.start_soon(hang, younger)
        await anyio.wait_all_tasks_blocked()
        assert (older.busy, younger.busy) == (3, 1)

        older.end()
        await anyio.wait_all_tasks_blocked()
        assert (older.busy, younger.busy) == (3, 1), "what is under way keeps its place"

        answered.set()
        await anyio.wait_all_tasks_blocked()
        assert (older.busy, younger.busy) == (1, 3)

        group.start_soon(hang, older)
        await anyio.wait_all_tasks_blocked()
        assert (older.busy, younger.busy) == (1, 3), "and all together are no more than the bound"
        group.cancel_scope.cancel()


async def test_one_share_alone_may_use_the_whole_bound() -> None:
    bound = fanout.Bound(3)
    inside = 0

    async with bound.share() as share, anyio.create_task_group() as group:

        async def hold() -> None:
            nonlocal inside
            async with share:
                inside += 1
                await anyio.sleep_forever()

        for _ in range(5):
            group.start_soon(hold)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert inside == 3


async def test_a_cancelled_waiter_gives_its_place_back() -> None:
    bound = fanout.Bound(1)

    async with bound.share() as share:
        async with share:
            with anyio.move_on_after(0.01):
                async with share:
                    pytest.fail("the only place was taken twice")
        with anyio.fail_after(1):
            async with share:
                busy = share.busy

    assert busy == 1


async def two_waiters(*, cancelled_before_the_place_comes: bool) -> tuple[list[str], int]:
    """Cancel the first of two waiters around its turn; return who got one, and how many hold it."""
    bound = fanout.Bound(1)
    got: list[str] = []

    async with bound.share() as share, anyio.create_task_group() as group:

        async def wait(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                async with share:
                    got.append(name)

        first = anyio.CancelScope()
        async with share:
            group.start_soon(wait, "first", first)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(wait, "second", anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            if cancelled_before_the_place_comes:
                first.cancel()
        first.cancel()  # where its place has come, that was just now: it has not run since

    return got, share.busy


async def test_a_place_that_comes_with_the_cancellation_goes_to_the_next() -> None:
    got, busy = await two_waiters(cancelled_before_the_place_comes=False)

    assert "second" in got
    assert busy == 0


async def test_a_waiter_that_is_cancelled_just_before_gets_no_place() -> None:
    got, busy = await two_waiters(cancelled_before_the_place_comes=True)

    assert got == ["second"]
    assert busy == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_cancels_the_work_and_says_so(number: signal.Signals) -> None:
    async def work() -> None:
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        assert await fanout.until_interrupted(work)


async def test_a_terminal_that_is_closed_does_not_end_what_nohup_runs() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.sleep(0.05)

    try:
        assert not await fanout.until_interrupted(work)
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_work_that_ends_by_itself_was_not_interrupted() -> None:
    done = False

    async def work() -> None:
        nonlocal done
        await anyio.lowlevel.checkpoint()
        done = True

    assert not await fanout.until_interrupted(work)
    assert done


async def test_the_writer_runs_one_piece_at_a_time() -> None:
    writer, running, most = fanout.Writer(), 0, 0

    def piece() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1

    async def write() -> None:
        await writer.run(piece)

    await fanout.together(*[write] * 8)

    assert most == 1


async def test_long_work_is_done_aside_one_at_a_time_while_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout, "_LONG_ROUND", float("inf"))  # however busy this machine is
    at_once, most, turns = 0, 0, 0
    let_go = threading.Event()

    def work() -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        assert let_go.wait(5)
        at_once -= 1
        return threading.get_ident()

    found: list[int] = []

    async def ask() -> None:
        found.append(await fanout.aside(work))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        for _ in range(20):
            await anyio.sleep(0.001)
            turns += 1
        let_go.set()

    assert (most, turns) == (1, 20)
    assert len(found) == 3
    assert threading.get_ident() not in found


async def test_long_work_is_done_at_once_where_the_network_has_no_pause_anyway() -> None:
    found: list[int] = []

    async def busy() -> None:
        while not found:
            time.sleep(0.005)  # noqa: ASYNC251 -- as long as many answers take
            await anyio.lowlevel.checkpoint()

    async def ask() -> None:
        found.append(await fanout.aside(threading.get_ident))

    async with anyio.create_task_group() as group:
        group.start_soon(busy)
        group.start_soon(ask)

    assert found == [threading.get_ident()]


def _lose() -> None:
    raise LookupError("lost")


async def test_what_long_work_raises_is_raised() -> None:
    with pytest.raises(LookupError, match="lost"):
        await fanout.aside(_lose)


async def test_work_is_done_in_a_thread_while_the_context_lasts_and_waited_for_at_its_end() -> None:
    met, let_go, done = threading.Event(), threading.Event(), list[int]()

    def work() -> None:
        met.set()
        assert let_go.wait(5)
        done.append(threading.get_ident())

    async with fanout.meanwhile(work):
        assert await anyio.to_thread.run_sync(met.wait, 5)
        before = list(done)
        let_go.set()

    assert before == []
    assert len(done) == 1
    assert done != [threading.get_ident()]


async def test_what_work_in_a_context_raises_is_raised_and_so_is_what_the_context_raises() -> None:
    with pytest.raises(LookupError, match="lost"):
        async with fanout.meanwhile(_lose):
            await anyio.sleep(5)
    with pytest.raises(KeyError, match="own"):
        async with fanout.meanwhile(dict):
            raise KeyError("own")
