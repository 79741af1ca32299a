"""One connection: a request is written, its answer is read, and it may be used again."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from httptools import HttpParserError, HttpParserUpgrade

from auditor.aws.bounds import LARGEST_ANSWER
from auditor.aws.connection import ANSWER_READ_TIMEOUTS
from auditor.aws.fast.parsing import check_header, check_reason, response_parser

_LARGEST_HEAD = 64 * 1024
_FIRST_FINAL_STATUS = 200
_FEW, _PART = 3, 4
"""Answers handed over between two looks at what came from the network: to work on one takes three
times as long as to read it and to send the next request. Where many wait, the processor is behind,
and more at once are quicker: a quarter of them."""


class Answer(NamedTuple):
    """An answer, whole."""

    status: int
    retry_after: str | None
    """The header as it came."""
    body: bytes


Asked: TypeAlias = asyncio.Future[Answer | None]
"""What waits for an answer; None is for whoever makes it, and never set here."""


class Inbox:
    """Where connections of one event loop read, and hand over what they read.

    Bytes are read into one buffer: what asyncio allocates for each read by itself, a quarter of a
    megabyte, can cost more than reading an answer and parsing it. Answers that come together are
    handed over a few at a time: what else came is read in between, and the next requests are sent.
    """

    def __init__(self, size: int) -> None:
        """Read `size` bytes at once."""
        self.buffer = memoryview(bytearray(size))
        self._read: deque[tuple[Asked, Answer]] = deque()

    def hand_over(self, asked: Asked, answer: Answer) -> None:
        """Give an answer to who waits for it, after those that were read before."""
        self._read.append((asked, answer))
        if len(self._read) == 1:
            self._go_on()

    def _go_on(self) -> None:
        asyncio.get_running_loop().call_soon(self._hand_over_some)

    def _hand_over_some(self) -> None:
        waiting = len(self._read)
        for _ in range(min(max(_FEW, waiting // _PART), waiting)):
            asked, answer = self._read.popleft()
            if not asked.done():
                asked.set_result(answer)
        if self._read:
            self._go_on()


class Connection(asyncio.BufferedProtocol):
    """An open connection; `url` is named in what it raises, the SDK's own errors.

    One request at a time. `read_timeout` is in seconds without a byte; a whole answer may take
    `ANSWER_READ_TIMEOUTS` times as long.
    """

    def __init__(self, url: str, read_timeout: float, inbox: Inbox) -> None:
        self._url = url
        self._inbox = inbox
        self._read_timeout = read_timeout
        self._longest = (ANSWER_READ_TIMEOUTS - 1) * read_timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: Asked | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Goes on from one request to the next: a timer for each would cost more than its call."""
        self._asked_at = self._heard_at = 0.0
        self._lost = self._loop.create_future()
        self._parser = response_parser(self)
        self.idle_since = 0.0
        """By the loop's clock."""
        self.reusable = True
        """Whether one more request may be sent."""
        self.at_end: Callable[[], None] = lambda: None
        """Called at once when a request is not on its way any more, before anybody reads more."""
        self._retry_after: str | None = None
        self._body: list[bytes] = []
        self._begin()

    def ask(self, request: bytes, answer: Asked) -> None:
        """Send a request; `answer` gets what comes, or the error that comes instead."""
        self._waiting = answer
        self._asked_at = self._heard_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._read_timeout, self._check_time)
        if self._transport is None or not self.reusable:
            self._fail(ConnectionClosedError(endpoint_url=self._url))
        else:
            self._transport.write(request)

    def owes(self, answer: Asked) -> bool:
        """Whether it is still to come from here: what is read may not have been handed over yet."""
        return self._waiting is answer

    def abort(self) -> None:
        """Close at once; what is waited for is no longer."""
        self.reusable = False
        self._taken()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the transport is gone."""
        if self._transport is not None:
            await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls this, but not where TLS is started within an open connection)."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._inbox.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._waiting is None:
            self.abort()
            return
        self._heard_at = self._loop.time()
        if not self._in_body:
            self._head_size += nbytes
        try:
            self._parser.feed_data(self._inbox.buffer[:nbytes])
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(HTTPClientError(error=error))
            return
        endless_head = not self._in_body and self._head_size > _LARGEST_HEAD
        if self._size > LARGEST_ANSWER or endless_head:
            self._fail(HTTPClientError(error=ValueError("the answer is too large")))
        elif self._complete:
            self._deliver()

    def connection_lost(self, error: Exception | None) -> None:
        """End what is waited for: well only where the end of the connection is that of the body."""
        self.reusable = False
        if not self._lost.done():
            self._lost.set_result(None)
        if self._waiting is None:
            return
        if error is not None:
            self._fail(EndpointConnectionError(endpoint_url=self._url, error=error))
        elif self._in_body and not self._delimited:
            self._deliver()
        else:
            self._fail(ConnectionClosedError(endpoint_url=self._url))

    def on_message_begin(self) -> None:
        """Note a further answer to the same request (httptools calls this, and the following)."""
        if self._complete:
            self._size = LARGEST_ANSWER + 1

    def on_status(self, reason: bytes) -> None:
        """Check the words behind the status."""
        check_reason(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what matters of a header."""
        self._headers += 1
        check_header(name, value, self._headers)
        name = name.lower()
        if name == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif name in {b"content-length", b"transfer-encoding"}:
            self._delimited = True

    def on_headers_complete(self) -> None:
        """Note that the body begins."""
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._size += len(body)
        if self._size <= LARGEST_ANSWER:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Note the end; an interim answer (100 Continue) is none."""
        if self._parser.get_status_code() < _FIRST_FINAL_STATUS:
            self._begin()
        else:
            self._complete = True
            self.reusable = self.reusable and self._parser.should_keep_alive()

    def _begin(self) -> None:
        self._body = []
        self._size = self._head_size = self._headers = 0
        self._in_body = self._complete = self._delimited = False
        self._retry_after = None

    def _deliver(self) -> None:
        answer = Answer(self._parser.get_status_code(), self._retry_after, b"".join(self._body))
        self._begin()
        waiting = self._taken()
        if waiting is not None:
            self._inbox.hand_over(waiting, answer)

    def _fail(self, error: Exception) -> None:
        self.reusable = False
        waiting = self._taken()
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
        self.abort()

    def _taken(self) -> Asked | None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.at_end()
        return waiting

    def _check_time(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        end = min(self._heard_at, self._asked_at + self._longest) + self._read_timeout
        left = end - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_time)
        else:
            self._fail(ReadTimeoutError(endpoint_url=self._url))
