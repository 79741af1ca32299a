"""HTTP/1.1 over connections that stay open: POST, one answer, and nothing else.

The bytes of answers are read by llhttp (httptools), the parser of Node.js; redirects are answers
like any other, there are no cookies, and nothing is decompressed.
"""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from functools import partial
from typing import cast

from auditor import fanout
from auditor.aws.fast.connecting import Route, opened
from auditor.aws.fast.connection import Answer, Asked, Connection, Inbox

__all__ = ["Answer", "Pool", "Route"]

_LONGEST_IDLE = 12.0
"""Seconds after which an idle connection is not used again, as in the SDK."""
_READ = 64 * 1024
"""Bytes read at once."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request in line, and its answer: None is the turn to open a connection for it."""

    route: Route
    request: bytes
    answer: Asked
    connection: Connection | None = None
    """Over which it was sent."""


class Pool:
    """The connections of a run, with at most `limit` requests on their way at the same time.

    When an answer is there the next in line is sent, before the answer is read.
    """

    def __init__(self, limit: int) -> None:
        self._turns = limit
        """How many more requests may be sent."""
        self._line: deque[_Waiting] = deque()
        self._idle: dict[Route, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._inbox = Inbox(_READ)

    async def post(self, route: Route, request: bytes) -> Answer:
        """Send a whole request and return the answer; raise what the SDK raises.

        A request that is cancelled takes its connection with it.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(route, request, loop.create_future())
        self._line.append(waiting)
        self._move_up()
        try:
            answer = await waiting.answer
            if answer is None:
                waiting.connection = await self._opened(route)
                waiting.answer = loop.create_future()
                waiting.connection.ask(request, waiting.answer)
                answer = await waiting.answer
        except BaseException:
            self._give_up(waiting)
            raise
        return cast(Answer, answer)

    def _move_up(self) -> None:
        """Send what is first in line, while there are turns."""
        while self._turns and self._line:
            waiting = self._line.popleft()
            if waiting.answer.done():  # cancelled in line
                continue
            self._turns -= 1
            connection = waiting.connection = self._idle_one(waiting.route)
            if connection is None:
                waiting.answer.set_result(None)
            else:
                connection.ask(waiting.request, waiting.answer)

    def _give_up(self, waiting: _Waiting) -> None:
        """Take the turn of a request that failed, or was cancelled, if it still has one."""
        if waiting.connection is None:
            if not waiting.answer.cancelled():
                self._turn_back()
        elif waiting.connection.owes(waiting.answer):
            self._drop(waiting.connection)  # an answer, or an error, would have given it back

    async def _opened(self, route: Route) -> Connection:
        connection = await opened(route, self._inbox)
        connection.at_end = partial(self._take_back, connection, route)
        self._open.add(connection)
        return connection

    def _take_back(self, connection: Connection, route: Route) -> None:
        """Let the next in line have a connection whose request is answered, or has failed."""
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[route].append(connection)
        else:
            self._drop(connection)
        self._turn_back()

    def _turn_back(self) -> None:
        self._turns += 1
        self._move_up()

    async def aclose(self) -> None:
        """Close all connections; requests that are under way fail."""
        connections, self._open = self._open, set()
        self._idle.clear()
        for connection in connections:
            connection.abort()
        with fanout.shielded():
            for connection in connections:
                await connection.closed()

    def _idle_one(self, route: Route) -> Connection | None:
        """Return the connection used last, if it is open still; drop those that idled too long."""
        idle = self._idle[route]
        oldest = asyncio.get_running_loop().time() - _LONGEST_IDLE
        while idle:
            connection = idle.pop()
            if connection.reusable and connection.idle_since >= oldest:
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._open.discard(connection)
