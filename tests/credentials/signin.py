"""AWS's sign-in service as the CLI and its SDKs ask it, and the cache that `aws login` leaves."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.faults.cloud import MANAGEMENT

SESSION = f"arn:aws:iam::{MANAGEMENT}:user/alice"
CLIENT = "arn:aws:signin:::devtools/same-device"
CACHE = ".aws/login/cache"
# What no message or file but the cache may hold.
REFRESH = "refresh-token-never-shown"


def cache_file(folder: Path, session: str = SESSION) -> Path:
    return folder / f"{sha256(session.encode()).hexdigest()}.json"


@dataclass
class SignIn:
    """Renews sign-ins for whoever proves to hold their key; says why it refuses in `refused`."""

    give: Callable[[], dict[str, str]]
    """Returns new credentials of a session, as an endpoint gives them."""
    url: Callable[[], str]
    lasts: timedelta = timedelta(minutes=15)
    answers: tuple[int, str] | None = None
    """What is answered in place of the truth."""
    before_answer: Callable[[], None] = lambda: None
    asked: int = 0
    refused: list[str] = field(default_factory=list)
    identifiers: set[str] = field(default_factory=set)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    token: str = REFRESH

    def sign_in(self, folder: Path, *, lasts: timedelta, **changed: Any) -> Path:
        """Do as `aws login`: leave a new sign-in in the cache; return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        file = cache_file(folder)
        file.write_text(json.dumps(self.document(lasts) | changed))
        file.chmod(0o600)
        return file

    @property
    def key_text(self) -> str:
        """Return a line of the private key, which no message may hold."""
        return str(self.document(timedelta(0))["dpopKey"].splitlines()[1])

    def document(self, lasts: timedelta) -> dict[str, Any]:
        given = self.give()
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        return {
            "accessToken": {
                **_access_token(given),
                "accountId": MANAGEMENT,
                "expiresAt": (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "tokenType": "aws_sigv4",
            "refreshToken": self.token,
            "idToken": "an.id.token",
            "clientId": CLIENT,
            "dpopKey": pem.decode(),
        }

    def answer(self, head: str, body: bytes) -> tuple[int, str]:
        """Answer POST /v1/token."""
        self.asked += 1
        self.before_answer()
        if self.answers is not None:
            return self.answers
        try:
            self._check(head, json.loads(body))
        except (InvalidSignature, KeyError, ValueError) as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return 400, json.dumps({"error": "INVALID_REQUEST", "message": REFRESH})
        self.token = f"{REFRESH}-{self.asked}"
        return 200, json.dumps(
            {
                "accessToken": _access_token(self.give()),
                "tokenType": "aws_sigv4",
                "expiresIn": int(self.lasts.total_seconds()),
                "refreshToken": self.token,
            }
        )

    def _check(self, head: str, asked: dict[str, str]) -> None:
        """Raise where the request, its proof or its token is not as RFC 9449 and AWS want it."""
        headers = dict(
            line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:]
            for line in head.split("\r\n")[1:]
            if line
        )
        parts = headers["dpop"].split(".")
        header, claims = (json.loads(_decoded(part)) for part in parts[:2])
        jwk, signature = header.pop("jwk"), _decoded(parts[2])
        public = self.key.public_key().public_numbers()
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        self.key.public_key().verify(
            utils.encode_dss_signature(r, s),
            ".".join(parts[:2]).encode(),
            ec.ECDSA(SHA256()),
        )
        age = datetime.now(UTC).timestamp() - claims["iat"]
        right = {
            "the signature's length": len(signature) == 64,
            "the header": header == {"typ": "dpop+jwt", "alg": "ES256"},
            "the key": (jwk["kty"], jwk["crv"]) == ("EC", "P-256")
            and int.from_bytes(_decoded(jwk["x"]), "big") == public.x
            and int.from_bytes(_decoded(jwk["y"]), "big") == public.y,
            "htm": claims["htm"] == "POST",
            "htu": claims["htu"] == f"{self.url()}/v1/token",
            "iat": -60 < age < 60,
            "jti": claims["jti"] not in self.identifiers,
            "the content type": headers["content-type"] == "application/json",
            "no signature of AWS": "authorization" not in headers,
            "what is asked": asked
            == {"clientId": CLIENT, "grantType": "refresh_token", "refreshToken": self.token},
        }
        self.identifiers.add(claims["jti"])
        wrong = [name for name, holds in right.items() if not holds]
        if wrong:
            raise ValueError(", ".join(wrong))


def _access_token(given: dict[str, str]) -> dict[str, str]:
    return {
        "accessKeyId": given["AccessKeyId"],
        "secretAccessKey": given["SecretAccessKey"],
        "sessionToken": given["SessionToken"],
    }


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
