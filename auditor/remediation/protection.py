"""Whether a user is protected, by what AWS says of it now."""

from collections.abc import Iterable

from auditor.errors import AwsFailure, FailureKind
from auditor.model.outcome import Outcome, Result
from auditor.model.plan import Protection
from auditor.ports import IamWriter
from auditor.remediation.planner import protected_by


async def left_alone(
    writer: IamWriter, user_name: str, planned_arn: str, protections: Iterable[Protection]
) -> Outcome | None:
    """Return why the keys of a plan's user are not touched; None where they may be.

    Refused where it is protected, drifted where it has another ARN by now. Raises AwsFailure where
    that can't be told; a denied GetUser matters only where a pattern may look at the ARN.
    """
    chosen = tuple(protections)
    arn = await _arn(writer, user_name, needed=any(each.patterns for each in chosen))
    for each in chosen:
        for known in filter(None, (planned_arn, arn)):
            why = protected_by(each, user_name=user_name, user_arn=known)
            if why is not None:
                return Outcome(result=Result.REFUSED, reason=why)
    why = await _by_tag(writer, user_name, chosen)
    if why is not None:
        return Outcome(result=Result.REFUSED, reason=why)
    if arn not in {None, planned_arn}:
        return Outcome(result=Result.DRIFTED, reason=f"its user is {arn} now")
    return None


async def protects(
    writer: IamWriter, user_name: str, protections: Iterable[Protection]
) -> str | None:
    """Return why the keys of a user that a person named are not touched; raise AwsFailure."""
    chosen = tuple(protections)
    arn = None
    if any(each.patterns for each in chosen):
        arn = await writer.user_arn(user_name)
    for each in chosen:
        why = protected_by(each, user_name=user_name, user_arn=arn or user_name)
        if why is not None:
            return why
    return await _by_tag(writer, user_name, chosen)


async def _arn(writer: IamWriter, user_name: str, *, needed: bool) -> str | None:
    try:
        return await writer.user_arn(user_name)
    except AwsFailure as failure:
        # A role that an earlier version deployed may not ask; its sessions name the planned ARN.
        if needed or failure.kind is not FailureKind.DENIED:
            raise
        return None


async def _by_tag(
    writer: IamWriter, user_name: str, protections: Iterable[Protection]
) -> str | None:
    asked = [each for each in protections if each.tag is not None]
    tags = await writer.user_tags(user_name) if asked else {}
    return next((f"protected by the tag {each.tag}" for each in asked if each.by_tag(tags)), None)
