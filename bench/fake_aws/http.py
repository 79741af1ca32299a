"""HTTP/1.1 with keep-alive, as much as an AWS client needs of it, and fast."""

import asyncio
import re
from collections.abc import Callable
from typing import cast

from bench.fake_aws.answers import REQUEST_ID, Answer

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CLOSE = re.compile(rb"(?i)\r\nconnection: *close")
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
_END = b"\r\n\r\n"

Handler = Callable[[bytes, bytes], Answer]
"""Takes the head of a request, from its first line on, and the body."""


class Connection(asyncio.Protocol):
    """One client; answers in order, each after the latency."""

    def __init__(self, handler: Handler, latency: float) -> None:
        self._handler = handler
        self._latency = latency
        self._held = b""
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport; answers that are due later are dropped."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        if self._held:
            data = self._held + data
        while (end := data.find(_END)) >= 0:
            head = data[:end]
            found = _LENGTH.search(head)
            begin = end + len(_END)
            after = begin + (int(found[1]) if found else 0)
            if len(data) < after:
                break
            self._reply(head, data[begin:after])
            data = data[after:]
        self._held = data

    def _reply(self, head: bytes, body: bytes) -> None:
        due = self._loop.time() + self._latency
        status, text = self._handler(head, body)
        content = text.encode()
        kind = "application/x-amz-json-1.1" if text.startswith("{") else "text/xml"
        answer = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nx-amzn-RequestId: {REQUEST_ID}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode() + content
        closing = _CLOSE.search(head) is not None
        if self._latency:
            self._loop.call_at(due, self._write, answer, closing)
        else:
            self._write(answer, closing)

    def _write(self, answer: bytes, closing: bool) -> None:
        if self._transport is None:
            return
        self._transport.write(answer)
        if closing:
            self._transport.close()


async def serve(handler: Handler, *, port: int = 0, latency: float = 0) -> asyncio.Server:
    """Listen on this machine only; port 0 is a free one."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Connection(handler, latency), "127.0.0.1", port, backlog=1024
    )
