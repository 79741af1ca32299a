"""What to do about a finding, in the words of every format."""

from collections.abc import Mapping

BETTER = (
    "A long-lived key is better replaced than renewed: people sign in by IAM Identity Center,"
    " workloads in AWS take an IAM role, those elsewhere IAM Roles Anywhere, and CI OpenID Connect"
    " federation."
)
BETTER_URL = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "security-creds-programmatic-access.html#security-creds-alternatives-to-long-term-access-keys"
)
_BY_REMEDY: Mapping[str, str] = {
    "none": "Find out who needs this key and why, then take it out of use.",
    "rotate": (
        "Make a second key, move whatever uses this one to it, deactivate this one, and delete it"
        " once nothing fails."
    ),
    "deactivate": (
        "Deactivate the key, which can be taken back, and delete it once nobody has missed it."
    ),
    "delete": "Delete the key: it is inactive, and its deletion can't be taken back.",
}


def advice(remedy: str) -> str:
    """Return what to do for a rule with this remedy."""
    return _BY_REMEDY[remedy]
