"""Applying a plan: exactly its actions, each on a key that is still as the plan saw it."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import groupby

from auditor import fanout
from auditor.errors import AuditError, AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, LastUse, NeverUsed, Used
from auditor.model.account import Account
from auditor.model.outcome import FINAL, JournalLine, Outcome, Result, Step
from auditor.model.plan import Action, ActionKind, Plan, Protection
from auditor.model.unknown import Unknown
from auditor.ports import (
    Clock,
    Grant,
    IamWriter,
    Journal,
    Owner,
    SecretSink,
    WriteSessions,
)
from auditor.remediation import journal as written
from auditor.remediation.actions import CHANGES, GRANTS, rotate
from auditor.remediation.actions.change import carry_out, find
from auditor.remediation.own_keys import OwnKeys
from auditor.remediation.planner import Rotation, not_retired
from auditor.remediation.protection import left_alone
from auditor.remediation.window import Window

_ACCOUNTS_AT_ONCE = 10
TOO_LARGE = "PackedPolicyTooLarge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rails:
    """What holds besides the plan."""

    caller_arn: str
    own_key_ids: frozenset[str]
    """Access keys that the operator works with."""
    use_matters: frozenset[str]
    """Ids of the rules that look at the last use."""
    window: Window | None
    settle_only: str | None = None
    """Why only what was cut off is settled, and nothing begun."""
    rotations: Mapping[str, Rotation] = field(default_factory=dict, hash=False)
    """By action: of those that retire the old key of a rotation."""
    sink_name: str = ""
    """Where exactly the sink is, for the journal: a resume must find the same."""
    named: frozenset[str] = field(default_factory=frozenset)
    """Of an undo: keys that the operator named, to be restored even if quarantined or used."""
    protection: Protection = field(default_factory=Protection)
    """What is protected now, besides what the plan protects."""
    ended_at: Mapping[str, datetime] = field(default_factory=dict, hash=False)
    """Of an undo, by action: when this tool began to deactivate the key."""

    @property
    def own(self) -> OwnKeys:
        """The operator's keys."""
        return OwnKeys(caller_arn=self.caller_arn, key_ids=self.own_key_ids)


class Apply:
    """One apply of one plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        accounts: Mapping[str, Account],
        sessions: WriteSessions,
        journal: Journal,
        sink: SecretSink | None,
        rails: Rails,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._accounts = accounts
        self._sessions = sessions
        self._journal = journal
        self._sink = sink
        self._rails = rails
        self._clock = clock
        self._writer = fanout.Writer()
        self._lines = written.by_action(journal.lines(plan.id))

    async def run(self) -> bool:
        """Apply what is not settled yet, accounts at the same time; return whether interrupted.

        What was begun and cut off is settled by `resume`; nothing is done twice.
        """
        left = [each for each in self._plan.actions if self._is_left(each)]
        by_account = [list(group) for _, group in groupby(left, key=lambda each: each.account_id)]

        async def all_of_them() -> None:
            await fanout.each(by_account, self._account, limit=_ACCOUNTS_AT_ONCE)

        return await fanout.until_interrupted(all_of_them)

    def _is_left(self, action: Action) -> bool:
        lines = self._lines.get(action.id, ())
        if self._rails.settle_only is not None:
            resumable = action.kind is not ActionKind.ROTATE or self._sink is not None
            return written.is_open(lines) and resumable
        outcome = written.outcome(lines)
        return outcome is None or outcome.result not in FINAL

    async def _account(self, actions: Sequence[Action]) -> None:
        """Apply the actions of one account in as few sessions as their policies fit in."""
        account = self._accounts[actions[0].account_id]
        async with AsyncExitStack() as stack:
            session = self._sessions.open_for(account, grant(actions))
            try:
                opened = await stack.enter_async_context(session)
            except AwsFailure as failure:
                await self._no_session(actions, failure)
                return
            for action in actions:
                await self._one(account, opened.writer, action)

    async def _no_session(self, actions: Sequence[Action], failure: AwsFailure) -> None:
        """Try with fewer users where the policy was too large; else leave all actions alone."""
        users = sorted({each.user_name for each in actions})
        if failure.code == TOO_LARGE and len(users) > 1:
            half = set(users[: len(users) // 2])
            await self._account([each for each in actions if each.user_name in half])
            await self._account([each for each in actions if each.user_name not in half])
            return
        for action in actions:
            if not written.is_open(self._lines.get(action.id, ())):
                reason = f"no session in the account: {failure}"
                await self._conclude(action, Outcome(result=Result.REFUSED, reason=reason))

    async def _one(self, account: Account, writer: IamWriter, action: Action) -> None:
        lines = self._lines.get(action.id, ())
        if written.is_open(lines):
            outcome = await self._settle(account, writer, action, lines)
        elif written.is_lost(lines):  # never again by itself; but what it made may show by now
            intent = written.since_intent(lines)[0]
            outcome = await rotate.look_again(writer, action.user_name, intent.detail)
            if outcome in (None, written.outcome(lines)):
                return
        else:
            outcome = self._not_now()
        if outcome is None:
            outcome = await self._begin(account, writer, action)
        await self._conclude(action, outcome)

    def _not_now(self) -> Outcome | None:
        if self._rails.settle_only is not None:
            return Outcome(result=Result.SKIPPED, reason=self._rails.settle_only)
        if self._clock.now() >= self._plan.expires_at:
            return Outcome(result=Result.SKIPPED, reason="the plan has expired")
        window = self._rails.window
        if window is not None and not window.open_at(self._clock.now()):
            return Outcome(result=Result.SKIPPED, reason=f"outside the window {window}")
        return None

    async def _settle(
        self, account: Account, writer: IamWriter, action: Action, lines: Sequence[JournalLine]
    ) -> Outcome | None:
        """Find out what an action that was cut off did; None where it did nothing."""
        try:
            if action.kind is ActionKind.ROTATE:
                return await self._resume_rotation(account, writer, action, lines)
            key = await find(writer, action.user_name, action.access_key_id)
            if CHANGES[action.kind].done(key):
                return Outcome(result=Result.APPLIED, reason="found done after the interruption")
        except AwsFailure as failure:
            if failure.kind is FailureKind.GONE:
                return Outcome(result=Result.DRIFTED, reason="the user is gone")
            return Outcome(result=Result.UNCLEAR, reason=f"it could not be read again: {failure}")
        except AuditError as error:
            return Outcome(result=Result.UNCLEAR, reason=f"its secret could not be sought: {error}")
        return self._not_now()

    async def _resume_rotation(
        self, account: Account, writer: IamWriter, action: Action, lines: Sequence[JournalLine]
    ) -> Outcome:
        assert self._sink is not None  # noqa: S101 -- `Limits` allow no rotation without a sink
        with fanout.shielded():
            return await rotate.resume(
                writer,
                Owner(account=account, user_name=action.user_name),
                written.since_intent(lines),
                sink=self._sink,
                record=partial(self._record, action),
                clock=self._clock,
            )

    async def _begin(self, account: Account, writer: IamWriter, action: Action) -> Outcome:
        keys = await self._as_planned(writer, action)
        if isinstance(keys, Outcome):
            return keys
        if action.kind is ActionKind.ROTATE:
            if self._sink is None:
                return Outcome(result=Result.REFUSED, reason="a rotation needs --sink")
            with fanout.shielded():  # between the key and its secret's sink nothing is given up
                await self._intend(action, keys)
                return await rotate.rotate(
                    writer,
                    Owner(account=account, user_name=action.user_name),
                    keys,
                    sink=self._sink,
                    record=partial(self._record, action),
                    clock=self._clock,
                )
        await self._intend(action, keys)
        return await carry_out(
            CHANGES[action.kind], writer, action.user_name, action.access_key_id, self._clock
        )

    async def _as_planned(self, writer: IamWriter, action: Action) -> Sequence[AccessKey] | Outcome:
        """Return the user's keys now, or why the action is not to be: drifted, or protected."""
        try:
            found = await self._left_alone(writer, action)
            if found is not None:
                return found
            keys = await writer.access_keys(action.user_name)
            drifted = _drift(action, keys) or await self._drifted_use(writer, action)
        except AwsFailure as failure:
            if failure.kind is FailureKind.GONE:
                return Outcome(result=Result.DRIFTED, reason="the user is gone")
            return Outcome(result=Result.REFUSED, reason=f"it could not be read again: {failure}")
        return Outcome(result=Result.DRIFTED, reason=drifted) if drifted else keys

    async def _left_alone(self, writer: IamWriter, action: Action) -> Outcome | None:
        """Return why the key is not to be touched; raise AwsFailure where that can't be told.

        What is protected now is no reason to keep from a user what this tool took from it.
        """
        if action.kind is ActionKind.ACTIVATE:
            why = await self._not_restorable(writer, action)
        else:
            why = self._rails.own.why(user_arn=action.user_arn, key_id=action.access_key_id)
        if why is not None:
            return Outcome(result=Result.REFUSED, reason=why)
        if action.kind is ActionKind.ACTIVATE:
            return None
        protections = (self._plan.protection, self._rails.protection)
        return await left_alone(writer, action.user_name, action.user_arn, protections)

    async def _not_restorable(self, writer: IamWriter, action: Action) -> str | None:
        """Return why an undo holds the key back, unless the operator named it."""
        if action.access_key_id in self._rails.named:
            return None
        if await writer.quarantined(action.user_name):
            return "the user is quarantined by AWS: name the key with --key to restore it"
        ended = self._rails.ended_at.get(action.id)
        if ended is None:
            return None
        use = await writer.last_use(action.access_key_id)
        # AWS tells whole seconds. What was used after its end was restored and ended again.
        if isinstance(use, Used) and use.at >= ended.replace(microsecond=0):
            return (
                f"it was used at {use.at.isoformat()}, after it was deactivated here: somebody"
                " restored it and ended it again; name the key with --key to restore it"
            )
        return None

    async def _drifted_use(self, writer: IamWriter, action: Action) -> str | None:
        """Return why the last use forbids the action; raise AwsFailure where it has to be known.

        A reason that never looked at the use is enough by itself: a quarantined key must go, used
        or not.
        """
        rotation = self._rails.rotations.get(action.id)
        if rotation is not None:
            return await self._not_retired(writer, action, rotation)
        enough = not self._rails.use_matters.issuperset(action.because)
        if action.kind is ActionKind.ACTIVATE or (enough and action.kind is not ActionKind.DELETE):
            return None
        return _use_differs(action.expected.last_use, await writer.last_use(action.access_key_id))

    async def _not_retired(
        self, writer: IamWriter, action: Action, rotation: Rotation
    ) -> str | None:
        """Return why the old key of a rotation must stay, by both keys' use as it is now."""
        keys = [
            replace(key, last_use=await writer.last_use(key.id))
            for key in await writer.access_keys(action.user_name)
            if key.id is not None
        ]
        old = next((key for key in keys if key.id == action.access_key_id), None)
        others = [key for key in keys if key.id != action.access_key_id]
        if old is None:
            return "the key is gone"
        if isinstance(action.expected.last_use, Used) and isinstance(old.last_use, NeverUsed):
            return _use_differs(action.expected.last_use, old.last_use)
        return not_retired(old, others, rotation, now=self._clock.now())

    async def _intend(self, action: Action, keys: Sequence[AccessKey]) -> None:
        key = next(each for each in keys if each.id == action.access_key_id)
        ids = [str(each.id) for each in keys]
        detail: dict[str, object] = {"status": key.status.value, "keys": ids}
        if action.kind is ActionKind.ROTATE:
            detail["sink"] = self._rails.sink_name
        await self._record(action, Step.INTENT, detail)

    async def _conclude(self, action: Action, outcome: Outcome) -> None:
        with fanout.shielded():
            await self._record(action, Step.OUTCOME, written.detail(outcome))

    async def _record(self, action: Action, step: Step, detail: Mapping[str, object]) -> None:
        await self._writer.run(
            partial(
                self._journal.append,
                at=self._clock.now(),
                plan=self._plan,
                action=action,
                step=step,
                detail=detail,
            )
        )


def grant(actions: Sequence[Action]) -> Grant:
    """Return what a session needs to carry out the actions, and nothing else."""
    arns: dict[str, set[str]] = {}
    for action in actions:
        for name in GRANTS[action.kind]:
            arns.setdefault(name, set()).add(_literally(action.user_arn))
    return Grant(actions={name: tuple(sorted(users)) for name, users in sorted(arns.items())})


# In a policy these stand for more than themselves, and a user's path may have them.
_WILD = str.maketrans({each: f"${{{each}}}" for each in "*?$"})


def _literally(arn: str) -> str:
    """Return an ARN as a policy's resource that matches it alone."""
    return arn.translate(_WILD)


def _drift(action: Action, keys: Sequence[AccessKey]) -> str | None:
    """Return how the key differs from what the plan saw."""
    key = next((each for each in keys if each.id == action.access_key_id), None)
    if key is None:
        return "the key is gone"
    if key.created_at != action.expected.created_at:
        return "it is another key of the same id"
    if key.status is not action.expected.status:
        return f"it is {key.status} now"
    return None


def _use_differs(then: LastUse, now: LastUse) -> str | None:
    """Return how the last use differs from what the plan saw; a contradiction differs, too."""
    match then, now:
        case Unknown(), _:
            return "its last use was not known to the plan"
        case Used(at=before), NeverUsed():
            return f"AWS now says never used, but the plan saw a use at {before.isoformat()}"
        case Used(at=before), Used(at=after) if after < before:
            return (
                f"AWS now says last used at {after.isoformat()}, but the plan saw a use at"
                f" {before.isoformat()}"
            )
        case Used(at=before), Used(at=after) if after == before:
            return None
        case _, Used(at=after, service=service):
            return f"it was used at {after.isoformat()}, for {service}"
        case _:
            return None
