"""Latency of the fake: answers wait for their time, and not for each other."""

import asyncio

from bench.fake_aws.answers import Answer
from bench.fake_aws.http import Connection


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.answered = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self.answered.set()

    def close(self) -> None:
        self.closed = True


def hello(_head: bytes, body: bytes) -> Answer:
    return 200, f"hello {body.decode()}"


def request(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST / HTTP/1.1", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_an_answer_is_not_written_before_its_time() -> None:
    transport = Transport()
    connection = Connection(hello, latency=0.001)
    connection.connection_made(transport)
    connection.data_received(request(b"you"))

    at_once = list(transport.written)
    await transport.answered.wait()

    assert at_once == []
    assert transport.written[0].endswith(b"hello you")


async def test_requests_may_come_in_pieces_and_several_at_a_time() -> None:
    transport = Transport()
    connection = Connection(hello, latency=0)
    connection.connection_made(transport)
    stream = request(b"a") + request(b"b") + request(b"c", b"Connection: close")
    connection.data_received(stream[:10])
    connection.data_received(stream[10:-1])
    before = transport.closed
    connection.data_received(stream[-1:])

    assert [answer[-7:] for answer in transport.written] == [b"hello a", b"hello b", b"hello c"]
    assert not before
    assert transport.closed


async def test_an_answer_to_one_who_has_gone_is_dropped() -> None:
    transport = Transport()
    connection = Connection(hello, latency=0.001)
    connection.connection_made(transport)
    connection.data_received(request(b"you"))
    connection.connection_lost(None)
    await asyncio.sleep(0.01)

    assert transport.written == []
