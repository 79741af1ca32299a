"""STS: who calls, and a session in any account of the organization."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from bench.fake_aws.answers import RefusedError
from bench.fake_aws.world import FIRST_ACCOUNT, MANAGEMENT, World, account_id, session_key_id

Form = Mapping[str, str]


def get_caller_identity(_world: World, account: int, _form: Form) -> str:
    """Answer GetCallerIdentity."""
    owner = account_id(account)
    name = "user/auditor" if account == MANAGEMENT else "assumed-role/iamaudit-read/bench"
    service = "iam" if account == MANAGEMENT else "sts"
    return (
        f"<Arn>arn:aws:{service}::{owner}:{name}</Arn><UserId>AIDAFAKEAUDITOR</UserId>"
        f"<Account>{owner}</Account>"
    )


def assume_role(world: World, _account: int, form: Form) -> str:
    """Answer AssumeRole: any role of any account may be assumed, for an hour."""
    arn, name = form.get("RoleArn", ""), form.get("RoleSessionName", "")
    owner = arn.split(":")[4] if arn.count(":") == 5 else ""  # noqa: PLR2004 -- an ARN's parts
    number = int(owner) - FIRST_ACCOUNT if owner.isdecimal() else -1
    if not 0 <= number < world.accounts:
        raise RefusedError(
            403, "AccessDenied", f"not authorized to perform: sts:AssumeRole on {arn}"
        )
    expires = datetime.now(UTC) + timedelta(seconds=int(form.get("DurationSeconds", "3600")))
    return (
        f"<Credentials><AccessKeyId>{session_key_id(number)}</AccessKeyId>"
        "<SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey>"
        f"<SessionToken>{'FwoGZXIvYXdzEFAKE' * 20}</SessionToken>"
        f"<Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
        f"<AssumedRoleUser><AssumedRoleId>AROAFAKE:{name}</AssumedRoleId>"
        f"<Arn>arn:aws:sts::{owner}:assumed-role/{arn.rsplit('/', 1)[-1]}/{name}</Arn>"
        "</AssumedRoleUser><PackedPolicySize>6</PackedPolicySize>"
    )


OPERATIONS: Mapping[str, Callable[[World, int, Form], str]] = {
    "GetCallerIdentity": get_caller_identity,
    "AssumeRole": assume_role,
}
