from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator
from auditor.model.account import AccountState

ROLE = "OrganizationAccountAccessRole"


@pytest.fixture
def sts(connect: Any) -> Any:
    return connect("sts")


def test_an_assumed_role_reads_its_own_account(
    emulator: Emulator, connect: Any, sts: Any, member: str
) -> None:
    emulator.backend("iam", member).create_user("us-east-1", "alice")
    given = sts.assume_role(RoleArn=_arn(member), RoleSessionName="audit")["Credentials"]
    key = SimpleNamespace(
        access_key_id=given["AccessKeyId"], secret_access_key=given["SecretAccessKey"]
    )

    session = connect("iam", key, given["SessionToken"])
    assert [user["UserName"] for user in session.list_users()["Users"]] == ["alice"]
    assert emulator.requests[-1].account_id == member


def test_a_refusal_names_the_caller_and_the_role(sts: Any, organization: Any) -> None:
    message = (
        f"User: arn:aws:sts::{MANAGEMENT_ACCOUNT_ID}:user/moto is not authorized"
        f" to perform: sts:AssumeRole on resource: {_arn('210987654321')}"
    )

    with pytest.raises(ClientError) as refused:
        sts.assume_role(RoleArn=_arn("210987654321"), RoleSessionName="audit")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert refused.value.response["Error"]["Message"] == message
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_role_of_an_account_outside_the_organization_is_denied(
    emulator: Emulator, sts: Any, organization: Any
) -> None:
    stranger = "210987654321"
    emulator.backend("iam", stranger).create_role(ROLE, "{}", "/", None, "", [], "3600")

    assert _code(sts, _arn(stranger)) == "AccessDenied"


def test_a_role_that_does_not_exist_is_denied(sts: Any, member: str) -> None:
    assert _code(sts, f"arn:aws:iam::{member}:role/missing") == "AccessDenied"


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.PENDING_CLOSURE])
def test_a_role_of_an_account_that_is_not_active_is_denied(
    emulator: Emulator, sts: Any, member: str, state: AccountState
) -> None:
    emulator.set_account_state(member, state)

    assert _code(sts, _arn(member)) == "AccessDenied"


def test_every_role_of_a_denied_account_is_denied(
    emulator: Emulator, sts: Any, member: str
) -> None:
    emulator.denied_roles.add(member)

    assert _code(sts, _arn(member)) == "AccessDenied"


def test_one_denied_role_leaves_the_others_alone(emulator: Emulator, sts: Any, member: str) -> None:
    emulator.backend("iam", member).create_role("other", "{}", "/", None, "", [], "3600")
    emulator.denied_roles.add(_arn(member))

    other = sts.assume_role(RoleArn=f"arn:aws:iam::{member}:role/other", RoleSessionName="audit")
    assert _code(sts, _arn(member)) == "AccessDenied"
    assert other["AssumedRoleUser"]["Arn"].endswith("assumed-role/other/audit")


def test_what_is_no_role_arn_is_invalid(sts: Any) -> None:
    assert _code(sts, "arn:aws:iam::1234:role/short") == "ValidationError"


def test_without_an_organization_the_role_alone_decides(sts: Any, users: Any) -> None:
    users.create_role("own", "{}", "/", None, "", [], "3600")

    arn = f"arn:aws:iam::{MANAGEMENT_ACCOUNT_ID}:role/own"
    assert sts.assume_role(RoleArn=arn, RoleSessionName="audit")["Credentials"]


def _arn(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:role/{ROLE}"


def _code(sts: Any, role_arn: str) -> str:
    with pytest.raises(ClientError) as refused:
        sts.assume_role(RoleArn=role_arn, RoleSessionName="audit")
    return str(refused.value.response["Error"]["Code"])
