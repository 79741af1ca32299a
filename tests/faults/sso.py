"""IAM Identity Center as the SDK asks it: tokens that end, and roles for those that don't.

Two services on one port: the portal (`GetRoleCredentials`) and OIDC (`CreateToken`, which renews).
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any

from tests.faults.cloud import MANAGEMENT, Asked, Cloud

SESSION, PROFILE = "corp", "audit"
CONFIG = f"""[profile {PROFILE}]
sso_session = {SESSION}
sso_account_id = {MANAGEMENT}
sso_role_name = Auditor
region = us-east-1
[sso-session {SESSION}]
sso_region = us-east-1
sso_start_url = https://corp.awsapps.com/start
"""


@dataclass
class IdentityCenter:
    """Lets whoever has a token act as a role in the management account of a cloud."""

    cloud: Cloud
    token: str = ""
    """The one that is accepted."""
    renews: bool = False
    """Whether a refresh token is good for a new token."""
    asked: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def sign_in(self, home: Path, *, lasts: timedelta, refresh: bool) -> None:
        """Do as `aws sso login`: leave a new token in the cache of a home."""
        self.token = f"token-{self.asked.total()}-{datetime.now(UTC).timestamp()}"
        token = {
            "startUrl": "https://corp.awsapps.com/start",
            "region": "us-east-1",
            "accessToken": self.token,
            "expiresAt": _time(lasts),
        }
        if refresh:
            token |= {
                "refreshToken": "refresh",
                "clientId": "client",
                "clientSecret": "secret",
                "registrationExpiresAt": _time(timedelta(days=90)),
            }
        cache = home / ".aws/sso/cache"
        cache.mkdir(parents=True, exist_ok=True)
        name = sha1(SESSION.encode(), usedforsecurity=False).hexdigest()
        (cache / f"{name}.json").write_text(json.dumps(token))

    def answer(self, head: str) -> tuple[int, dict[str, Any]]:
        """Answer one request."""
        if head.startswith("POST /token"):
            self.asked["CreateToken"] += 1
            if not self.renews:
                return 400, {"error": "invalid_grant", "error_description": "Invalid refresh token"}
            return 200, {"accessToken": self.token, "expiresIn": 3600, "tokenType": "Bearer"}
        self.asked["GetRoleCredentials"] += 1
        found = re.search(r"(?im)^x-amz-sso_bearer_token: *(\S+)", head)
        if found is None or found[1] != self.token:
            return 401, {"message": "Session token not found or invalid"}
        return 200, {"roleCredentials": self._role()}

    def _role(self) -> dict[str, Any]:
        arn = f"arn:aws:iam::{MANAGEMENT}:role/Auditor"
        text = self.cloud.assume_role(Asked("sts", "AssumeRole", MANAGEMENT, {"RoleArn": arn}))
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        values = {name: re.findall(f"<{name}>([^<]+)<", text)[0] for name in names}
        until = datetime.now(UTC) + self.cloud.lifetime
        return {
            **{name[0].lower() + name[1:]: value for name, value in values.items()},
            "expiration": int(until.timestamp() * 1000),
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["IdentityCenter"]:
        """Listen on this machine while the context lasts."""

        async def connected(source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, OSError):
                head = (await source.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)content-length: *(\d+)", head)
                await source.readexactly(int(length[1]) if length else 0)
                status, answer = self.answer(head)
                error = {400: "InvalidGrantException", 401: "UnauthorizedException"}.get(status)
                body = json.dumps(answer)
                told = f"x-amzn-ErrorType: {error}\r\n" if error else ""
                out.write(
                    f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{told}"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
                )
                await out.drain()
            out.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self


def _time(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
