"""What came of an action, and the journal that says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from auditor.model.plan import ActionKind


class Result(StrEnum):
    """How an action ended."""

    APPLIED = "applied"
    """Done, and seen to be done."""
    DRIFTED = "drifted"
    """The key is not as the plan saw it: left alone."""
    REFUSED = "refused"
    """AWS or a rail said no: nothing was changed."""
    UNCLEAR = "unclear"
    """It may have been done: look at it."""
    SKIPPED = "skipped"
    """Not carried out."""


FINAL = frozenset({Result.APPLIED, Result.DRIFTED})
"""Results that `apply --resume` does not come back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one action ended, and why."""

    result: Result
    reason: str
    request_id: str | None = None
    """AWS's, of the call that changed the key."""
    new_key_id: str | None = None
    """Of a rotation: the key that was made."""
    secret_in: str | None = None
    """Of a rotation: where its secret is; never the secret."""


class Step(StrEnum):
    """What a line of the journal says of an action."""

    INTENT = "intent"
    """About to change the key, whose state was read again."""
    CREATED = "created"
    """Of a rotation: AWS made this key."""
    STORED = "stored"
    """Of a rotation: the sink has its secret, and gave it back."""
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One line; none is ever changed or removed."""

    sequence: int
    at: datetime
    plan_id: str
    run_id: str
    action_id: str
    account_id: str
    user_name: str
    access_key_id: str
    kind: ActionKind
    step: Step
    detail: Mapping[str, object] = field(hash=False)
    digest: str | None = None
    """Over the line and the digest of the one before; None where an older version wrote it."""
