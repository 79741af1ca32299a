"""Whether what a journal says was done is so: by the cloud's own memory, not by the tool.

Nothing but the keys of a plan may change; what is called applied must be so, what is called left
alone untouched; a new key has its secret in the sink, or is named as one that has not.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.model.outcome import JournalLine, Outcome, Result
from auditor.model.plan import Action, ActionKind, Held, Plan
from auditor.remediation import journal as written
from tests.faults.cloud import Cloud
from tests.faults.oracle import Wrong

ROTATES = "key-too-old"
"""The rule whose remedy is a rotation, and the end of the old key after it."""
_UNTOUCHED = frozenset({Result.REFUSED, Result.DRIFTED, Result.SKIPPED})
_OPEN = frozenset({None, Result.UNCLEAR})


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The keys of a cloud at one time."""

    states: Mapping[str, bool]
    """Whether each is active, by its id."""
    made: Collection[str]
    deleted: Collection[str]

    @classmethod
    def of(cls, cloud: Cloud) -> "Moment":
        return cls(states=cloud.states(), made=[*cloud.made], deleted=[*cloud.deleted])


@dataclass(frozen=True, kw_only=True)
class Case:
    """One action, what is said of it, and what became of its key."""

    action: Action
    outcome: Outcome | None
    cloud: Cloud
    before: Moment
    kept: Mapping[str, str]
    """Secrets in the sink, by the id of their key."""
    settled: bool
    """Whether nothing was in the way of finding out."""

    @property
    def key(self) -> str:
        return self.action.access_key_id

    @property
    def result(self) -> Result | None:
        return None if self.outcome is None else self.outcome.result

    @property
    def active(self) -> bool | None:
        """Whether the key is active now; None where it is gone."""
        return self.cloud.states().get(self.key)

    @property
    def changed(self) -> bool:
        return self.active is not None and self.active != self.before.states.get(self.key)


def outcomes(plan: Plan, lines: Sequence[JournalLine]) -> dict[str, Outcome | None]:
    """Return what the lines of a plan say last of each of its keys; None of one cut off."""
    of_action = written.by_action(lines)
    return {
        each.access_key_id: written.outcome(of_action.get(each.id, ())) for each in plan.actions
    }


def mistakes_of_apply(
    cloud: Cloud,
    plan: Plan,
    lines: Sequence[JournalLine],
    *,
    before: Moment,
    kept: Mapping[str, str],
    settled: bool,
) -> Iterator[Wrong]:
    """Yield what an apply did beyond its plan, and what the journal says that is not so."""
    kinds: dict[str, ActionKind] = {each.access_key_id: each.kind for each in plan.actions}
    yield from _of_protected(cloud, before)
    for key, active in cloud.states().items():
        if key not in kinds and before.states.get(key, active) != active:
            yield "wrong", f"{key} was changed and is in no plan"
    for key in cloud.deleted.difference(before.deleted):
        if key not in cloud.made and kinds.get(key) is not ActionKind.DELETE:
            yield "wrong", f"{key} was deleted, which no plan said"
    rotated = {
        (each.account_id, each.user_name) for each in plan.actions if each.kind is ActionKind.ROTATE
    }
    for key, made in cloud.made.items():
        if key not in before.made and (made.account, made.user) not in rotated:
            yield "wrong", f"{key} was made, which no plan said"
    said = outcomes(plan, lines)
    for action in plan.actions:
        case = Case(
            action=action,
            outcome=said[action.access_key_id],
            cloud=cloud,
            before=before,
            kept=kept,
            settled=settled,
        )
        yield from _OF_KIND[action.kind](case)


def _of_protected(cloud: Cloud, before: Moment) -> Iterator[Wrong]:
    """Yield keys of protected users that were changed, made or deleted."""
    protected = cloud.protected_keys()
    for key, active in cloud.states().items():
        if key in protected and before.states.get(key, active) != active:
            yield "wrong", f"{key} of a protected user was changed"
    for key in {*cloud.made} - {*before.made}:
        if key in protected:
            yield "wrong", f"{key} of a protected user was made"
    gone = cloud.deleted.difference(before.deleted)
    for account in cloud.accounts.values():
        for key, (user, _) in account.ever.items():
            if key in gone and user.protected:
                yield "wrong", f"{key} of a protected user was deleted"


def _of_deactivation(case: Case) -> Iterator[Wrong]:
    if case.result is Result.APPLIED and case.active:
        yield "claim", f"{case.key}: the journal says applied, the server active"
    if case.result in _UNTOUCHED and case.changed:
        yield "wrong", f"{case.key}: the journal says {case.result}, the server inactive"
    yield from _unsettled(case)


def _of_deletion(case: Case) -> Iterator[Wrong]:
    if case.result is Result.APPLIED and case.active is not None:
        yield "claim", f"{case.key}: the journal says deleted, and it is there"
    if case.result in _UNTOUCHED and case.key in case.cloud.deleted:
        yield "wrong", f"{case.key}: the journal says {case.result}, and it was deleted"
    if case.changed:
        yield "wrong", f"{case.key} was to be deleted, and was activated"
    yield from _unsettled(case)


def _unsettled(case: Case) -> Iterator[Wrong]:
    if case.settled and case.result in _OPEN:
        yield "wrong", f"{case.key}: {case.result} after a resume without faults"


def _of_rotation(case: Case) -> Iterator[Wrong]:
    """Yield where the old key was touched, or a new one is lost or one too many."""
    if case.changed:
        yield "wrong", f"{case.key} was rotated, and made inactive"
    action, states = case.action, case.cloud.states()
    place = (action.account_id, action.user_name)
    new = [
        key
        for key, made in case.cloud.made.items()
        if (made.account, made.user) == place and key not in case.before.made
    ]
    live = [key for key in new if key in states]
    if len(live) > 1:
        yield "wrong", f"{case.key} has more than one new key: {live}"
    for key in live:
        if not states[key]:
            yield "wrong", f"{key} of the rotation of {case.key} is inactive"
        yield from _of_new_key(case, key)
    if case.result is Result.APPLIED:
        yield from _of_rotated(case, new)
    if case.settled:
        yield from _left_open(case, live)


def _of_new_key(case: Case, key: str) -> Iterator[Wrong]:
    """Yield where a new key that lives is not the one of an applied rotation, nor told."""
    if case.result in _UNTOUCHED:
        yield "claim", f"{case.key}: the journal says {case.result}, and {key} was made and lives"
    named = case.outcome is not None and (
        case.outcome.new_key_id == key or key in case.outcome.reason
    )
    safe = case.kept.get(key) == case.cloud.made[key].secret
    if case.result is Result.APPLIED and not (safe and named):
        yield "lost", f"the secret of {key}, by a rotation of {case.key} that is called applied"
    if case.settled and not named:
        yield "lost", f"{key}, which the rotation of {case.key} does not name: {case.outcome}"


def _of_rotated(case: Case, new: Collection[str]) -> Iterator[Wrong]:
    """Yield where a rotation that is called applied has no key to show for it."""
    assert case.outcome is not None
    key = case.outcome.new_key_id
    if key is None or key not in new:
        yield "claim", f"{case.key}: the journal says rotated to {key}, which was never made"
        return
    if key in case.cloud.deleted:
        yield "claim", f"{case.key}: the journal says rotated to {key}, which was deleted"
    if case.kept.get(key) != case.cloud.made[key].secret:
        yield "lost", f"the secret of {key} is not in the sink"


def _left_open(case: Case, live: Collection[str]) -> Iterator[Wrong]:
    """Yield where a rotation stays open that nothing is left of to look at."""
    if case.outcome is None:
        yield "wrong", f"{case.key}: cut off after a resume without faults"
    known = case.outcome is not None and case.outcome.new_key_id is not None
    if case.result is Result.UNCLEAR and known and not live:
        yield "wrong", f"{case.key}: its rotation stays unclear though the new key is gone"


_OF_KIND: Mapping[ActionKind, Callable[[Case], Iterator[Wrong]]] = {
    ActionKind.DEACTIVATE: _of_deactivation,
    ActionKind.DELETE: _of_deletion,
    ActionKind.ROTATE: _of_rotation,
}


def mistakes_of_retirement(cloud: Cloud, plan: Plan, kept: Mapping[str, str]) -> Iterator[Wrong]:
    """Yield old keys that a plan retires though nothing works in their place."""
    ready = {
        (account.id, user.name)
        for account in cloud.accounts.values()
        for user in account.users.values()
        for key in user.keys
        if key.active and key.used and key.id in cloud.made
        if kept.get(key.id) == cloud.made[key.id].secret
    }
    for action in plan.actions:
        retires = action.kind is ActionKind.DEACTIVATE and action.because == (ROTATES,)
        if retires and (action.account_id, action.user_name) not in ready:
            yield "wrong", f"{action.access_key_id} is to go, and no new key is in use"


def mistakes_of_undo(
    cloud: Cloud,
    lines: Sequence[JournalLine],
    *,
    applied: Mapping[str, ActionKind],
    between: Moment,
    held: Sequence[Held] | None,
) -> Iterator[Wrong]:
    """Yield what an undo did not take back, or beyond that, and what it says that is not so.

    `lines` are those of the run; `applied` are the keys that the plan had changed; `held` is what
    the undo says it leaves, None where faults may have been in its way.
    """
    now = Moment.of(cloud)
    last = {line.access_key_id: line for line in lines if line.kind is ActionKind.ACTIVATE}
    for key, active in now.states.items():
        if applied.get(key) is not ActionKind.DEACTIVATE and active != between.states.get(
            key, active
        ):
            yield "wrong", f"{key} was changed by an undo that it has no part in"
    if set(now.made) != set(between.made) or set(now.deleted) != set(between.deleted):
        yield "wrong", "an undo made or deleted a key"
    for key, line in last.items():
        done = line.detail.get("result") == Result.APPLIED
        if applied.get(key) is not ActionKind.DEACTIVATE and done:
            yield "claim", f"{key}: the journal says restored, and it was not deactivated"
        if done and now.states.get(key) is False:
            yield "claim", f"{key}: the journal says restored, the server inactive"
    if held is not None:
        yield from _left(cloud, applied, last, held)


def _left(
    cloud: Cloud,
    applied: Mapping[str, ActionKind],
    last: Mapping[str, JournalLine],
    held: Sequence[Held],
) -> Iterator[Wrong]:
    """Yield what an undo without faults left without a reason, or did not say it left."""
    quarantined = {
        key.id
        for account in cloud.accounts.values()
        for user in account.users.values()
        for key in user.keys
        if user.quarantined
    }
    states, told = cloud.states(), {each.access_key_id for each in held}
    for key in cloud.ended_by_others:
        if states.get(key) and applied.get(key) is ActionKind.DEACTIVATE:
            yield "wrong", f"{key} was restored, which somebody used since and ended again"
    # Used in the very moment that it was deactivated, it looks as if somebody had restored it.
    used = {key for account in cloud.accounts.values() for key in account.used_meanwhile}
    for key, kind in applied.items():
        if kind is not ActionKind.DEACTIVATE:
            if key not in told:
                yield "claim", f"{key}: an undo does not say that it leaves its {kind}"
        elif states.get(key) is False and key not in quarantined | used | cloud.ended_by_others:
            said = last[key].detail if key in last else {}
            yield "wrong", f"{key} was not restored: {said}"
