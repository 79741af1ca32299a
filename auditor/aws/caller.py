"""Whose credentials they are, and what is wrong where they are nobody's."""

from typing import Any

from auditor.aws.calls import Calls
from auditor.aws.errors import TRANSPORT_CODES, AnsweredFailure, failures
from auditor.errors import (
    NOT_AWS,
    AuditError,
    AwsFailure,
    ConfigurationFailure,
    FailureKind,
    NothingAuditedError,
    NotSignedInError,
)
from auditor.model.account import Account, parse_account_id
from auditor.ports import Caller

_NONE = "NoCredentialsError"


async def identity(sts: Any, calls: Calls, *, attempts: int | None = None) -> Caller:
    """Return who signs the calls of an STS client; raise AwsFailure."""
    operation = "sts:GetCallerIdentity"
    answer = await calls.call(operation, sts.get_caller_identity, attempts=attempts)
    with failures(operation):
        arn = str(answer["Arn"])
        return Caller(
            account_id=parse_account_id(answer["Account"]), arn=arn, partition=arn.split(":")[1]
        )


def check_account(account: Account, found: str, by: str) -> None:
    """Raise AwsFailure unless the credentials that were had are those of the account."""
    if found != account.id:
        raise AwsFailure(
            operation="sts:GetCallerIdentity",
            code="WrongAccount",
            message=f"{by} leads to account {found}",
            kind=FailureKind.OTHER,
        )


def no_caller(failure: AwsFailure) -> AuditError:
    """Return what is wrong with the caller's credentials or configuration, and what to do.

    Only where no answer came is the network to be checked.
    """
    why = f"{failure.code}: {failure.message}"
    match failure:
        case ConfigurationFailure(kind=FailureKind.CREDENTIALS) if failure.code != _NONE:
            return NotSignedInError(failure.message, hint=failure.hint, why=why)
        case ConfigurationFailure():
            return AuditError(failure.message, hint=failure.hint)
        case AwsFailure(kind=FailureKind.CREDENTIALS):
            return NotSignedInError(
                f"AWS does not accept the credentials: {why}",
                hint="renew them (aws sso login), or choose others with --profile; "
                "outside the commercial partition, give --region as well",
                why=why,
            )
        case AnsweredFailure():
            return _answered(failure)
    if failure.code in TRANSPORT_CODES:
        return NothingAuditedError(
            f"AWS can't be reached: {why}",
            hint="check the network, the proxy, --region and --endpoint-url"
            if failure.code != "SSLError"
            else "give the certificates of a proxy that opens TLS in AWS_CA_BUNDLE",
        )
    return NothingAuditedError(
        f"what answered {failure.operation} is not AWS, or is broken: {why}",
        hint="check the proxy, --region and --endpoint-url",
    )


def _answered(failure: AnsweredFailure) -> AuditError:
    """Return what an answer means that is no matter of who the caller is."""
    if failure.code == NOT_AWS:
        return NothingAuditedError(
            f"{failure.operation}: {failure.message}",
            hint="let the proxy or filter pass AWS's endpoints, or check --endpoint-url",
        )
    if failure.kind in {FailureKind.UNAVAILABLE, FailureKind.THROTTLED}:
        return NothingAuditedError(f"AWS can't answer now: {failure}", hint="try again later")
    if failure.code == "RegionDisabledException":
        hint = "activate the region for STS in the account, or choose another with --region"
    else:
        hint = "check the role that the profile assumes, or choose another with --profile"
    return AuditError(f"AWS refuses the credentials: {failure}", hint=hint)
