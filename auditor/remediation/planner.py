"""From findings to a plan: which keys to change, and which to leave alone and why (pure)."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TypeAlias

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, Used
from auditor.model.account import AccountId
from auditor.model.finding import Remedy, Severity
from auditor.model.plan import Action, ActionKind, Expected, Held, Plan, Protection
from auditor.model.run import Run
from auditor.model.unknown import Known, Unknown
from auditor.remediation.own_keys import OwnKeys

LIFETIME = timedelta(hours=24)
"""How long a plan can be applied."""
DELETE_GRACE = timedelta(days=30)
"""How long a key must have been inactive before it is deleted."""
RESTORED_REST = timedelta(days=30)
"""How long a key that undo restored is left alone."""
OVERLAP = timedelta(days=7)
"""How long the old key must have been idle after its rotation before it is retired."""

_KINDS = {
    Remedy.DEACTIVATE: ActionKind.DEACTIVATE,
    Remedy.ROTATE: ActionKind.ROTATE,
    Remedy.DELETE: ActionKind.DELETE,
}


_Place: TypeAlias = tuple[str, str, str, str]
_Rank: TypeAlias = tuple[int, bool, datetime, datetime, _Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An open finding that proposes to change the key."""

    rule_id: str
    severity: Severity
    remedy: Remedy
    may_be_exempt: str | None
    """The reason given with an exemption that looks at what could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One key that some rule proposes to change."""

    account_id: AccountId
    user_name: str
    user_arn: str
    tags: Known[Mapping[str, str]] = field(hash=False)
    key: AccessKey
    siblings: tuple[AccessKey, ...]
    """The user's other keys."""
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What was done about a key's rotation, by our journal."""

    plan_id: str
    new_key_id: AccessKeyId | None
    """None where it is not known whether a key was made."""
    finished: bool
    """Whether the new key's secret is known to be in the sink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHistory:
    """What the store knows of a key from before."""

    inactive_since: datetime | None = None
    """By our journal, or the first scan that saw it inactive."""
    restored_at: datetime | None = None
    """When undo last made it active again."""
    rotation: Rotation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What the operator lets a plan do."""

    only: tuple[str, ...] = ()
    """Ids of the rules to act on; none: all."""
    limit: int | None = None
    """At most so many actions: the most severe, then the longest idle, then the oldest."""
    allow_delete: bool = False
    allow_rotate: bool = False
    protection: Protection = field(default_factory=Protection)


def plan(
    proposals: Iterable[Proposal],
    *,
    id_: str,
    run: Run,
    planning: Planning,
    history: Callable[[AccountId, AccessKeyId], KeyHistory],
    own_key_ids: frozenset[str],
    now: datetime,
) -> Plan:
    """Return one action for each key that may be changed, and what is held.

    `own_key_ids` are those that the operator works with. An indeterminate or exempt rule is never
    a reason, and not among the proposals.
    """
    planner = _Planner(run, planning, history, own_key_ids, now)
    actions, held = planner.sort_out(proposals)
    return Plan(
        id=id_,
        run_id=run.id,
        created_at=now,
        expires_at=now + LIFETIME,
        judged_at=run.now,
        scanned_at=run.started_at,
        partition=run.partition,
        policies={stamp.id: stamp.sha256 for stamp in run.policies},
        protection=planning.protection,
        actions=tuple(actions),
        held=tuple(held),
    )


def action_id(*, partition: str, account_id: str, key_id: str, kind: ActionKind) -> str:
    """Return an id that is the same in every plan for the same key and change."""
    text = "\x00".join((partition, account_id, key_id, kind))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def not_retired(
    old: AccessKey, siblings: Sequence[AccessKey], rotation: Rotation, *, now: datetime
) -> str | None:
    """Return why the old key of a finished rotation must stay for now; None where it may go.

    `siblings` are the user's other keys, with their last use.
    """
    new = next((key for key in siblings if key.id == rotation.new_key_id), None)
    if new is None or not new.active:
        return f"the key {rotation.new_key_id} of its rotation is gone or inactive"
    if not isinstance(new.last_use, Used):
        return f"the key {new.id} of its rotation has not been used yet"
    if isinstance(old.last_use, Unknown):
        return f"its last use is unknown ({old.last_use.reason})"
    if isinstance(old.last_use, Used) and now - old.last_use.at < OVERLAP:
        return f"rotated, but used in the last {OVERLAP.days} days"
    return None


def protected_by(protection: Protection, *, user_name: str, user_arn: str) -> str | None:
    """Return the pattern that protects a user's keys, in words; None where none does."""
    for pattern in protection.patterns:  # IAM's names differ by more than their case
        if any(fnmatchcase(each.lower(), pattern.lower()) for each in (user_name, user_arn)):
            return f"protected by {pattern}"
    return None


class _Planner:
    def __init__(
        self,
        run: Run,
        planning: Planning,
        history: Callable[[AccountId, AccessKeyId], KeyHistory],
        own_key_ids: frozenset[str],
        now: datetime,
    ) -> None:
        self._run = run
        self._planning = planning
        self._history = history
        self._own = OwnKeys(caller_arn=run.caller_arn, key_ids=own_key_ids)
        self._now = now

    def sort_out(self, proposals: Iterable[Proposal]) -> tuple[list[Action], list[Held]]:
        """Return the actions and what is held, each by account, user and key."""
        ranked: list[tuple[_Rank, Action]] = []
        held: list[Held] = []
        for proposal in proposals:
            for decided in self._decide(proposal):
                if isinstance(decided, Held):
                    held.append(decided)
                else:
                    ranked.append((_rank(proposal, decided), decided))
        limit = self._planning.limit
        if limit is not None:
            ranked.sort(key=itemgetter(0))
            held += [_held_action(each, f"beyond --limit {limit}") for _, each in ranked[limit:]]
            ranked = ranked[:limit]
        actions = sorted((action for _, action in ranked), key=_place)
        return actions, sorted(held, key=_place)

    def _decide(self, proposal: Proposal) -> Iterator[Action | Held]:
        """Yield at most one action, and what is held beside it or instead."""
        wanted: dict[Remedy, list[str]] = {}
        for reason in proposal.reasons:
            why = self._left_out(reason)
            if why is None:
                wanted.setdefault(reason.remedy, []).append(reason.rule_id)
            else:
                yield _held(proposal, _KINDS[reason.remedy], [reason.rule_id], why)
        chosen = next((remedy for remedy in self._order(proposal) if remedy in wanted), None)
        for remedy, rules in wanted.items():
            if remedy is not chosen:
                yield _held(proposal, _KINDS[remedy], rules, _instead(proposal, remedy))
        if chosen is not None:
            yield self._action(proposal, _KINDS[chosen], wanted[chosen])

    def _left_out(self, reason: Reason) -> str | None:
        if self._planning.only and reason.rule_id not in self._planning.only:
            return "not among --only"
        if reason.may_be_exempt is not None:
            return f"may be exempt ({reason.may_be_exempt}), which could not be read"
        return None

    def _order(self, proposal: Proposal) -> tuple[Remedy, ...]:
        """Return what can be done to the key, the first that is wanted to be taken."""
        return (Remedy.DEACTIVATE, Remedy.ROTATE) if proposal.key.active else (Remedy.DELETE,)

    def _action(
        self, proposal: Proposal, kind: ActionKind, because: Sequence[str]
    ) -> Action | Held:
        key = proposal.key
        if key.id is None or key.created_at is None:
            return _held(proposal, kind, because, "no IAM user or role can change a root key")
        if key.status is KeyStatus.UNKNOWN:
            return _held(proposal, kind, because, "whether the key is active is not known")
        past = self._history(proposal.account_id, key.id)
        if not proposal.siblings:
            past = replace(past, rotation=None)  # what it made is gone
        if kind is ActionKind.ROTATE and past.rotation is not None and past.rotation.finished:
            kind = ActionKind.DEACTIVATE  # the rotation's last step
            why = not_retired(proposal.key, proposal.siblings, past.rotation, now=self._now)
        else:
            why = self._not_allowed(kind)
        why = self._protected(proposal) or why or self._not_ready(proposal, kind, past)
        if why is not None:
            return _held(proposal, kind, because, why)
        return Action(
            id=action_id(
                partition=self._run.partition,
                account_id=proposal.account_id,
                key_id=key.id,
                kind=kind,
            ),
            account_id=proposal.account_id,
            user_name=proposal.user_name,
            user_arn=proposal.user_arn,
            access_key_id=key.id,
            kind=kind,
            because=tuple(sorted(because)),
            expected=Expected(status=key.status, created_at=key.created_at, last_use=key.last_use),
        )

    def _not_allowed(self, kind: ActionKind) -> str | None:
        if kind is ActionKind.DELETE and not self._planning.allow_delete:
            return "deletion needs --allow-delete"
        if kind is ActionKind.ROTATE and not self._planning.allow_rotate:
            return "rotation needs --allow-rotate and --sink"
        return None

    def _not_ready(self, proposal: Proposal, kind: ActionKind, past: KeyHistory) -> str | None:
        """Return why the key's past forbids it."""
        if past.rotation is not None and not past.rotation.finished:
            return f"its rotation is unfinished: apply {past.rotation.plan_id} --resume, or look"
        restored = past.restored_at
        if restored is not None and self._now - restored < RESTORED_REST:
            return f"undo restored it {(self._now - restored).days} days ago"
        if kind is ActionKind.ROTATE and proposal.siblings:
            return "both key slots are taken: delete the other key first"
        if kind is ActionKind.DELETE:
            return self._not_deletable(proposal.key, past)
        return None

    def _not_deletable(self, key: AccessKey, past: KeyHistory) -> str | None:
        if isinstance(key.last_use, Unknown):
            return f"its last use is unknown ({key.last_use.reason})"
        if past.inactive_since is None:
            return "it is not known since when it has been inactive"
        if isinstance(key.last_use, Used) and key.last_use.at > past.inactive_since:
            return "it was used since it is known to be inactive"
        inactive = self._now - past.inactive_since
        if inactive < DELETE_GRACE:
            return f"inactive for {inactive.days} of {DELETE_GRACE.days} days"
        return None

    def _protected(self, proposal: Proposal) -> str | None:
        protection = self._planning.protection
        why = self._own.why(user_arn=proposal.user_arn, key_id=proposal.key.id) or protected_by(
            protection, user_name=proposal.user_name, user_arn=proposal.user_arn
        )
        if why is not None or protection.tag is None:
            return why
        if isinstance(proposal.tags, Unknown):
            return f"whether a tag protects it is unknown ({proposal.tags.reason})"
        return "protected by its tag" if protection.by_tag(proposal.tags) else None


def _instead(proposal: Proposal, remedy: Remedy) -> str:
    if proposal.key.id is None:
        return "no IAM user or role can change a root key"
    if not proposal.key.active:
        return "the key is inactive already"
    if remedy is Remedy.DELETE:
        return "an active key is deactivated first"
    return "deactivate goes before it"


def _rank(proposal: Proposal, action: Action) -> _Rank:
    """Return what --limit takes first: the most severe, the longest idle, the oldest key."""
    severity = min(
        reason.severity.rank for reason in proposal.reasons if reason.rule_id in action.because
    )
    created, use = action.expected.created_at, action.expected.last_use
    unknown = isinstance(use, Unknown)  # after those whose idle time is known
    idle_since = use.at if isinstance(use, Used) else created  # as `key.idle` counts
    return (severity, unknown, idle_since, created, _place(action))


def _place(each: Action | Held) -> _Place:
    return (each.account_id, each.user_name, each.access_key_id or "", each.kind)


def _held(proposal: Proposal, kind: ActionKind, because: Sequence[str], reason: str) -> Held:
    return Held(
        account_id=proposal.account_id,
        user_name=proposal.user_name,
        access_key_id=proposal.key.id,
        kind=kind,
        because=tuple(sorted(because)),
        reason=reason,
    )


def _held_action(action: Action, reason: str) -> Held:
    return Held(
        account_id=action.account_id,
        user_name=action.user_name,
        access_key_id=action.access_key_id,
        kind=action.kind,
        because=action.because,
        reason=reason,
    )
