"""Taking an applied plan back (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from auditor.model.access_key import AccessKeyId, KeyStatus
from auditor.model.outcome import JournalLine, Result
from auditor.model.plan import Action, ActionKind, Held, Plan
from auditor.remediation import journal
from auditor.remediation.planner import LIFETIME, action_id


def undo_plan(
    plan: Plan,
    lines: Mapping[str, Sequence[JournalLine]],
    *,
    id_: str,
    keys: frozenset[AccessKeyId],
    quarantine_rules: frozenset[str],
    restored: frozenset[AccessKeyId] = frozenset(),
    now: datetime,
) -> Plan:
    """Return the plan that activates again what `plan` deactivated.

    `lines` are the journal's about the plan, by action; `keys` are those that the operator named,
    none for all. Keys that a rule on quarantine had deactivated are only restored if named, and
    so are those `restored` that somebody made active since, and inactive again.
    """
    actions: list[Action] = []
    held: list[Held] = []
    for action in plan.actions:
        outcome = journal.outcome(lines.get(action.id, ()))
        applied = outcome is not None and outcome.result is Result.APPLIED
        if not applied or (keys and action.access_key_id not in keys):
            continue
        why = _why_not(action, keys, quarantine_rules, restored)
        if why is None:
            actions.append(_reversed(action, plan.partition))
        else:
            held.append(held_of(action, why))
    return replace(
        plan,
        id=id_,
        created_at=now,
        expires_at=now + LIFETIME,
        judged_at=plan.scanned_at,
        actions=tuple(actions),
        held=tuple(held),
        undoes=plan.id,
    )


def _why_not(
    action: Action,
    keys: frozenset[AccessKeyId],
    quarantine_rules: frozenset[str],
    restored: frozenset[AccessKeyId],
) -> str | None:
    if action.kind is ActionKind.DELETE:
        return "a deletion can't be undone"
    if action.kind is ActionKind.ROTATE:
        return "a rotation left the old key as it was; delete the new one with keys delete"
    if not quarantine_rules.isdisjoint(action.because) and action.access_key_id not in keys:
        return "it was deactivated as exposed: name it with --key to restore it"
    if action.access_key_id in restored and action.access_key_id not in keys:
        return "a scan saw it active since: somebody restored it; name it with --key to restore it"
    return None


def _reversed(action: Action, partition: str) -> Action:
    return replace(
        action,
        id=action_id(
            partition=partition,
            account_id=action.account_id,
            key_id=action.access_key_id,
            kind=ActionKind.ACTIVATE,
        ),
        kind=ActionKind.ACTIVATE,
        expected=replace(action.expected, status=KeyStatus.INACTIVE),
    )


def held_of(action: Action, reason: str) -> Held:
    """Return that a key is not restored, and why."""
    return Held(
        account_id=action.account_id,
        user_name=action.user_name,
        access_key_id=action.access_key_id,
        kind=ActionKind.ACTIVATE,
        because=action.because,
        reason=reason,
    )
