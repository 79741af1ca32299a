"""Controls of compliance frameworks, and what keys and accounts make of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auditor.model.finding import FindingStatus


class Unit(StrEnum):
    """What a control is counted in."""

    KEY = "key"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One requirement of a framework, as far as it concerns access keys."""

    framework: str
    id: str
    unit: Unit
    """KEY: each key of an IAM user; ACCOUNT: each account, of which the worst key decides."""

    @property
    def name(self) -> str:
        """As rules write it: `cis-aws-5.0.0:1.13`."""
        return f"{self.framework}:{self.id}"


@dataclass(slots=True)
class Counts:
    """Keys or accounts, by what a control says of them."""

    passed: int = 0
    failed: int = 0
    exempt: int = 0
    indeterminate: int = 0

    def add(self, statuses: Iterable[FindingStatus], *, times: int = 1) -> None:
        """Count a key or account with these findings, or several: the worst of them decides."""
        found = set(statuses)
        if FindingStatus.OPEN in found:
            self.failed += times
        elif FindingStatus.INDETERMINATE in found:
            self.indeterminate += times
        elif FindingStatus.EXEMPT in found:
            self.exempt += times
        else:
            self.passed += times


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResult:
    """One control over a whole run."""

    control: Control
    accounts: Mapping[str, Counts] = field(hash=False)
    """By account id; an account that could not be assessed is not among them."""
