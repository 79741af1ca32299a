"""The fast reader goes where the SDK goes, says what it says, and fails as it fails."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest

from auditor.aws.fast import connection
from auditor.aws.permissions import ForbiddenActionError
from auditor.errors import AwsFailure, FailureKind
from auditor.ports import IamReader
from tests.aws.wire import (
    COMPLETE,
    Authority,
    Speak,
    http,
    proxying,
    readers,
    resetting,
    saying,
    serving,
    silent,
)

MIDDLE = len(COMPLETE) // 2


async def failure_of(reader: IamReader) -> tuple[str, FailureKind]:
    with pytest.raises(AwsFailure) as caught:
        await reader.generate_credential_report()
    assert caught.value.operation == "iam:GenerateCredentialReport"
    return caught.value.code, caught.value.kind


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("speak", "code"),
    [
        pytest.param(saying(close=True), "ConnectionClosedError", id="no answer"),
        pytest.param(saying(http()[:20], close=True), "ConnectionClosedError", id="half a head"),
        pytest.param(saying(http()[:-9], close=True), "ConnectionClosedError", id="half a body"),
        pytest.param(saying(b"220 ready\r\n", close=True), "HTTPClientError", id="no HTTP"),
        pytest.param(resetting, "EndpointConnectionError", id="reset"),
        pytest.param(silent, "ReadTimeoutError", id="silence"),
        pytest.param(saying(http(b"")), "MalformedAnswer", id="an empty answer"),
        pytest.param(saying(http(b"", status="503 Busy")), "503", id="busy"),
        pytest.param(
            saying(http(b"<a/>", status="307 Go", headers="Location: http://127.0.0.1:1/\r\n")),
            "Unknown",
            id="a redirect, which is not followed",
        ),
    ],
)
async def test_what_fails_has_the_sdks_name(speak: Speak, code: str) -> None:
    async with serving(speak) as server, readers(server.url) as both:
        fast, sdk = await failure_of(both.fast), await failure_of(both.sdk)

    assert fast[0] == code
    assert fast == sdk


async def test_where_nobody_listens_both_say_so() -> None:
    for url in ("http://127.0.0.1:9", "http://nowhere.invalid", "https://127.0.0.1:9"):
        async with readers(url) as both:
            fast, sdk = await failure_of(both.fast), await failure_of(both.sdk)

        assert fast == sdk == ("EndpointConnectionError", FailureKind.UNAVAILABLE)


@pytest.mark.parametrize(
    "speak",
    [
        saying(http()),
        saying(*(bytes([byte]) for byte in http()[:60]), http()[60:]),
        saying(b"HTTP/1.1 100 Continue\r\n\r\n", http()),
        saying(b"HTTP/1.1 100 Continue\r\n\r\n" + http()),
        saying(b"HTTP/1.0 200 OK\r\n\r\n", COMPLETE, close=True),
        saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + COMPLETE, close=True),
        saying(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % MIDDLE,
            COMPLETE[:MIDDLE] + b"\r\n%x;x=y\r\n" % (len(COMPLETE) - MIDDLE),
            COMPLETE[MIDDLE:] + b"\r\n0\r\n\r\n",
        ),
    ],
)
async def test_an_answer_is_read_however_it_is_framed(speak: Speak) -> None:
    async with serving(speak) as server, readers(server.url) as both:
        assert await both.fast.generate_credential_report()
        assert await both.sdk.generate_credential_report()


async def test_a_connection_is_used_again() -> None:
    async with serving(saying(http())) as server, readers(server.url) as both:
        for _ in range(5):
            await both.fast.generate_credential_report()

    assert (server.connections, len(server.requests)) == (1, 5)


async def test_as_many_connections_as_requests_at_the_same_time() -> None:
    async with serving(saying(b"", http())) as server, readers(server.url) as both:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(7):
                    group.start_soon(both.fast.generate_credential_report)

    assert (server.connections, len(server.requests)) == (7, 21)


@pytest.mark.parametrize("header", ["Connection: close\r\n", ""])
async def test_a_connection_that_the_server_closed_is_not_used_again(header: str) -> None:
    closing = saying(http(headers=header), close=True)
    async with serving(closing) as server, readers(server.url) as both:
        for _ in range(3):
            await both.fast.generate_credential_report()
            await asyncio.sleep(0.02)

    assert server.connections == 3


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    async with serving(saying(http() + http())) as server, readers(server.url) as both:
        code, _ = await failure_of(both.fast)

    assert code == "HTTPClientError"


async def test_a_request_that_is_cancelled_takes_its_connection_with_it() -> None:
    late = saying(b"", b"", b"", b"", http())
    async with serving(late) as server, readers(server.url) as both:
        with anyio.move_on_after(0.01):
            await both.fast.generate_credential_report()
        assert await both.fast.generate_credential_report()

    assert server.connections == 2


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LARGEST_ANSWER", 10_000)
    body = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 11_000
    for endless in (body, b"HTTP/1.1 200 OK\r\n" + b"X-More: x\r\n" * 20_000):
        async with serving(saying(endless)) as server, readers(server.url) as both:
            code, _ = await failure_of(both.fast)

        assert code == "HTTPClientError"


async def test_a_small_part_after_a_great_one_is_no_endless_head() -> None:
    answer = http(b"<a>" + b" " * 300_000 + b"</a>")
    first, rest = answer[:200_000], answer[200_000:]
    whole = saying(first, rest[:1_000], rest[1_000:])
    async with serving(whole) as server, readers(server.url) as both:
        code, _ = await failure_of(both.fast)

    assert code == "MalformedAnswer"  # it was read to its end: it is XML, if none of AWS's


def _scope(headers: Mapping[str, str]) -> str:
    """Return the Authorization header but for the signature and the day: ours has its own clock."""
    return re.sub(r"/\d{8}/", "/DAY/", headers["authorization"].partition("Signature=")[0])


async def test_the_requests_of_both_say_the_same() -> None:
    async with serving(saying(http(b"<a/>", status="400 No"))) as server:
        async with readers(f"{server.url}/aws/iam/") as both:
            for reader in (both.fast, both.sdk):
                for ask in (reader.access_keys("a&b ü+"), reader.user_details()):
                    with pytest.raises(AwsFailure):
                        await ask

        for number in (0, 1):
            fast, sdk = server.headers(number), server.headers(number + 2)
            line, other = (server.requests[each].split(b"\r\n")[0] for each in (number, number + 2))
            assert line == other == b"POST /aws/iam/ HTTP/1.1"
            same = ("host", "content-type", "content-length", "accept", "accept-encoding")
            assert {name: fast[name] for name in same} == {name: sdk[name] for name in same}
            assert fast["user-agent"] == sdk["user-agent"]
            assert _scope(fast) == _scope(sdk)
            bodies = [
                parse_qs(server.requests[each].partition(b"\r\n\r\n")[2].decode())
                for each in (number, number + 2)
            ]
            assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("region", "config", "environment", "url", "signed_for"),
    [
        ("us-east-1", {}, {}, "https://iam.amazonaws.com/", "us-east-1"),
        ("eu-central-1", {}, {}, "https://iam.amazonaws.com/", "us-east-1"),
        ("us-gov-east-1", {}, {}, "https://iam.us-gov.amazonaws.com/", "us-gov-west-1"),
        ("cn-northwest-1", {}, {}, "https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
        ("us-iso-east-1", {}, {}, "https://iam.us-iso-east-1.c2s.ic.gov/", "us-iso-east-1"),
        ("us-east-1", {"use_fips_endpoint": True}, {}, "https://iam-fips.amazonaws.com/", None),
        (
            "us-east-1",
            {},
            {"AWS_USE_FIPS_ENDPOINT": "true"},
            "https://iam-fips.amazonaws.com/",
            None,
        ),
        ("eu-west-1", {}, {"AWS_ENDPOINT_URL": "http://a:1/b"}, "http://a:1/b", "eu-west-1"),
        ("eu-west-1", {}, {"AWS_ENDPOINT_URL_IAM": "https://c"}, "https://c/", "eu-west-1"),
        (
            "us-east-1",
            {"ignore_configured_endpoint_urls": True},
            {"AWS_ENDPOINT_URL_IAM": "https://c"},
            "https://iam.amazonaws.com/",
            None,
        ),
        (
            "us-east-1",
            {},
            {"AWS_ENDPOINT_URL": "https://c", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://iam.amazonaws.com/",
            None,
        ),
    ],
)
async def test_the_endpoint_is_the_sdks(
    monkeypatch: pytest.MonkeyPatch,
    *,
    region: str,
    config: Mapping[str, Any],
    environment: Mapping[str, str],
    url: str,
    signed_for: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async with readers(region=region, **config) as both:
        target, route = both.endpoint.target, both.endpoint.route

    assert target.url == route.url == url
    assert target.host == url.split("/")[2]
    assert (target.region, target.service) == (signed_for or "us-east-1", "iam")
    assert (route.tls is not None) == url.startswith("https")


async def test_settings_of_a_profile_are_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile far]\nservices = local\nuse_fips_endpoint = true\n"
        "[services local]\niam =\n  endpoint_url = https://far.example:8443/iam\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "far")

    async with readers() as both:
        assert both.endpoint.target.url == "https://far.example:8443/iam"


async def test_only_certificates_of_the_bundle_for_the_host_that_was_asked_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = Authority(tmp_path), Authority(tmp_path)
    right, wrong_host = ours.server("localhost"), ours.server("elsewhere.example")
    for tls, bundle, accepted in (
        (right, ours.bundle, True),
        (wrong_host, ours.bundle, False),
        (right, others.bundle, False),
        (right, None, False),
        (wrong_host, False, False),
    ):
        async with serving(saying(http()), tls) as server:
            url = f"https://localhost:{server.port}"
            verify = str(bundle) if bundle else bundle
            for by_environment in (False, True) if bundle else (False,):
                if by_environment:
                    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
                async with readers(url, verify=None if by_environment else verify) as both:
                    for reader in (both.fast, both.sdk):
                        if accepted:
                            assert await reader.generate_credential_report()
                        else:
                            assert await failure_of(reader) == (
                                "SSLError",
                                FailureKind.UNAVAILABLE,
                            )
                monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


async def test_a_plain_server_where_tls_is_expected_fails_both() -> None:
    async with (
        serving(saying(b"220 ready\r\n" * 3)) as server,
        readers(f"https://localhost:{server.port}") as both,
    ):
        code, kind = await failure_of(both.fast)

    assert kind is FailureKind.UNAVAILABLE
    assert code in {"SSLError", "ConnectTimeoutError"}


async def test_a_proxy_is_gone_through_and_the_endpoint_is_still_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    async with (
        serving(saying(http()), authority.server("localhost")) as server,
        proxying() as proxy,
    ):
        url = f"https://localhost:{server.port}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://amy:p%40ss@127.0.0.1:{proxy.port}")
        async with readers(url, verify=str(authority.bundle)) as both:
            assert await both.fast.generate_credential_report()
            assert await both.sdk.generate_credential_report()
        async with readers(url) as both:
            assert (await failure_of(both.fast))[0] == "SSLError"
            assert (await failure_of(both.sdk))[0] == "SSLError"
        monkeypatch.setenv("NO_PROXY", "localhost")
        async with readers(url, verify=str(authority.bundle)) as both:
            assert await both.fast.generate_credential_report()

    assert proxy.connections == 4
    for number in range(4):
        asked = proxy.requests[number].split(b"\r\n")[0]
        assert asked == f"CONNECT localhost:{server.port} HTTP/1.1".encode()
        assert proxy.headers(number)["proxy-authorization"] == "Basic YW15OnBAc3M="


async def test_a_proxy_of_https_is_gone_through(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.server("localhost")
    async with (
        serving(saying(http()), tls) as server,
        proxying(tls=tls) as proxy,
        readers(
            f"https://localhost:{server.port}",
            verify=str(authority.bundle),
            proxies={"https": f"https://localhost:{proxy.port}"},
            proxies_config={"proxy_ca_bundle": str(authority.bundle)},
        ) as both,
    ):
        assert await both.fast.generate_credential_report()

    assert proxy.requests[0].startswith(b"CONNECT localhost:")


async def test_a_certificate_that_is_refused_behind_a_proxy_of_https_is_called_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    async with (
        serving(saying(http()), authority.server("elsewhere.example")) as server,
        proxying(tls=authority.server("localhost")) as proxy,
        readers(
            f"https://localhost:{server.port}",
            verify=str(authority.bundle),
            proxies={"https": f"https://localhost:{proxy.port}"},
            proxies_config={"proxy_ca_bundle": str(authority.bundle)},
        ) as both,
    ):
        for reader in (both.fast, both.sdk):
            assert await failure_of(reader) == ("SSLError", FailureKind.UNAVAILABLE)

    assert "Traceback" not in capfd.readouterr().err


async def test_a_plain_endpoint_is_asked_for_at_the_proxy_by_its_whole_address() -> None:
    async with (
        serving(saying(http())) as proxy,
        readers(
            "http://iam.example:8080/x", proxies={"http": f"http://amy:pw@127.0.0.1:{proxy.port}"}
        ) as both,
    ):
        assert await both.fast.generate_credential_report()
        assert await both.sdk.generate_credential_report()

    lines = [request.split(b"\r\n")[0] for request in proxy.requests]
    assert lines == [b"POST http://iam.example:8080/x HTTP/1.1"] * 2
    assert proxy.headers(0)["host"] == proxy.headers(1)["host"] == "iam.example:8080"
    authorization = [proxy.headers(number)["proxy-authorization"] for number in (0, 1)]
    assert authorization == ["Basic YW15OnB3"] * 2


async def test_a_proxy_that_does_not_let_us_fails_both() -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with proxying(refusal) as proxy:
        for port in (proxy.port, 9):
            url = f"http://amy:secret@127.0.0.1:{port}"
            async with readers("https://iam.example", proxies={"https": url}) as both:
                fast, sdk = await failure_of(both.fast), await failure_of(both.sdk)
                with pytest.raises(AwsFailure) as caught:
                    await both.fast.generate_credential_report()

            assert fast == sdk == ("ProxyConnectionError", FailureKind.UNAVAILABLE)
            assert "secret" not in str(caught.value)


async def test_what_does_not_only_read_can_not_be_sent() -> None:
    async with serving(saying(http())) as server, readers(server.url) as both:
        for operation in ("DeleteAccessKey", "UpdateAccessKey", "CreateAccessKey", "GetUser"):
            with pytest.raises(ForbiddenActionError):
                await both.fast.ask(operation, {"UserName": "amy"})  # type: ignore[attr-defined]

    assert not server.requests


async def test_who_asks_without_a_name_would_be_told_of_the_caller_and_so_does_not_ask() -> None:
    async with serving(saying(http())) as server, readers(server.url) as both:
        for reader in (both.fast, both.sdk):
            with pytest.raises(AwsFailure, match="ParamValidationError") as caught:
                await reader.access_keys("")
            assert caught.value.message == "Parameter validation failed:"

    assert not server.requests
