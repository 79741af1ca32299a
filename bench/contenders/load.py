"""Unsigned ListAccessKeys on 60 connections as fast as they go: what the fake itself can do."""

import asyncio
import os
import time
from urllib.parse import urlsplit

CONNECTIONS, CALLS = 60, 60_000
_BODY = b"Action=ListAccessKeys&Version=2010-05-08&UserName=user-000001"
_REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


class Client(asyncio.Protocol):
    """Asks again when it is answered; the answers are small enough to come in one piece."""

    def __init__(self, left: list[int], done: asyncio.Event) -> None:
        self._left = left
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200")
        self._left[0] -= 1
        if self._left[0] > 0:
            self._transport.write(_REQUEST)
        else:
            self._done.set()


async def main() -> None:
    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert url.hostname
    assert url.port
    left, done = [CALLS], asyncio.Event()
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Client(left, done), url.hostname, url.port)
    await done.wait()
    print(f"{CALLS / (time.perf_counter() - start):.0f}")


if __name__ == "__main__":
    asyncio.run(main())
