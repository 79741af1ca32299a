"""Exemptions as a run applied them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptionResult:
    """One exemption of a policy, and what it did in a run."""

    policy_id: str
    position: int
    """Among the policy's exemptions, from 0."""
    rules: tuple[str, ...] | None
    """None: every rule."""
    where: Mapping[str, object] = field(hash=False)
    """What it looks at, as written: `{"user": "svc-*", "tags": {"team": "mail"}}`."""
    reason: str
    owner: str
    expires: str
    """As written; a date counts to its end in UTC."""
    expired: bool
    """At the run's now: it exempted nothing."""
    findings: int
    """Findings that it exempted."""
    unread: int
    """Findings that stay open because what it looks at could not be read."""
