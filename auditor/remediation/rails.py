"""What must hold before the first call of an apply (pure)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from auditor.errors import AuditError
from auditor.model.plan import ActionKind, Plan
from auditor.remediation.planner import LIFETIME

MAX_ACTIONS = 50
# AWS refuses requests of a clock that differs by more, so the plan's clock was right so far.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator lets an apply do, said anew for each."""

    allow_delete: bool = False
    allow_rotate: bool = False
    """With a sink."""
    max_actions: int = MAX_ACTIONS
    max_share: float | None = None
    """Of the active keys of an account, the greatest part that may be taken away; 0 to 1."""


def check(plan: Plan, limits: Limits, *, active_keys: Mapping[str, int]) -> None:
    """Raise AuditError where the plan goes beyond what is allowed.

    `active_keys` are those of each account when it was scanned.
    """
    if not plan.applicable:
        raise AuditError(
            f"plan {plan.id} was judged at {plan.judged_at.isoformat()}, which is not when the keys"
            " were read: it can be looked at, not applied",
            hint="scan without --now, and plan again",
        )
    kinds = Counter(action.kind for action in plan.actions)
    for kind, allowed, option in (
        (ActionKind.DELETE, limits.allow_delete, "--allow-delete"),
        (ActionKind.ROTATE, limits.allow_rotate, "--allow-rotate and --sink"),
    ):
        if kinds[kind] and not allowed:
            raise AuditError(
                f"plan {plan.id} would {kind} {kinds[kind]} keys", hint=f"that needs {option}"
            )
    if len(plan.actions) > limits.max_actions:
        raise AuditError(
            f"plan {plan.id} has {len(plan.actions)} actions, more than the"
            f" {limits.max_actions} of --max-actions",
            hint="plan with --limit, or raise --max-actions",
        )
    if limits.max_share is not None:
        _check_share(plan, limits.max_share, active_keys)


def check_time(plan: Plan, now: datetime) -> None:
    """Raise AuditError where the plan, or the scan that it is of, is too old, or not yet made."""
    if now < plan.created_at - CLOCK_SKEW:
        raise AuditError(
            f"plan {plan.id} was made at {plan.created_at.isoformat()}, but this machine's clock"
            f" says {now.isoformat()}",
            hint="set the clock: with it in the past a plan would never expire",
        )
    if now - plan.scanned_at >= LIFETIME:
        raise AuditError(
            f"plan {plan.id} is of a scan that began at {plan.scanned_at.isoformat()},"
            f" more than {LIFETIME.total_seconds() / 3600:g} hours ago",
            hint="scan and plan again: keys may have been used since",
        )
    if now >= plan.expires_at:
        raise AuditError(
            f"plan {plan.id} expired at {plan.expires_at.isoformat()}",
            hint="scan and plan again: keys may have been used since",
        )


def _check_share(plan: Plan, share: float, active_keys: Mapping[str, int]) -> None:
    taken = Counter(
        action.account_id for action in plan.actions if action.kind is ActionKind.DEACTIVATE
    )
    for account_id, number in sorted(taken.items()):
        if number > share * active_keys.get(account_id, 0):
            raise AuditError(
                f"plan {plan.id} would deactivate {number} of {active_keys.get(account_id, 0)}"
                f" active keys of {account_id}, more than --max-share {share:g}",
                hint="plan with --limit or --only, or raise --max-share",
            )
