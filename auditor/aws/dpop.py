"""Proof of possession (RFC 9449): a signed JSON Web Token that says who holds a refresh token."""

import json
from base64 import b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_SIZE = 32


def dpop_proof(pem: str, url: str, *, issued_at: int, identifier: str) -> str:
    """Return the value of the DPoP header of a POST; raise ValueError for an unusable key.

    `issued_at` is in seconds since 1970; `identifier` is never used twice.
    """
    key = _key(pem)
    public = key.public_key().public_numbers()
    x, y = (_encoded(number.to_bytes(_SIZE, "big")) for number in (public.x, public.y))
    header = {
        "typ": "dpop+jwt",
        "alg": "ES256",
        "jwk": {"kty": "EC", "x": x, "y": y, "crv": "P-256"},
    }
    claims = {"htm": "POST", "htu": url, "iat": issued_at, "jti": identifier}
    parts = (json.dumps(each, separators=(",", ":")).encode() for each in (header, claims))
    signed = ".".join(_encoded(part) for part in parts)
    return f"{signed}.{_encoded(_signature(key, signed.encode()))}"


def _key(pem: str) -> "EllipticCurvePrivateKey":
    # Imported where a token is renewed: no other run has to wait for it.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415

    lines = (line.strip() for line in pem.splitlines())
    der = b64decode("".join(line for line in lines if not line.startswith("-----")))
    try:
        key = load_der_private_key(der, password=None)
    except (TypeError, UnsupportedAlgorithm):  # encrypted, or of another kind
        raise ValueError("the key can't be used") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("the key is not on the curve P-256")


def _signature(key: "EllipticCurvePrivateKey", signed: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
    return r.to_bytes(_SIZE, "big") + s.to_bytes(_SIZE, "big")


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()
