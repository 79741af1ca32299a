"""One run of the tool, and what it covered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStamp:
    """Which policy judged a run."""

    id: str
    title: str
    sha256: str
    params: Mapping[str, str] = field(hash=False)
    """As written: `{"max_age": "90d"}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStamp:
    """A rule that judged a run, as the reports show it."""

    id: str
    title: str
    severity: str
    when: str
    remedy: str
    controls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One scan, from start to end."""

    id: str
    """UTC start time and four random bytes: sorts by time, fits a role session name."""
    started_at: datetime
    finished_at: datetime | None
    now: datetime
    """The instant that ages are measured from; the start, unless the operator gave another."""
    source: str
    partition: str
    caller_arn: str
    policies: tuple[PolicyStamp, ...]
    rules: tuple[RuleStamp, ...]
    """In the policies' order."""
    api_calls: Mapping[str, int] = field(hash=False)
    """Calls made, by action; retries of one call count once."""
    throttled: int
    """Answers that told us to slow down."""
