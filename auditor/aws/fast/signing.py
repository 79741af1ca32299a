"""Signature Version 4 of requests in the query protocol; keys are derived once a day.

Source: AWS General Reference, "Create a signed AWS API request".
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import quote, urlsplit

from botocore.utils import normalize_url_path

CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_ALGORITHM = "AWS4-HMAC-SHA256"

Headers = Sequence[tuple[str, str]]


class FrozenCredentials(Protocol):
    """Credentials as the SDK gives them for one request."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go, and what they are signed for."""

    url: str
    host: str
    """As the Host header has it: with the port where that is not the scheme's own."""
    region: str
    service: str

    @property
    def path(self) -> str:
        """The path as the canonical request has it."""
        return quote(normalize_url_path(urlsplit(self.url).path), safe="/~")


@dataclass(frozen=True, slots=True)
class _Key:
    """What stays the same for requests with the same credentials on the same day."""

    credentials: tuple[str, str, str | None] = field(repr=False)
    day: str
    secret: bytes = field(repr=False)
    scope: str
    token_line: str = field(repr=False)
    signed_headers: str


class Signer:
    """Signs the requests of one set of credentials after the other, to one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before = f"POST\n{target.path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{target.host}\n"
        self._key: _Key | None = None

    def headers(self, credentials: FrozenCredentials, body: bytes, now: datetime) -> Headers:
        """Return the headers that sign a POST of the form `body`; `now` is in UTC.

        The signature covers Host and Content-Type as well, which the caller sends.
        """
        stamp = _basic(now)
        key = self._key_of(credentials, stamp[:8])
        request = (
            f"{self._before}x-amz-date:{stamp}\n{key.token_line}\n"
            f"{key.signed_headers}\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{stamp}\n{key.scope}\n{digest}"
        signature = hmac.digest(key.secret, to_sign.encode(), "sha256").hex()
        access_key, _, token = key.credentials
        authorization = (
            f"{_ALGORITHM} Credential={access_key}/{key.scope}, "
            f"SignedHeaders={key.signed_headers}, Signature={signature}"
        )
        signed = [("X-Amz-Date", stamp), ("Authorization", authorization)]
        if token:
            signed.append(("X-Amz-Security-Token", token))
        return signed

    def _key_of(self, credentials: FrozenCredentials, day: str) -> _Key:
        key = self._key
        if key is not None and key.day == day:
            of = key.credentials
            if of == (credentials.access_key, credentials.secret_key, credentials.token):
                return key
        self._key = key = self._derive(credentials, day)
        return key

    def _derive(self, credentials: FrozenCredentials, day: str) -> _Key:
        target, token = self._target, credentials.token
        secret = f"AWS4{credentials.secret_key}".encode()
        for part in (day, target.region, target.service, "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        return _Key(
            credentials=(credentials.access_key, credentials.secret_key, token),
            day=day,
            secret=secret,
            scope=f"{day}/{target.region}/{target.service}/aws4_request",
            token_line=f"x-amz-security-token:{' '.join(token.split())}\n" if token else "",
            signed_headers="content-type;host;x-amz-date"
            + (";x-amz-security-token" if token else ""),
        )


def _basic(now: datetime) -> str:
    """Return `20261124T143000Z`; ten times as fast as strftime, which every request would ask."""
    return now.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "") + "Z"
