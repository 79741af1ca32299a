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
    api_calls: Mapping[str, int] = field(hash=False)
    """Calls made, by action; retries of one call count once."""
    throttled: int
    """Answers that told us to slow down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What was looked at, and what was not."""

    accounts: Mapping[str, int] = field(hash=False)
    """By outcome, and `total`."""
    users: int
    keys: int
    unknown_last_use: int

    @property
    def complete(self) -> bool:
        """Whether every account in scope was read whole."""
        missed = self.accounts["partial"] + self.accounts["unreachable"]
        return missed == 0 and self.unknown_last_use == 0
