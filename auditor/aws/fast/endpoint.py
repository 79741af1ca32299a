"""Where IAM is and how to get there, asked of the SDK: it knows partitions, profiles and proxies.

One client of the SDK makes one request that is never sent; what it would have sent, and by what
way, holds for all requests with the same session.
"""

import re
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aiobotocore.awsrequest import AioAWSResponse
from botocore.exceptions import HTTPClientError
from botocore.httpsession import get_cert_path

from auditor.aws.fast.connecting import Proxy, Route
from auditor.aws.fast.signing import CONTENT_TYPE, Target
from auditor.aws.tls import trusting

_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/([^/]+)/([^/]+)/aws4_request")
_PORTS = {"http": 80, "https": 443}
_ANSWER = (
    b"<GetAccountSummaryResponse><GetAccountSummaryResult><SummaryMap/>"
    b"</GetAccountSummaryResult></GetAccountSummaryResponse>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """IAM, as one session of the SDK reaches it."""

    route: Route
    target: Target
    user_agent: str

    @property
    def head(self) -> str:
        """The beginning of every request: what does not depend on what is asked."""
        url = urlsplit(self.route.url)
        forwarded = self.route.proxy is not None and self.route.tls is None
        return (
            f"POST {self.route.url if forwarded else url.path or '/'} HTTP/1.1\r\n"
            f"Host: {self.target.host}\r\n"
            f"User-Agent: {self.user_agent}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\n"
            "Accept: */*\r\n"
            "Accept-Encoding: identity\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in self._proxy_headers)
        )

    @property
    def _proxy_headers(self) -> tuple[tuple[str, str], ...]:
        """What the proxy wants to know of each request: through a tunnel it sees none."""
        proxy = self.route.proxy
        return proxy.headers if proxy is not None and self.route.tls is None else ()


async def endpoint_of(client: Any) -> Endpoint:
    """Return the endpoint of an IAM client of the SDK; raise what the SDK raises."""
    sent: list[Any] = []

    def keep(request: Any, **_: Any) -> AioAWSResponse:
        sent.append(request)
        return AioAWSResponse(request.url, 200, {}, _Canned())

    client.meta.events.register("before-send.iam", keep)
    try:
        await client.get_account_summary()
    finally:
        client.meta.events.unregister("before-send.iam", keep)
    [request] = sent
    scope = _SCOPE.search(_text(request.headers["Authorization"]))
    if scope is None:
        raise HTTPClientError(error=ValueError("the SDK does not sign with Signature Version 4"))
    url = urlsplit(request.url)
    return Endpoint(
        route=_route(url, request.url, client),
        target=Target(url=request.url, host=_host(url), region=scope[1], service=scope[2]),
        user_agent=_text(request.headers["User-Agent"]),
    )


class _Canned:
    """The body of the answer that the SDK gets."""

    async def read(self) -> bytes:
        return _ANSWER


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def _host(url: SplitResult) -> str:
    """Return the Host header: the port is named where it is not the scheme's own."""
    name = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{name}" if url.port in {None, _PORTS.get(url.scheme)} else f"{name}:{url.port}"


def _route(url: SplitResult, whole: str, client: Any) -> Route:
    session, config = client._endpoint.http_session, client.meta.config
    proxy_url = session._proxy_config.proxy_url_for(whole)
    try:
        return Route(
            url=whole,
            host=url.hostname or "",
            port=url.port or _PORTS[url.scheme],
            tls=_context(session) if url.scheme == "https" else None,
            proxy=_proxy(proxy_url, session) if proxy_url else None,
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
        )
    except OSError as error:  # a CA bundle or a certificate that can't be read
        raise HTTPClientError(error=error) from None


def _proxy(proxy_url: str, session: Any) -> Proxy:
    url = urlsplit(proxy_url)
    tls = None
    if url.scheme == "https":
        tls = _trusting(session._setup_proxy_ssl_context(proxy_url), session._verify)
    return Proxy(
        url=proxy_url,
        host=url.hostname or "",
        port=url.port or _PORTS[url.scheme],
        tls=tls,
        headers=tuple(session._proxy_config.proxy_headers_for(proxy_url).items()),
    )


def _context(session: Any) -> SSLContext:
    if not session._cert_file:
        return trusting(str(get_cert_path(session._verify)))
    context = _trusting(session._get_ssl_context(), session._verify)
    context.load_cert_chain(session._cert_file, session._key_file)
    return context


def _trusting(context: SSLContext, verify: bool | str) -> SSLContext:
    """Trust what the session trusts: a bundle, or the SDK's own."""
    context.load_verify_locations(get_cert_path(verify))
    return context
