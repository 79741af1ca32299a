"""The keys of one user, one operation at a time: the five of AWS's example, and rotation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from auditor import fanout
from auditor.errors import AuditError, AwsFailure, NothingAuditedError
from auditor.model.access_key import AccessKey, AccessKeyId, LastUse, NeverUsed, Used
from auditor.model.outcome import Outcome, Result, Step
from auditor.model.plan import ActionKind, Protection
from auditor.model.unknown import Unknown
from auditor.ports import Clock, CreatedKey, IamWriter, Owner, SecretSink
from auditor.remediation.actions import CHANGES, rotate
from auditor.remediation.actions.change import carry_out, find
from auditor.remediation.own_keys import OwnKeys
from auditor.remediation.protection import protects

_LOOK = "iamaudit keys list shows those there are"

Told = Callable[[str], None]
"""Says what happens while it happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A key that was created."""

    key: CreatedKey
    secret_in: str | None
    """Where the sink keeps the secret; None where there is no sink."""


class UserKeys:
    """The access keys of one user."""

    def __init__(
        self,
        writer: IamWriter,
        owner: Owner,
        *,
        own: OwnKeys,
        user_arn: str,
        protection: Protection,
        clock: Clock,
    ) -> None:
        """Leave the operator's keys alone, and those of a protected user.

        Of `user_arn` the path may be unknown: it is read again where a protection looks at it.
        """
        self._writer = writer
        self._owner = owner
        self._own = own
        self._user_arn = user_arn
        self._protection = protection
        self._clock = clock

    async def list(self) -> Sequence[AccessKey]:
        """Return all keys with their last use, unknown where it can't be read; raise AwsFailure."""
        keys = await self._writer.access_keys(self._owner.user_name)
        return [
            replace(key, last_use=await last_use(self._writer, key.id))
            for key in keys
            if key.id is not None
        ]

    async def last_use(self, key_id: AccessKeyId) -> LastUse:
        """Return the last use of a key, unknown where it can't be read."""
        return await last_use(self._writer, key_id)

    async def create(self, sink: SecretSink | None, told: Told) -> Made:
        """Create a key; raise AuditError for a third one, AwsFailure otherwise.

        No key is made where the sink could not keep its secret; where it does not take it after
        all, the new key is deleted again.
        """
        keys = await self._writer.access_keys(self._owner.user_name)
        if len(keys) >= rotate.SLOTS:
            ids = " and ".join(str(key.id) for key in keys)
            raise AuditError(
                f"{self._owner.user_name} has two access keys already: {ids}",
                hint="delete the one that is not needed: AWS allows two",
            )
        if sink is not None:
            await sink.check(self._owner)
        with fanout.shielded():
            key = await rotate.create(self._writer, self._owner, keys, self._clock)
            if isinstance(key, Outcome):
                raise NothingAuditedError(key.reason, hint=_LOOK)
            told(f"created {key.id} of {self._owner.user_name}")
            if sink is None:
                return Made(key=key, secret_in=None)
            where = await rotate.store(self._writer, self._owner, key, sink=sink, clock=self._clock)
        if isinstance(where, Outcome):
            raise AuditError(where.reason, hint="mend the sink, and create again")
        return Made(key=key, secret_in=where)

    async def change(self, kind: ActionKind, key_id: AccessKeyId) -> Outcome:
        """Activate, deactivate or delete a key; raise AuditError where it is not to be.

        An active key is not deleted; neither the operator's key nor one of a protected user is
        deactivated or deleted. Raises AwsFailure where the key can't be read.
        """
        key = await find(self._writer, self._owner.user_name, key_id)
        if key is None:
            raise AuditError(
                f"{self._owner.user_name} has no access key {key_id}",
                hint="iamaudit keys list shows those there are; name its user with --user",
            )
        if kind is not ActionKind.ACTIVATE:
            self._check_own(key_id)
            await self._check_protected()
        if kind is ActionKind.DELETE and key.active:
            raise AuditError(
                f"{key_id} is active", hint="deactivate it first, and see that nothing breaks"
            )
        change = CHANGES[kind]
        if change.done(key):
            return Outcome(result=Result.APPLIED, reason=f"it is {key.status} already")
        return await carry_out(change, self._writer, self._owner.user_name, key_id, self._clock)

    def _check_own(self, key_id: AccessKeyId) -> None:
        why = self._own.why_named(user_arn=self._user_arn, key_id=key_id)
        if why is not None:
            raise AuditError(
                f"{key_id} is left alone: {why}",
                hint="use other credentials, or take the key out of the configuration first",
            )

    async def _check_protected(self) -> None:
        why = await protects(self._writer, self._owner.user_name, [self._protection])
        if why is not None:
            raise AuditError(
                f"{self._owner.user_name} is left alone: {why}",
                hint="change --protect or --protect-tag, its variable or your file, if it must be",
            )

    async def rotate(self, sink: SecretSink, told: Told) -> Outcome:
        """Create a second key whose secret the sink keeps; the old one stays; raise AwsFailure.

        Raises AuditError where the user is protected.
        """
        await self._check_protected()
        keys = await self._writer.access_keys(self._owner.user_name)

        async def record(step: Step, detail: Mapping[str, object]) -> None:
            if step is Step.CREATED:
                told(f"created {detail['new_key_id']}")

        with fanout.shielded():
            return await rotate.rotate(
                self._writer, self._owner, keys, sink=sink, record=record, clock=self._clock
            )

    async def tour(self, told: Told) -> None:
        """Go through the life of a key, and leave nothing behind, also where it fails half-way."""
        made = await self.create(None, told)
        try:
            told("its secret is not shown, and not kept")
            for key in await self.list():
                told(f"listed {key.id}: {key.status}")
            told(f"last use of {made.key.id}: {say(await last_use(self._writer, made.key.id))}")
            await self._must(ActionKind.DEACTIVATE, made.key.id, told)
        finally:
            with fanout.shielded():
                await self._remove(made.key.id, told)

    async def _remove(self, key_id: AccessKeyId, told: Told) -> None:
        outcome = await carry_out(
            CHANGES[ActionKind.DELETE], self._writer, self._owner.user_name, key_id, self._clock
        )
        if outcome.result not in {Result.APPLIED, Result.DRIFTED}:
            raise AuditError(
                f"{key_id} could not be deleted: {outcome.reason}", hint="delete it by hand"
            )
        told(f"deleted {key_id}")

    async def _must(self, kind: ActionKind, key_id: AccessKeyId, told: Told) -> None:
        change = CHANGES[kind]  # of a key made just now: nobody works with it
        outcome = await carry_out(change, self._writer, self._owner.user_name, key_id, self._clock)
        if outcome.result is not Result.APPLIED:
            raise AuditError(
                f"{kind} {key_id}: {outcome.result}: {outcome.reason}", hint="look at the key"
            )
        told(f"{kind}d {key_id}")


async def last_use(writer: IamWriter, key_id: AccessKeyId) -> LastUse:
    """Return the last use, unknown with the reason where it can't be read."""
    try:
        return await writer.last_use(key_id)
    except AwsFailure as failure:
        return Unknown(operation=failure.operation, code=failure.code)


def say(use: LastUse) -> str:
    """Tell a last use in words: when, for what service, where; never; or why it is unknown."""
    match use:
        case Used(at=at, service=service, region=region):
            where = "" if region == "N/A" else f" in {region}"
            return f"{at:%Y-%m-%d %H:%M} UTC for {service}{where}"
        case NeverUsed():
            return "never"
        case Unknown() as unknown:
            return f"unknown ({unknown.reason})"
