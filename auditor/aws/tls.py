"""HTTP as botocore does it: certificates and host names are checked, redirects are not followed.

aiobotocore's own session (2.25.1) checks no host name, for urllib3 does that in botocore and nobody
in its place; behind a proxy without a CA bundle of its own it checks no certificate at all; it
sends a request on, session token included, to wherever an answer points; and it reads answers of
any size, with whatever entities.
"""

import asyncio
import os
from asyncio import sslproto
from collections.abc import Mapping
from functools import cache
from inspect import signature
from ipaddress import ip_address
from os import PathLike
from ssl import SSLContext
from typing import Any, Literal
from urllib.parse import urlsplit

from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.utils import _RefCountedSession
from aiohttp import TCPConnector
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import ProxyConfiguration, create_urllib3_context, get_cert_path

from auditor.aws.bounds import LARGEST_ANSWER, check_xml
from auditor.aws.connection import ANSWER_READ_TIMEOUTS
from auditor.aws.errors import is_page


def _repair_abort() -> None:
    """Let TLS within TLS fail as any other: CPython 3.11 and 3.12 call `_abort` with an error.

    It takes none there, so that a certificate that is refused behind an https proxy would end in
    a TypeError, and its reason be lost.
    """
    plain = sslproto.SSLProtocol._abort
    if len(signature(plain).parameters) == 1:

        def abort(protocol: sslproto.SSLProtocol, _: object = None) -> None:
            plain(protocol)  # type: ignore[call-arg]  # typeshed has the signature of later versions

        sslproto.SSLProtocol._abort = abort  # type: ignore[method-assign,assignment]


_repair_abort()

_BEFORE_XML = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
"""Space, and what tells encodings apart that expat reads unasked."""


def is_loopback(host: str) -> bool:
    """Whether what is sent to the host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


def stays_near(host: str) -> bool:
    """Whether the host is this machine or on its own link: a proxy would reach another one."""
    try:
        return ip_address(host).is_link_local or is_loopback(host)
    except ValueError:
        return is_loopback(host)


def check_encrypted(url: str) -> None:
    """Raise ValueError where requests to the URL could be read on their way."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        host = parts.netloc.rpartition("@")[2]  # what is before it may be a password
        raise ValueError(
            f"{parts.scheme}://{host} is not encrypted, and session tokens would be read on"
            " their way: give an https:// endpoint, or --allow-http"
        )


def given_certificates(*settings: object) -> str | Literal[True]:
    """Return the first setting that names certificates, or True for those of the SDK.

    Nothing else is said by a setting: an empty one is not given, and False is not heeded.
    """
    for setting in settings:
        if isinstance(setting, str | PathLike) and str(setting).strip():
            return str(setting)
    return True


def configured_certificates(session: Any) -> str | Literal[True]:
    """Return the certificates that the environment, or the profile of a session, names."""
    return given_certificates(
        os.environ.get("AWS_CA_BUNDLE"),
        session.get_scoped_config().get("ca_bundle"),
        os.environ.get("REQUESTS_CA_BUNDLE"),
    )


@cache
def trusting(bundle: str) -> SSLContext:
    """Return what checks by the certificates in a file; raise OSError where it can't be read.

    One serves all: to load a bundle takes 29 ms of CPU.
    """
    context: SSLContext = create_urllib3_context()
    context.check_hostname = True
    context.load_verify_locations(bundle)
    return context


class VerifyingSession(AIOHTTPSession):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's connections, with certificates and host names checked whatever is configured."""

    def __init__(
        self,
        verify: object = True,
        proxies: Mapping[str, str] | None = None,
        proxies_config: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> None:
        super().__init__(verify=given_certificates(verify), **named)
        given = {name: value for name, value in (proxies_config or {}).items() if value}
        self._proxy_config = _Proxies(proxies=proxies, proxies_settings=given)

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

    def _create_connector(self, proxy_url: Any) -> Any:
        if self._bundle(proxy_url) is None:
            return super()._create_connector(proxy_url)
        # The requests say what checks them: where none goes by TLS, no certificate is loaded.
        return TCPConnector(limit=self._max_pool_connections, **self._connector_args)

    async def _get_session(self, proxy_url: Any) -> "_WithoutRedirects":
        session = await super()._get_session(proxy_url)
        return _WithoutRedirects(session, self._bundle(proxy_url))

    def _bundle(self, proxy_url: Any) -> str | None:
        """Return the certificates that are all there is to say of TLS; None where there is more."""
        if self._cert_file or proxy_url:
            return None
        return str(get_cert_path(self._verify))


class MetadataSession(VerifyingSession, _RefCountedSession):  # type: ignore[misc]  # likewise
    """The connections to endpoints of an instance or container that give credentials."""


class _Proxies(ProxyConfiguration):  # type: ignore[misc]  # likewise
    """The proxies, which are never sent a plain request that is for this machine or its link."""

    def proxy_url_for(self, url: str) -> str | None:
        """Return the URL of the proxy for a request; None where it goes directly."""
        parts = urlsplit(url)
        if parts.scheme != "https" and stays_near(parts.hostname or ""):
            return None  # the proxy would read the session token; by TLS it can't
        proxy: str | None = super().proxy_url_for(url)
        return proxy


class _WithoutRedirects:
    """The part of an aiohttp session that the SDK uses."""

    def __init__(self, session: Any, bundle: str | None) -> None:
        self._session = session
        self._bundle = bundle

    async def request(self, method: str, *, url: Any, **named: Any) -> "_Bounded":
        if self._bundle is not None and url.scheme == "https":
            named["ssl"] = trusting(self._bundle)
        answer = await self._session.request(method, url=url, allow_redirects=False, **named)
        return _Bounded(answer)


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
        if body.lstrip(_BEFORE_XML)[:1] == b"<" and not is_page(self._response.status, body):
            check_xml(body)
        return body


async def _whole(content: Any) -> bytes:
    body = bytearray()
    async for part in content.iter_any():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(body)
