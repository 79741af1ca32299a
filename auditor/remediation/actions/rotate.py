"""Rotation's first half: a new key, its secret in a sink; the old key is left as it is.

A later plan retires the old key, once the new one is used and the old one idle.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from auditor.errors import AuditError, AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId, NeverUsed
from auditor.model.outcome import JournalLine, Outcome, Result, Step
from auditor.ports import Clock, CreatedKey, IamWriter, Owner, SecretSink
from auditor.remediation.actions.change import carry_out, find
from auditor.remediation.actions.delete import DELETE

Record: TypeAlias = Callable[[Step, Mapping[str, object]], Awaitable[None]]
"""Adds a line about this action to the journal, and returns when it is on the disk."""

SLOTS = 2
_TRIES = 5
_PAUSE = 1.0


async def rotate(
    writer: IamWriter,
    owner: Owner,
    keys: Sequence[AccessKey],
    *,
    sink: SecretSink,
    record: Record,
    clock: Clock,
) -> Outcome:
    """Create a key for the user and bring its secret to the sink; the intent is journaled.

    `keys` are those that the user has now.
    """
    if len(keys) >= SLOTS:
        return Outcome(
            result=Result.REFUSED,
            reason="both key slots are taken: deactivate and delete the key that is not needed",
        )
    try:
        await sink.check(owner)
    except (AuditError, AwsFailure) as error:
        reason = f"no key was made: its secret could not be stored ({error})"
        return Outcome(result=Result.REFUSED, reason=reason)
    created = await create(writer, owner, keys, clock)
    if isinstance(created, Outcome):
        return created
    try:
        await record(Step.CREATED, {"new_key_id": created.id, "request_id": created.request_id})
    except AuditError as error:
        ended = await discard(writer, owner, created.id, clock, f"not journaled ({error})")
        raise AuditError(ended.reason, hint=error.hint) from None
    where = await store(writer, owner, created, sink=sink, clock=clock)
    if isinstance(where, Outcome):
        return where
    await record(Step.STORED, {"new_key_id": created.id, "secret_in": where})
    return made(created.id, where, created.request_id)


async def resume(
    writer: IamWriter,
    owner: Owner,
    lines: Sequence[JournalLine],
    *,
    sink: SecretSink,
    record: Record,
    clock: Clock,
) -> Outcome:
    """Settle a rotation that was cut off, by what the journal knows of it."""
    known = {line.step: line.detail for line in lines}
    if Step.CREATED not in known:
        return await _lost(writer, owner.user_name, known[Step.INTENT])
    key_id = AccessKeyId(str(known[Step.CREATED]["new_key_id"]))
    request_id = str(known[Step.CREATED]["request_id"])
    if Step.STORED in known:
        return made(key_id, str(known[Step.STORED]["secret_in"]), request_id)
    where = await sink.find(owner, key_id)
    if where is not None and await _is_gone(writer, owner.user_name, key_id):
        why = f"its secret is in {where}, but the key does not show any more"
        return await discard(writer, owner, key_id, clock, why)
    if where is not None:
        await record(Step.STORED, {"new_key_id": key_id, "secret_in": where})
        return made(key_id, where, request_id)
    why = "its secret was not stored before the end"
    try:
        unused = isinstance(await writer.last_use(key_id), NeverUsed)
    except AwsFailure:  # AWS says denied, too, of a key that is gone
        unused = await _is_gone(writer, owner.user_name, key_id)
    if unused:
        return await discard(writer, owner, key_id, clock, why)
    return Outcome(
        result=Result.UNCLEAR,
        reason=f"{why}, but the new key {key_id} is in use, or that could not be read: look at it",
        new_key_id=key_id,
    )


async def store(
    writer: IamWriter, owner: Owner, created: CreatedKey, *, sink: SecretSink, clock: Clock
) -> str | Outcome:
    """Return where the sink keeps the secret; where it does not, the new key is deleted again."""
    try:
        return await sink.put(owner, created)
    except (AuditError, AwsFailure) as error:
        why = f"its secret could not be stored ({error})"
    except Exception as error:  # noqa: BLE001 -- whatever it was, nobody has the secret
        why = f"its secret could not be stored ({type(error).__name__})"
    return await discard(writer, owner, created.id, clock, why)


async def discard(
    writer: IamWriter, owner: Owner, key_id: AccessKeyId, clock: Clock, why: str
) -> Outcome:
    """Delete the new key, of which nobody has the secret; the old one stays."""
    deleted = await carry_out(DELETE, writer, owner.user_name, key_id, clock)
    if deleted.result in {Result.APPLIED, Result.DRIFTED}:
        return Outcome(
            result=Result.REFUSED,
            reason=f"{why}; the new key {key_id} was deleted, the old one is as it was",
            new_key_id=key_id,
        )
    return Outcome(
        result=Result.UNCLEAR,
        reason=f"{why}; the new key {key_id} could not be deleted ({deleted.reason}):"
        " delete it by hand",
        new_key_id=key_id,
    )


def made(key_id: AccessKeyId, where: str, request_id: str) -> Outcome:
    """Return the outcome of a rotation whose new secret is safe."""
    return Outcome(
        result=Result.APPLIED,
        reason=f"new key {key_id}; the old one stays until the new one is used",
        request_id=request_id,
        new_key_id=key_id,
        secret_in=where,
    )


async def create(
    writer: IamWriter, owner: Owner, keys: Sequence[AccessKey], clock: Clock
) -> CreatedKey | Outcome:
    """Create a key, never twice where the first answer is not clear; `keys` are those before."""
    for attempt in range(_TRIES):
        try:
            return await writer.create_key(owner.user_name)
        except AwsFailure as failure:
            if not failure.is_refusal:
                return await _lost(writer, owner.user_name, {"keys": [key.id for key in keys]})
            if failure.kind is not FailureKind.THROTTLED:
                return Outcome(result=Result.REFUSED, reason=str(failure))
            await clock.sleep(_PAUSE * 2**attempt)
    return Outcome(result=Result.REFUSED, reason="throttled by AWS, however often it was tried")


async def _is_gone(writer: IamWriter, user_name: str, key_id: AccessKeyId) -> bool:
    """Whether the user's keys are listed, and the key is not among them."""
    try:
        return await find(writer, user_name, key_id) is None
    except AwsFailure as failure:
        return failure.kind is FailureKind.GONE


async def _lost(writer: IamWriter, user_name: str, intent: Mapping[str, object]) -> Outcome:
    """Say that a key may have been made whose secret nobody has; never delete it.

    It may be somebody else's.
    """
    try:
        told = await _candidates(writer, user_name, intent)
    except AwsFailure as failure:
        told = f"the user's keys could not be listed ({failure.code})"
    return _unanswered(told)


async def look_again(
    writer: IamWriter, user_name: str, intent: Mapping[str, object]
) -> Outcome | None:
    """Say what a lost answer may have made, as it shows now; None where that can't be read."""
    try:
        return _unanswered(await _candidates(writer, user_name, intent))
    except AwsFailure:
        return None


async def _candidates(writer: IamWriter, user_name: str, intent: Mapping[str, object]) -> str:
    """Name the keys that the user did not have before; raise AwsFailure."""
    before = intent.get("keys")
    old = set(before) if isinstance(before, list) else set()
    now = [key.id for key in await writer.access_keys(user_name)]
    candidates = [str(each) for each in now if each not in old]
    return f"it may be {' or '.join(candidates)}" if candidates else "none shows yet"


def _unanswered(told: str) -> Outcome:
    return Outcome(
        result=Result.UNCLEAR,
        reason=f"AWS's answer was lost; if a key was made, {told}: look, and delete it by hand",
    )
