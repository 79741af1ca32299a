"""Getting a credential report: one poll over all states that pass, bounded in time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from auditor.errors import AwsFailure, FailureKind
from auditor.ports import Clock, CredentialReport

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0  # seconds, doubling
_LONGEST = 75.0  # seconds in all, calls included
_PASSING = frozenset(
    {
        "CredentialReportExpiredException",
        "CredentialReportNotPresentException",
        "CredentialReportNotReadyException",
        "ReportExpired",
        "ReportInProgress",
        "ReportNotPresent",
    }
)
# Too many reports at once; IAM answers with either spelling.
_LIMITED = frozenset({"LimitExceeded", "LimitExceededException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """A report, and what stood in the way of a new one where an existing one was read instead."""

    report: CredentialReport
    not_generated: AwsFailure | None


async def poll(
    generate: Callable[[], Awaitable[bool]],
    get: Callable[[], Awaitable[CredentialReport]],
    clock: Clock,
) -> Polled:
    """Return the report once there is one; raise AwsFailure where none is to be had.

    `generate` asks for one and says whether it is complete. Where that is refused or fails, a
    report that somebody else had made is read.
    """
    pause, end = _FIRST_PAUSE, clock.monotonic() + _LONGEST
    while True:
        limited: AwsFailure | None = None
        try:
            ready = await generate()
        except AwsFailure as failure:
            if failure.kind is FailureKind.CREDENTIALS:
                raise
            if failure.code not in _LIMITED:
                return await _existing(get, failure)
            ready, limited = True, failure
        if ready:
            try:
                return Polled(report=await get(), not_generated=limited)
            except AwsFailure as failure:
                if failure.code not in _PASSING:
                    raise
        if clock.monotonic() + pause > end:
            raise limited or _too_late()
        await clock.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _existing(get: Callable[[], Awaitable[CredentialReport]], failure: AwsFailure) -> Polled:
    """Read the report that there is; raise the failure to generate one where there is none."""
    try:
        return Polled(report=await get(), not_generated=failure)
    except AwsFailure:
        raise failure from None


def _too_late() -> AwsFailure:
    return AwsFailure(
        operation="iam:GenerateCredentialReport",
        code="ReportInProgress",
        message="the credential report did not get ready in time",
        kind=FailureKind.UNAVAILABLE,
    )
