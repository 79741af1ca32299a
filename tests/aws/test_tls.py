"""No setting turns certificate checks off: every client that is made checks them."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import SSLError

from auditor.aws.clients import Clients
from auditor.aws.connection import Connection
from auditor.aws.fast.endpoint import endpoint_of
from auditor.aws.providers import Shared, chain_of
from auditor.aws.tls import MetadataSession, VerifyingSession, check_encrypted
from auditor.engine.tally import Tally
from tests.aws.wire import Authority, http, proxying, saying, serving

EMPTY = ("", " ", "\t")
# What each says of certificates: variables, and settings of the profile.
CONFIGURED: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, ""),
    **{f"AWS_CA_BUNDLE={each!r}": ({"AWS_CA_BUNDLE": each}, "") for each in EMPTY},
    **{f"REQUESTS_CA_BUNDLE={each!r}": ({"REQUESTS_CA_BUNDLE": each}, "") for each in EMPTY},
    "both empty": ({"AWS_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""}, ""),
    "ca_bundle =": ({}, "ca_bundle =\n"),
    "ca_bundle = and variables": ({"AWS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}, "ca_bundle =\n"),
    "verify_ssl = false": ({}, "verify_ssl = false\nverify = false\n"),
    "Python's own": ({"PYTHONHTTPSVERIFY": "0", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}, ""),
    "a certificate file": ({"SSL_CERT_FILE": "BUNDLE", "SSL_CERT_DIR": "/"}, ""),
}
SERVICES = ("iam", "sts", "organizations", "secretsmanager", "securityhub", "sso", "sso-oidc")


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Clients]:
    def made(name: str) -> Clients:
        variables, settings = CONFIGURED[name]
        for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(variable, raising=False)
        (tmp_path / "config").write_text(f"[default]\nregion = us-east-1\n{settings}")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        return Clients(Connection(), concurrency=2, progress=Tally(), permits=frozenset())

    return made


def checks(context: Any) -> bool:
    return (
        isinstance(context, ssl.SSLContext)
        and context.verify_mode is ssl.CERT_REQUIRED
        and context.check_hostname
    )


@pytest.mark.parametrize("proxy", [None, "http://localhost:1", "https://localhost:1"])
@pytest.mark.parametrize("name", CONFIGURED)
async def test_every_client_checks_certificates_and_names(
    name: str,
    proxy: str | None,
    clients: Callable[[str], Clients],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if proxy is not None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    made = clients(name)
    for service in SERVICES:
        async with made.client(made.own, service) as client:
            session = client._endpoint.http_session
            bundle = session._bundle(proxy)
            connector = session._create_connector(proxy)

            assert isinstance(session, VerifyingSession)
            assert session._verify is True
            assert (bundle is not None) or checks(connector._ssl)
            await connector.close()
            if service == "iam":
                route = (await endpoint_of(client)).route
                assert checks(route.tls)
                assert (route.proxy is None) == (proxy is None)
                if route.proxy is not None and proxy == "https://localhost:1":
                    assert checks(route.proxy.tls)


@pytest.mark.parametrize("verify", [None, False, 0, "", " ", b"", [], True, "BUNDLE"], ids=repr)
@pytest.mark.parametrize("kind", [VerifyingSession, MetadataSession])
async def test_no_shape_of_verify_makes_a_session_that_does_not_check(
    kind: type[VerifyingSession], verify: object, tmp_path: Path
) -> None:
    bundle = str(Authority(tmp_path).bundle)
    settings = {"proxy_ca_bundle": "", "proxy_client_cert": None}
    session = kind(
        verify=bundle if verify == "BUNDLE" else verify, timeout=1, proxies_config=settings
    )

    for proxy in (None, "http://proxy.example:1", "https://proxy.example:1"):
        connector = session._create_connector(proxy)
        found = session._bundle(proxy)
        assert found is not None or checks(connector._ssl)
        assert checks(session._setup_proxy_ssl_context("https://proxy.example:1"))
        await connector.close()
    assert session._verify == (bundle if verify == "BUNDLE" else True)


def test_an_empty_setting_lets_the_next_one_be_heard(
    tmp_path: Path, clients: Callable[[str], Clients], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = str(Authority(tmp_path).bundle)
    made = clients("ca_bundle = and variables")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)

    async def verified_by() -> object:
        async with made.client(made.own, "sts") as client:
            return client._endpoint.http_session._verify

    assert asyncio.run(verified_by()) == bundle


async def test_providers_of_credentials_check_too(clients: Callable[[str], Clients]) -> None:
    session = clients("ca_bundle = and variables").own._session
    chain = chain_of(session, session.origin, Shared(session._shared.mfa), "us-east-1")
    providers = {each.METHOD: each for each in chain.providers}

    assert isinstance(providers["container-role"]._fetcher._session, MetadataSession)
    assert isinstance(providers["iam-role"]._role_fetcher._session, MetadataSession)
    assert providers["iam-role"]._role_fetcher._session._proxy_config._proxies == {}


@pytest.mark.parametrize("verify", ["", None])
async def test_a_self_signed_server_gets_no_request(tmp_path: Path, verify: str | None) -> None:

    tls = Authority(tmp_path).server("localhost")
    async with serving(saying(http()), tls) as server, proxying() as proxy:
        for proxies in ({}, {"https": proxy.url}):
            url = f"https://localhost:{server.port}"
            async with VerifyingSession(verify=verify, timeout=1, proxies=proxies) as session:
                with pytest.raises(SSLError):
                    await session.send(AWSRequest("GET", url).prepare())

        assert server.requests == []
        assert proxy.connections == 1


NEAR = (
    "127.0.0.1",
    "127.9.9.9",
    "[::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "169.254.169.254",
)
FAR = ("iam.example", "10.0.0.1", "localhost.example", "[fd00::1]", "128.0.0.1")


@pytest.mark.parametrize("host", [*NEAR, *FAR])
def test_plain_requests_to_this_machine_go_through_no_proxy(host: str) -> None:
    proxies = {"http": "http://user:secret@proxy.example:3128"}
    session = VerifyingSession(timeout=1, proxies=proxies)

    found = session._proxy_config.proxy_url_for(f"http://{host}:8080/")

    assert (found is None) == (host in NEAR)


@pytest.mark.parametrize("url", ["http://user:ENDPASS@10.0.0.1", "http://ENDPASS@far.example:80"])
def test_the_password_of_an_endpoint_is_not_in_the_message(url: str) -> None:
    with pytest.raises(ValueError, match="not encrypted") as raised:
        check_encrypted(url)

    assert "ENDPASS" not in str(raised.value)
