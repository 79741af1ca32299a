"""HTTP/1.1 over connections that stay open: POST, one answer, and nothing else.

The bytes of answers are read by llhttp (httptools), the parser of Node.js; redirects are answers
like any other, there are no cookies, and nothing is decompressed.
"""

import asyncio
from collections import defaultdict
from functools import partial

from auditor import fanout
from auditor.aws.fast.connecting import Route, opened
from auditor.aws.fast.connection import Answer, Connection

__all__ = ["Answer", "Pool", "Route"]

_LONGEST_IDLE = 12.0
"""Seconds after which an idle connection is not used again, as in the SDK."""
_BUFFER = 64 * 1024
"""Bytes read at once."""


class Pool:
    """The connections of a run, with at most `limit` requests on their way at the same time.

    When an answer is there the next in line is sent, before the answer is read.
    """

    def __init__(self, limit: int) -> None:
        self._turns = asyncio.Semaphore(limit)
        self._idle: dict[Route, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._buffer = bytearray(_BUFFER)

    async def post(self, route: Route, request: bytes) -> Answer:
        """Send a whole request and return the answer; raise what the SDK raises.

        A request that is cancelled takes its connection with it.
        """
        await self._turns.acquire()
        try:
            connection = self._idle_one(route) or await self._opened(route)
        except BaseException:
            self._turns.release()
            raise
        answer = connection.ask(request)
        try:
            return await answer
        except BaseException:
            if answer.cancelled():  # with an answer it was taken back, with an error dropped
                self._drop(connection)
            raise

    async def _opened(self, route: Route) -> Connection:
        connection = await opened(route, self._buffer)
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
        self._turns.release()

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
