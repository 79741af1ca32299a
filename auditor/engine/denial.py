"""Why AWS refused a call, as far as its message says it.

IAM User Guide, "Troubleshoot access denied error messages": the type of the policy, its ARN where
it is of the same account or organization, and the id of the authorization.
"""

import re
from dataclasses import dataclass
from typing import Self

_POLICY = r"((?:[A-Za-z-]+ ){0,3}?(?:policy|policies|boundary))"
_EXPLICIT = re.compile(rf"explicit deny in (?:an? |the )?{_POLICY}(?::\s*(arn:[^\s,;)]+))?", re.I)
_IMPLICIT = re.compile(rf"because no {_POLICY} allows", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"authorization[ -]?id:?\s*([0-9a-z]{8,256})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What a message of AWS says of a refusal; all empty where it says nothing."""

    policy_type: str | None = None
    """`service control policy`, `permissions boundary`, …"""
    policy_arn: str | None = None
    explicit: bool = False
    """Whether a statement denies it; else none allows it."""
    authorization_id: str | None = None
    """By which AWS tells for a day which policies it looked at."""

    @classmethod
    def of(cls, message: str) -> Self:
        """Read a message."""
        authorization = _AUTHORIZATION.search(message)
        id_ = None if authorization is None else authorization[1]
        if explicit := _EXPLICIT.search(message):
            arn = explicit[2].rstrip(".") if explicit[2] else None
            return cls(
                policy_type=_plain(explicit[1]), policy_arn=arn, explicit=True, authorization_id=id_
            )
        if implicit := _IMPLICIT.search(message):
            return cls(policy_type=_plain(implicit[1]), authorization_id=id_)
        return cls(authorization_id=id_)

    @property
    def text(self) -> str | None:
        """One line that names the policy; None where AWS does not say."""
        if self.policy_type is None:
            return None
        if not self.explicit:
            return f"no {self.policy_type} allows it"
        return f"an explicit deny in the {self._named} forbids it"

    @property
    def fix(self) -> str:
        """What to do with the statement that grants it."""
        if self.explicit:
            return f"lift the explicit deny in the {self.policy_type}, and have this granted"
        if self.policy_type not in {None, "identity-based policy"}:
            return f"grant it in the {self.policy_type}, too"
        return "grant it"

    @property
    def look_up(self) -> str | None:
        """The command that tells the policies; None without an id."""
        if self.authorization_id is None:
            return None
        command = "aws iam-toolbox get-request-authorization-details --authorization-id"
        return f"{command} {self.authorization_id}"

    @property
    def _named(self) -> str:
        return f"{self.policy_type} {self.policy_arn}" if self.policy_arn else str(self.policy_type)


def _plain(policy_type: str) -> str:
    """Return the type in small letters, but for what is an abbreviation."""
    return " ".join(
        word if word.isupper() else word.lower() for word in policy_type.strip().split()
    )
