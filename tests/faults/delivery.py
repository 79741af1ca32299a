"""Sending an answer whole, or as badly as a network can."""

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.client import responses

from tests.faults.kinds import Fault

_ENDLESS = 10**9
_PAUSE, _LONG_PAUSE = 0.005, 0.05


@dataclass
class Delivery:
    """One answer on its way; the connection lives on unless its way ends it."""

    status: int
    text: str
    out: asyncio.StreamWriter
    over: asyncio.Event
    """Set when the server ends: what hangs must not hang longer."""

    def __post_init__(self) -> None:
        self.content = self.text.encode()

    def head(self, length: int | None, *more: str) -> bytes:
        kind = "application/x-amz-json-1.1" if self.text.startswith("{") else "text/xml"
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        wait = ("Retry-After: 1",) if self.status == 429 else ()
        first = f"HTTP/1.1 {self.status} {responses.get(self.status, '')}"
        lines = [first, f"Content-Type: {kind}", size, *wait, *more]
        return "\r\n".join([*lines, "", ""]).encode()

    @property
    def whole(self) -> bytes:
        return self.head(len(self.content)) + self.content

    @property
    def half(self) -> bytes:
        return self.head(len(self.content)) + self.content[: len(self.content) // 2]

    def reset(self) -> None:
        connection = self.out.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.out.transport.abort()

    async def write(self, data: bytes) -> None:
        self.out.write(data)
        await self.out.drain()


async def _plainly(this: Delivery) -> None:
    await this.write(this.whole)


async def _hanging(this: Delivery) -> None:
    await this.over.wait()


async def _hanging_midway(this: Delivery) -> None:
    await this.write(this.half)
    await this.over.wait()


async def _closing(this: Delivery) -> None:
    this.out.close()


async def _resetting(this: Delivery) -> None:
    this.reset()


async def _resetting_midway(this: Delivery) -> None:
    await this.write(this.half)
    this.reset()


async def _resetting_after(this: Delivery) -> None:
    await this.write(this.whole)
    await asyncio.sleep(4 * _PAUSE)  # a reset overtakes what was not read
    this.reset()


async def _dripping(this: Delivery) -> None:
    whole = this.whole
    size = len(whole) // 8 + 1
    for at in range(0, len(whole), size):
        await this.write(whole[at : at + size])
        await asyncio.sleep(_PAUSE)


async def _dripping_forever(this: Delivery) -> None:
    await this.write(this.head(_ENDLESS) + this.content)
    while not this.over.is_set():
        await this.write(b" ")
        await asyncio.sleep(_LONG_PAUSE)


async def _cutting_chunks(this: Delivery) -> None:
    await this.write(this.head(None) + b"%x\r\n" % (len(this.content) + 1) + this.content)
    this.out.close()


async def _in_chunks(this: Delivery) -> None:
    half = len(this.content) // 2
    parts = [part for part in (this.content[:half], this.content[half:]) if part]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    await this.write(this.head(None) + chunks + b"0\r\n\r\n")


async def _to_the_end(this: Delivery) -> None:
    head = this.head(0, "Connection: close").replace(b"Content-Length: 0\r\n", b"")
    await this.write(head + this.content)
    this.out.close()


async def _mistyped(this: Delivery) -> None:
    await this.write(re.sub(rb"Content-Type: [^\r]+", b"Content-Type: image/png", this.whole))


async def _twice(this: Delivery) -> None:
    await this.write(this.whole * 2)


_WAYS: Mapping[Fault, Callable[[Delivery], Awaitable[None]]] = {
    Fault.HANGS: _hanging,
    Fault.HANGS_MIDWAY: _hanging_midway,
    Fault.CLOSED: _closing,
    Fault.RESET_BEFORE: _resetting,
    Fault.RESET_UNHEARD: _resetting,
    Fault.RESET_DURING: _resetting_midway,
    Fault.RESET_AFTER: _resetting_after,
    Fault.DRIPS: _dripping,
    Fault.DRIPS_FOREVER: _dripping_forever,
    Fault.CUT_CHUNKS: _cutting_chunks,
    Fault.CHUNKED: _in_chunks,
    Fault.UNENDED: _to_the_end,
    Fault.WRONG_TYPE: _mistyped,
    Fault.TWICE: _twice,
}


async def deliver(fault: Fault | None, delivery: Delivery) -> None:
    """Send the answer in the way that the fault is, plainly where it is about something else."""
    way = _plainly if fault is None else _WAYS.get(fault, _plainly)
    await way(delivery)
