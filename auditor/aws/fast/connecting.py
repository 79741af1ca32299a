"""Opening connections: directly, or through an HTTP proxy; what fails is the SDK's own error."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from ssl import SSLError as TlsError
from typing import TypeAlias

import anyio
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.httpsession import mask_proxy_url
from httptools import HttpParserError, HttpParserUpgrade

from auditor.aws.fast.connection import Connection, Inbox
from auditor.aws.fast.parsing import check_header, check_reason, response_parser

_LARGEST_HEAD = 64 * 1024
_OK = 200
# All but 101, which would be another protocol.
_INTERIM = frozenset({100, *range(102, 200)})

Make: TypeAlias = Callable[[], Connection]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy."""

    url: str = field(repr=False)
    """As it was configured, so perhaps with a password."""
    host: str
    port: int
    tls: SSLContext | None
    """None where it is talked to in plain HTTP."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """`Proxy-Authorization`, where it is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """The way to an endpoint."""

    url: str
    host: str
    port: int
    tls: SSLContext | None
    """None for plain HTTP."""
    proxy: Proxy | None
    connect_timeout: float
    """Seconds until a connection is open, TLS included."""
    read_timeout: float
    """Seconds without a byte."""


async def opened(route: Route, inbox: Inbox) -> Connection:
    """Return a new connection that reads into `inbox`; raise the SDK's error if it can't be."""

    def connection() -> Connection:
        return Connection(route.url, route.read_timeout, inbox)

    try:
        with anyio.fail_after(route.connect_timeout):
            if route.proxy is None:
                return await _dial(connection, route.host, route.port, route.tls)
            return await _through(route, route.proxy, connection)
    except ProxyConnectionError:  # an OSError, too
        raise
    except TimeoutError:
        raise ConnectTimeoutError(endpoint_url=route.url) from None
    except TlsError as error:
        raise SSLError(endpoint_url=route.url, error=error) from None
    except (OSError, UnicodeError) as error:
        raise EndpointConnectionError(endpoint_url=route.url, error=error) from None


async def _dial(make: Make, host: str, port: int, tls: SSLContext | None) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(
        make, host, port, ssl=tls, server_hostname=host if tls else None
    )
    return connection


async def _through(route: Route, proxy: Proxy, make: Make) -> Connection:
    """Connect by the proxy; for a plain endpoint that is a connection to the proxy itself."""
    try:
        if route.tls is None:
            return await _dial(make, proxy.host, proxy.port, proxy.tls)
        transport = await _tunnel(route, proxy)
    except (OSError, TlsError) as error:
        raise ProxyConnectionError(proxy_url=mask_proxy_url(proxy.url), error=error) from None
    connection = make()
    try:
        inner = await asyncio.get_running_loop().start_tls(
            transport, connection, route.tls, server_hostname=route.host
        )
    except BaseException:
        transport.abort()
        raise
    if inner is None:
        raise ConnectionResetError("the proxy closed the tunnel")
    connection.connection_made(inner)
    return connection


async def _tunnel(route: Route, proxy: Proxy) -> asyncio.Transport:
    """Return a connection to the endpoint that the proxy opened; raise OSError if it does not."""
    transport, opening = await asyncio.get_running_loop().create_connection(
        _Tunnel,
        proxy.host,
        proxy.port,
        ssl=proxy.tls,
        server_hostname=proxy.host if proxy.tls else None,
    )
    host = f"[{route.host}]" if ":" in route.host else route.host
    lines = [f"CONNECT {host}:{route.port} HTTP/1.1", f"Host: {host}:{route.port}"]
    lines += [f"{name}: {value}" for name, value in proxy.headers]
    try:
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await opening.answer
    except BaseException:
        transport.abort()
        raise
    return transport


class _Tunnel(asyncio.Protocol):
    """Reads the head of the answer to CONNECT, by the parser of all answers."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser = response_parser(self)
        self._size = self._headers = 0

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._refuse("the proxy's answer is not HTTP")
        if self._size > _LARGEST_HEAD:
            self._refuse("the proxy's answer is too large")

    def connection_lost(self, error: Exception | None) -> None:
        self._refuse("the proxy closed the connection")

    def on_status(self, reason: bytes) -> None:
        """Check the words behind the status (httptools calls this, and the following)."""
        check_reason(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Check a header."""
        self._headers += 1
        check_header(name, value, self._headers)

    def on_headers_complete(self) -> None:
        """Take 200, and wait after an interim answer; anything else is a refusal."""
        status = self._parser.get_status_code()
        self._headers = 0
        if status == _OK:
            with suppress(asyncio.InvalidStateError):
                self.answer.set_result(None)
        elif status not in _INTERIM:
            self._refuse(f"the proxy answered {status}")

    def _refuse(self, reason: str) -> None:
        with suppress(asyncio.InvalidStateError):
            self.answer.set_exception(ConnectionRefusedError(reason))
