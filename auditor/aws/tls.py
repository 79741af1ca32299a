"""HTTP as botocore does it: certificates and host names are checked, redirects are not followed.

aiobotocore's own session (2.25.1) checks no host name, for urllib3 does that in botocore and nobody
in its place; behind a proxy without a CA bundle of its own it checks no certificate at all; it
sends a request on, session token included, to wherever an answer points; and it reads answers of
any size, with whatever entities.
"""

import asyncio
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ReadTimeoutError

from auditor.aws.bounds import LARGEST_ANSWER, check_xml
from auditor.aws.connection import ANSWER_READ_TIMEOUTS

_BEFORE_XML = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
"""Space, and what tells encodings apart that expat reads unasked."""


def is_loopback(host: str) -> bool:
    """Whether what is sent to the host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_encrypted(url: str) -> None:
    """Raise ValueError where requests to the URL could be read on their way."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{parts.scheme}://{parts.netloc} is not encrypted, and session tokens would be read on"
            " their way: give an https:// endpoint, or --allow-http"
        )


class VerifyingSession(AIOHTTPSession):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's connections, with certificates and host names checked unless that is turned off."""

    async def send(self, request: Any) -> Any:
        """Send a request and return the answer, whole and in time; raise what the SDK raises."""
        try:
            async with asyncio.timeout(ANSWER_READ_TIMEOUTS * self._timeout.sock_read):
                return await super().send(request)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from None

    def _get_ssl_context(self) -> SSLContext:
        context: SSLContext = super()._get_ssl_context()
        context.check_hostname = True
        return context

    def _setup_proxy_ssl_context(self, proxy_url: Any) -> SSLContext:
        return super()._setup_proxy_ssl_context(proxy_url) or self._get_ssl_context()

    async def _get_session(self, proxy_url: Any) -> "_WithoutRedirects":
        return _WithoutRedirects(await super()._get_session(proxy_url))


class _WithoutRedirects:
    """The part of an aiohttp session that the SDK uses."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, *arguments: Any, **named: Any) -> "_Bounded":
        return _Bounded(await self._session.request(*arguments, allow_redirects=False, **named))


class _Bounded:
    """An aiohttp answer, of whose body no more is read than any answer has."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def read(self) -> bytes:
        """Return the body; raise ValueError for what is too large, or XML that may do harm."""
        whole = False
        try:
            body = await _whole(self._response.content)
            whole = True
        finally:
            if not whole:
                self._response.close()
        if body.lstrip(_BEFORE_XML)[:1] == b"<":
            check_xml(body)
        return body


async def _whole(content: Any) -> bytes:
    body = bytearray()
    async for part in content.iter_any():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(body)
