"""What the policy says about one key."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Remedy(StrEnum):
    """What a rule proposes to do with the key."""

    NONE = "none"
    ROTATE = "rotate"
    DEACTIVATE = "deactivate"
    DELETE = "delete"


class VerdictKind(StrEnum):
    """What one rule says about one key."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    VIOLATION = "violation"
    INDETERMINATE = "indeterminate"


class FindingStatus(StrEnum):
    """Why a finding is in the report."""

    OPEN = "open"
    EXEMPT = "exempt"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule that a key breaks, is exempt from, or could not be judged by."""

    id: str
    rule_id: str
    title: str
    severity: Severity
    status: FindingStatus
    account_id: str
    user_name: str
    access_key_id: str | None
    message: str
    remedy: Remedy
    controls: tuple[str, ...]
    exemption: str | None = None
    """The reason given with the exemption that applies."""
    exemption_unread: str | None = None
    """The reason given with one that looks at what could not be read: the finding stays open, and
    is nothing to act on."""
    unknown_operation: str | None = None
    """For an indeterminate finding: the action that would have told."""
    unknown_code: str | None = None
    """For an indeterminate finding: why it did not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedKey:
    """What the policies say about one key of the store."""

    account_id: str
    user_name: str
    position: int | None
    """Of the key among the user's, from 0; None where it is not known whether there is a key."""
    user_class: str | None
    """None where what the class depends on is unknown."""
    violations: tuple[str, ...]
    """Ids of the rules it breaks, open or exempt."""
    findings: tuple[Finding, ...]


def finding_id(*, partition: str, account_id: str, user_name: str, key: str, rule_id: str) -> str:
    """Return an id that is the same in every run for the same key and rule.

    `key` is the access key id, or `slot-N` where only the slot is known.
    """
    text = "\x00".join((partition, account_id, user_name, key, rule_id))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
