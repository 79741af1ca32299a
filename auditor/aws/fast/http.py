"""HTTP/1.1 over connections that stay open: POST, one answer, and nothing else.

The bytes of answers are read by llhttp (httptools), the parser of Node.js; redirects are answers
like any other, there are no cookies, and nothing is decompressed.
"""

import asyncio
from collections import defaultdict

from auditor import fanout
from auditor.aws.fast.connecting import Route, opened
from auditor.aws.fast.connection import Answer, Connection

__all__ = ["Answer", "Pool", "Route"]

_LONGEST_IDLE = 12.0
"""Seconds after which an idle connection is not used again, as in the SDK."""
_BUFFER = 64 * 1024
"""Bytes read at once."""


class Pool:
    """The connections of a run; as many as there are requests at the same time."""

    def __init__(self) -> None:
        self._idle: dict[Route, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._buffer = bytearray(_BUFFER)

    async def post(self, route: Route, request: bytes) -> Answer:
        """Send a whole request and return the answer; raise what the SDK raises.

        A request that is cancelled takes its connection with it.
        """
        connection = self._idle_one(route)
        if connection is None:
            connection = await opened(route, self._buffer)
            self._open.add(connection)
        try:
            answer = await connection.ask(request)
        except BaseException:
            self._drop(connection)
            raise
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[route].append(connection)
        else:
            self._drop(connection)
        return answer

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
