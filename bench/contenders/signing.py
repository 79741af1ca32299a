"""Signature version 4 for a POST, with a signing key that is derived once.

Source: IAM User Guide, "Create a signed AWS API request".
"""

import hashlib
import hmac
import time
from dataclasses import dataclass

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; without a token it is a lasting one."""

    key_id: str
    secret: str
    token: str


class Signer:
    """Writes the head of signed requests to one service; good for the day it was made on."""

    def __init__(self, credential: Credential, service: str) -> None:
        self._credential = credential
        self._day = time.strftime("%Y%m%d", time.gmtime())
        self._scope = f"{self._day}/{REGION}/{service}/aws4_request"
        key = f"AWS4{credential.secret}".encode()
        for part in (self._day, REGION, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key
        self._second = 0
        self._instant = ""

    def head(self, host: str, body: bytes, *, kind: str, target: str = "") -> bytes:
        """Return the head of a POST of this body, up to and with the empty line."""
        instant = self._now()
        headers = f"content-type:{kind}\nhost:{host}\nx-amz-date:{instant}\n"
        names = "content-type;host;x-amz-date"
        if self._credential.token:
            headers += f"x-amz-security-token:{self._credential.token}\n"
            names += ";x-amz-security-token"
        if target:
            headers += f"x-amz-target:{target}\n"
            names += ";x-amz-target"
        hashed = hashlib.sha256(body).hexdigest()
        canonical = f"POST\n/\n\n{headers}\n{names}\n{hashed}"
        signed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{instant}\n{self._scope}\n{signed}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        return (
            f"POST / HTTP/1.1\r\n{headers.replace(chr(10), chr(13) + chr(10))}"
            f"content-length:{len(body)}\r\nauthorization:AWS4-HMAC-SHA256 "
            f"Credential={self._credential.key_id}/{self._scope}, SignedHeaders={names}, "
            f"Signature={signature}\r\n\r\n"
        ).encode()

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        return self._instant
