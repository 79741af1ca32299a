from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator
from auditor.demo.organization import DemoOrganization, build
from auditor.demo.policies import allow, trust
from auditor.model.access_key import AccessKeyId
from auditor.model.account import Account
from auditor.ports import Grant
from tests.builders import an_account

CHANGES = ("iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:UpdateAccessKey")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield emulator


@pytest.fixture
def organization(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> DemoOrganization:
    """The demo's organization, and the environment of a principal of its management account."""
    organization = build(emulator, now=datetime.now(UTC))
    for name, value in organization.environment.items():
        monkeypatch.setenv(name, value)
    return organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """The caller's account and one other, each with a user in a path who has one key."""

    iam: Any
    """moto's backend of the other account."""
    account: Account
    own: Account
    caller_key_id: str
    user_name: str
    user_arn: str
    key_id: AccessKeyId

    def grant(self, *actions: str, account: Account | None = None) -> Grant:
        """Return a grant of the actions, none meaning all changes, on the user of an account."""
        arn = self.user_arn.replace(self.account.id, (account or self.account).id)
        return Grant(actions=dict.fromkeys(actions or CHANGES, (arn,)))


@pytest.fixture
def estate(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Estate:
    account = an_account("222222222222")
    own, iam = (emulator.backend("iam", id_) for id_ in (MANAGEMENT_ACCOUNT_ID, account.id))
    own.create_user("us-east-1", "operator")
    caller = own.create_access_key("operator")
    role_path = "/ops/"
    role = iam.create_role(
        "iamaudit-write", trust(MANAGEMENT_ACCOUNT_ID), role_path, None, "", [], "3600"
    )
    role.put_policy("all", allow("*"))
    for backend in (own, iam):
        user = backend.create_user("us-east-1", "amy", "/team/", [{"Key": "Owner", "Value": "it"}])
        key = backend.create_access_key("amy")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", caller.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", caller.secret_access_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return Estate(
        iam=iam,
        account=account,
        own=an_account(MANAGEMENT_ACCOUNT_ID),
        caller_key_id=caller.access_key_id,
        user_name="amy",
        user_arn=user.arn,
        key_id=AccessKeyId(key.access_key_id),
    )
