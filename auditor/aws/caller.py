"""Whose credentials they are, and what is wrong where they are nobody's."""

from typing import Any

from auditor.aws.calls import Calls
from auditor.aws.errors import failures
from auditor.errors import (
    AuditError,
    AwsFailure,
    FailureKind,
    NothingAuditedError,
    NotSignedInError,
)
from auditor.model.account import Account, parse_account_id
from auditor.ports import Caller


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
    """Say what is wrong with the caller's credentials, and the mend."""
    if failure.code == "NoCredentialsError":
        return AuditError(
            "no AWS credentials were found",
            hint="sign in (aws sso login), set AWS_PROFILE, or give --profile",
        )
    if failure.code == "ProfileNotFound":
        return AuditError(failure.message, hint="aws configure list-profiles shows those there are")
    if failure.code == "InvalidEndpoint":
        return AuditError(failure.message, hint="mend --endpoint-url, or AWS_ENDPOINT_URL")
    if failure.kind is FailureKind.DENIED:
        return AuditError(
            f"AWS refuses the credentials: {failure}",
            hint="check the role that the profile assumes, or choose another with --profile",
        )
    if failure.kind is FailureKind.CREDENTIALS:
        why = f"{failure.code}: {failure.message}"
        return NotSignedInError(
            f"AWS does not accept the credentials: {why}",
            hint="renew them (aws sso login), or choose others with --profile; "
            "outside the commercial partition, give --region as well",
            why=why,
        )
    return NothingAuditedError(
        f"AWS can't be reached: {failure.code}: {failure.message}",
        hint="check the network, the proxy, --region and --endpoint-url",
    )
