"""One change by one call, carried out until it is known what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId
from auditor.model.outcome import Outcome, Result
from auditor.ports import Clock, IamWriter

Call = Callable[[IamWriter, str, AccessKeyId], Awaitable[str]]

_TRIES = 5
_PAUSE = 1.0
_SOON, _LATE = (0.5, 1.0, 2.0), (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between looks at whether a change shows; IAM is eventually consistent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that can be repeated: the second time it finds nothing to do."""

    call: Call
    """Asks AWS for it, once; returns the request id."""
    done: Callable[[AccessKey | None], bool]
    """Whether it shows; None is a key that is not there."""
    removes: bool = False
    """Whether the key is gone afterwards."""


async def carry_out(
    change: Change, writer: IamWriter, user_name: str, key_id: AccessKeyId, clock: Clock
) -> Outcome:
    """Make the change and read it back; say what is known of it.

    Applied only if it was seen, Refused only if AWS can't have done it, Unclear otherwise.
    """
    unsure: AwsFailure | None = None
    for attempt in range(_TRIES):
        try:
            request_id = await change.call(writer, user_name, key_id)
        except AwsFailure as failure:
            if failure.kind is FailureKind.THROTTLED:
                await clock.sleep(_PAUSE * 2**attempt)
                continue
            if failure.is_refusal and unsure is None:
                return _refused(failure)
            unsure = unsure or failure
            if await shows(change, writer, user_name, key_id, clock, pauses=_SOON):
                reason = f"seen, though AWS's answer was {unsure.code}"
                return Outcome(result=Result.APPLIED, reason=reason)
            if failure.kind is not FailureKind.UNAVAILABLE:
                break
            continue
        result, reason = Result.APPLIED, ""
        if not await shows(change, writer, user_name, key_id, clock, pauses=_LATE):
            result, reason = Result.UNCLEAR, "AWS accepted it, but it does not show yet"
        return Outcome(result=result, reason=reason, request_id=request_id)
    if unsure is None:
        return Outcome(result=Result.REFUSED, reason="throttled by AWS, however often it was tried")
    reason = f"it does not show, but AWS's answer was {unsure.code}: it may still come"
    return Outcome(result=Result.UNCLEAR, reason=reason)


def _refused(failure: AwsFailure) -> Outcome:
    """Say what a clear no means."""
    if failure.kind is FailureKind.GONE:
        return Outcome(result=Result.DRIFTED, reason="the key is gone")
    return Outcome(result=Result.REFUSED, reason=str(failure))


async def shows(
    change: Change,
    writer: IamWriter,
    user_name: str,
    key_id: AccessKeyId,
    clock: Clock,
    *,
    pauses: tuple[float, ...] = (),
) -> bool:
    """Whether the change is seen, at once or after one of the pauses."""
    for pause in (*pauses, None):
        try:
            if change.done(await find(writer, user_name, key_id)):
                return True
        except AwsFailure as failure:
            if failure.kind is FailureKind.GONE:
                return change.removes
        if pause is not None:
            await clock.sleep(pause)
    return False


async def find(writer: IamWriter, user_name: str, key_id: AccessKeyId) -> AccessKey | None:
    """Return the key as AWS lists it now; raise AwsFailure."""
    keys = await writer.access_keys(user_name)
    return next((key for key in keys if key.id == key_id), None)
