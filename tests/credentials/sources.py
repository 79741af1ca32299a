"""Where credentials come from, on loopback: STS, Identity Center, a container, an instance.

One port serves all of them, and the small AWS of the fault tests beside them.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from bench.fake_aws.answers import STS, RefusedError, xml
from tests.credentials.signin import SignIn
from tests.faults.cloud import MANAGEMENT, Asked, Cloud, refusal
from tests.faults.sso import IdentityCenter

WEB_TOKEN, CONTAINER_TOKEN, MFA_CODE = "web-identity-token", "container-token", "123456"
_ROLE = f"arn:aws:iam::{MANAGEMENT}:role/Auditor"
METADATA = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Sources:
    """Serves what the SDK asks for credentials; `spoilt` is what it answers instead, by operation.

    A key of `spoilt` is an operation of STS, or the path of an endpoint.
    """

    cloud: Cloud
    centre: IdentityCenter
    spoilt: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    lifetime: timedelta = timedelta(hours=6)
    before: Callable[[], object] = lambda: None
    """What is done at each request of IAM."""
    url: str = ""
    login: SignIn = field(init=False)

    def __post_init__(self) -> None:
        self.login = SignIn(self.session, lambda: self.url)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead the SDK here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_SSO": self.url,
            "AWS_ENDPOINT_URL_SSO_OIDC": self.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
        }

    def session(self, account: str = MANAGEMENT) -> dict[str, str]:
        """Return credentials of a role, as an endpoint or a process gives them."""
        arn = f"arn:aws:iam::{account}:role/Auditor"
        text = self.cloud.assume_role(Asked("sts", "AssumeRole", account, {"RoleArn": arn}))
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        found = {name: re.findall(f"<{name}>([^<]+)<", text)[0] for name in names}
        until = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {**found, "Token": found["SessionToken"], "Expiration": until, "Code": "Success"}

    def answer(self, head: bytes, body: bytes) -> tuple[int, str]:
        text = head.decode("latin-1")
        method, path, _ = text.split(" ", 2)
        form = dict(parse_qsl(body.decode())) if body[:1] != b"{" else {}
        name = form.get("Action") or path.partition("?")[0]
        self.asked[name] += 1
        if name in self.spoilt:
            return self.spoilt[name]
        if name == "/v1/token":
            return self.login.answer(text, body)
        if "Action" not in form and "x-amz-target" not in text.lower():
            return self._endpoint(method, path, text)
        if name == "AssumeRoleWithWebIdentity":
            return self._web_identity(form)
        asked = self.cloud.asked(head, body)
        if asked.service == "iam":
            self.before()
        if form.get("SerialNumber") and form.get("TokenCode") != MFA_CODE:
            wrong = "MultiFactorAuthentication failed with invalid MFA one time pass code."
            return refusal(RefusedError(403, "AccessDenied", wrong), asked)
        return self.cloud.answer(head, asked)

    def _endpoint(self, method: str, path: str, text: str) -> tuple[int, str]:
        if path.startswith(("/federation", "/token")):
            status, answer = self.centre.answer(text)
            return status, json.dumps(answer)
        if path == "/container":
            right = f"authorization: {CONTAINER_TOKEN}\r" in text.lower()
            return (200, json.dumps(self.session())) if right else (403, "secret-of-the-endpoint")
        if method == "PUT":
            return 200, "metadata-token"
        if path == METADATA:
            return 200, "Auditor"
        if path.startswith(METADATA):
            return 200, json.dumps(self.session())
        return 404, "nothing here"

    def _web_identity(self, form: dict[str, str]) -> tuple[int, str]:
        asked = Asked("sts", "AssumeRole", MANAGEMENT, {"RoleArn": form["RoleArn"]})
        if form["WebIdentityToken"] != WEB_TOKEN:
            wrong = RefusedError(400, "InvalidIdentityToken", "The token can't be verified.")
            return refusal(wrong, asked)
        return 200, xml("AssumeRoleWithWebIdentity", STS, self.cloud.assume_role(asked))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Sources"]:
        """Listen on this machine while the context lasts."""
        writers: set[asyncio.StreamWriter] = set()

        async def connected(source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            writers.add(out)
            with suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    head = await source.readuntil(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: *(\d+)", head)
                    body = await source.readexactly(int(length[1]) if length else 0)
                    out.write(_http(*self.answer(head, body)))
                    await out.drain()
            out.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for out in writers:
                out.transport.abort()
            await server.wait_closed()


def _http(status: int, text: str) -> bytes:
    error = {400: "InvalidGrantException", 401: "UnauthorizedException"}.get(status)
    named = f"x-amzn-ErrorType: {error}\r\n" if error and text.startswith("{") else ""
    body = text.encode()
    return f"HTTP/1.1 {status} -\r\n{named}Content-Length: {len(body)}\r\n\r\n".encode() + body


def a_cloud() -> Cloud:
    return Cloud(5, accounts=4, users=2, least=1, now=datetime.now(UTC))
