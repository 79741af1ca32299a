"""One run of the tool, and what it covered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auditor.model.compliance import ControlResult
from auditor.model.exemption import ExemptionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStamp:
    """Which policy judged a run."""

    id: str
    title: str
    sha256: str
    params: Mapping[str, str] = field(hash=False)
    """As written: `{"max_age": "90d"}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySource:
    """A policy as it was written, kept so that a run can be judged again."""

    name: str
    """The pack's name or the file, as messages call it."""
    text: str
    packs: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The packs it extends, by name, as they were then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStamp:
    """A rule that judged a run, as the reports show it."""

    id: str
    title: str
    severity: str
    when: str
    remedy: str
    controls: tuple[str, ...]
    facts: tuple[str, ...]
    """What its verdict depends on: its condition, the classes and exemptions that it needs."""

    @property
    def looks_at_use(self) -> bool:
        """Whether its verdict depends on when, or for what, the key was used."""
        return any(fact == "key.idle" or fact.startswith("key.last_used.") for fact in self.facts)


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
    sources: tuple[PolicySource, ...]
    """Of the policies, in order."""
    rules: tuple[RuleStamp, ...]
    """In the policies' order."""
    api_calls: Mapping[str, int] = field(hash=False)
    """Calls made, by action; retries of one call count once."""
    throttled: int
    """Answers that told us to slow down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """What a judged run comes to, beside its findings."""

    controls: tuple[ControlResult, ...]
    exemptions: tuple[ExemptionResult, ...]
    """In the policies' order, expired and unused ones included."""
