"""Signature Version 4 of requests in the query protocol; keys are derived once a day.

Source: AWS General Reference, "Create a signed AWS API request".
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote, urlsplit

from botocore.exceptions import HTTPClientError
from botocore.utils import normalize_url_path

CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_ALGORITHM = "AWS4-HMAC-SHA256"
_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_anew = hashlib.sha256().copy
"""To begin a hash: a copy costs OpenSSL less than one that knows of no other."""


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


class _Mac:
    """HMAC-SHA256 with one key, which is hashed once (RFC 2104): `hmac` does it each time."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER)).copy
        self._outer = hashlib.sha256(padded.translate(_OUTER)).copy

    def hex(self, message: bytes) -> str:
        """Return the code of a message."""
        inner, outer = self._inner(), self._outer()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


@dataclass(frozen=True, slots=True)
class _Key:
    """What stays the same for requests with the same credentials on the same day."""

    credentials: tuple[str, str, str | None] = field(repr=False)
    day: str
    mac: _Mac = field(repr=False)
    scope: str
    token_line: str = field(repr=False)
    signed_headers: str


@dataclass(frozen=True, slots=True)
class _Moment:
    """What stays the same for requests with the same credentials in the same second."""

    credentials: FrozenCredentials = field(repr=False)
    begin: datetime
    end: datetime
    mac: _Mac = field(repr=False)
    request: str = field(repr=False)
    """The canonical request, to where the hash of the body follows."""
    to_sign: str
    """To where the hash of the canonical request follows."""
    headers: str = field(repr=False)
    """To where the signature follows."""


class Signer:
    """Signs the requests of one set of credentials after the other, to one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before = f"POST\n{target.path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{target.host}\n"
        self._key: _Key | None = None
        self._moment: _Moment | None = None

    def headers(self, credentials: FrozenCredentials, body: bytes, now: datetime) -> str:
        """Return the lines of the headers that sign a POST of the form `body`; `now` is in UTC.

        The signature covers Host and Content-Type as well, which the caller sends. Raises
        HTTPClientError for credentials that can't be in a header.
        """
        moment = self._moment
        if (
            moment is None
            or moment.credentials is not credentials
            or not moment.begin <= now < moment.end
        ):
            moment = self._moment = self._moment_of(credentials, now)
        request = moment.request + _hash(body)
        to_sign = moment.to_sign + _hash(request.encode())
        return f"{moment.headers}{moment.mac.hex(to_sign.encode())}\r\n"

    def _moment_of(self, credentials: FrozenCredentials, now: datetime) -> _Moment:
        begin = now.replace(microsecond=0)
        stamp = f"{begin:%Y%m%dT%H%M%SZ}"
        key = self._key_of(credentials, stamp[:8])
        access_key, _, token = key.credentials
        if any(control in f"{access_key}{token}" for control in "\r\n\0"):
            raise HTTPClientError(error=ValueError("the credentials hold a line break"))
        return _Moment(
            credentials=credentials,
            begin=begin,
            end=begin + timedelta(seconds=1),
            mac=key.mac,
            request=f"{self._before}x-amz-date:{stamp}\n{key.token_line}\n{key.signed_headers}\n",
            to_sign=f"{_ALGORITHM}\n{stamp}\n{key.scope}\n",
            headers=(
                f"X-Amz-Date: {stamp}\r\n"
                + (f"X-Amz-Security-Token: {token}\r\n" if token else "")
                + f"Authorization: {_ALGORITHM} Credential={access_key}/{key.scope}, "
                f"SignedHeaders={key.signed_headers}, Signature="
            ),
        )

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
            mac=_Mac(secret),
            scope=f"{day}/{target.region}/{target.service}/aws4_request",
            token_line=f"x-amz-security-token:{' '.join(token.split())}\n" if token else "",
            signed_headers="content-type;host;x-amz-date"
            + (";x-amz-security-token" if token else ""),
        )


def _hash(text: bytes) -> str:
    hashed = _anew()
    hashed.update(text)
    return hashed.hexdigest()
