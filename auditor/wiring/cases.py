"""`policy test`: the user's own cases, judged by the policies that they name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from auditor.errors import PolicyError
from auditor.paths import expanded, read_text
from auditor.policy import cases
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.explain import Explained, explain
from auditor.wiring.policies import LARGEST, load_policies, pack_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One case, and what came out otherwise than it expects."""

    case: cases.Case
    differences: Sequence[cases.Difference]
    explained: Sequence[Explained]
    """By each policy; empty where nothing came out otherwise."""


def try_cases(file: Path, *, now: datetime) -> list[Tried]:
    """Judge the cases of a file; `now` where it names no instant. Raises PolicyError."""
    try:
        text = read_text(file, largest=LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PolicyError(f"{file}: {reason}", hint="name a file of cases") from None
    document, placed = cases.parse(text, source=str(file))
    policies = load_policies([_beside(file, name) for name in document.policies])
    at = cases.instant_of(document, now)
    found = cases.read(document, placed, policies, source=str(file), now=at)
    return [_tried(case, policies, at) for case in found]


def _tried(case: cases.Case, policies: Sequence[CompiledPolicy], now: datetime) -> Tried:
    different = cases.differences(case, policies, now=now)
    return Tried(
        case=case,
        differences=different,
        explained=[explain(case.facts, each, now=now) for each in policies] if different else [],
    )


def _beside(file: Path, name: str) -> str:
    return name if name in pack_names() else str(file.parent / expanded(name))
