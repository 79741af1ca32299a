"""A believable organization, put straight into moto's backends."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from moto.iam.models import AccessKeyLastUsed, MFADevice
from moto.moto_api._internal import mock_random

from auditor.demo.blueprint import (
    ACCOUNTS,
    MANAGEMENT_ACCOUNT_NAME,
    MANAGEMENT_CROWD,
    OLD_ROOT_KEY_ACCOUNT,
    ROOT_KEY_ACCOUNT,
    STORIES,
    DemoAccount,
    DemoKey,
    DemoUser,
)
from auditor.demo.crowd import crowd
from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator, RootKey
from auditor.demo.policies import (
    READ_ROLE_POLICY,
    WRITE_ROLE_POLICY,
    allow,
    insert_policy,
    trust,
)
from auditor.model.account import AccountState

ROLE_NAME = "iamaudit-read"
WRITE_ROLE_NAME = "iamaudit-write"
_REGION = "us-east-1"
_GROUPS = {"administrators": "AdministratorAccess", "developers": "PowerUserAccess"}
_CALLER = DemoUser(
    name="iamaudit",
    age=timedelta(days=21),
    managed=("audit-caller",),
    keys=(
        DemoKey(age=timedelta(days=21), used=timedelta(days=1), service="sts", region="us-east-1"),
    ),
    tags={"Owner": "security", "Service": "iamaudit"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrganization:
    """What a caller needs to know of the organization to audit it."""

    management_account_id: str
    member_account_ids: tuple[str, ...]
    """All members, oldest first, with the suspended and the unreachable one."""
    suspended_account_id: str
    unreachable_account_id: str
    """Active, but nobody rolled the role out to it."""
    role_name: str
    """In every other member; the management account is read as the caller itself."""
    access_key_id: str
    """Of an IAM user of the management account."""
    secret_access_key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The credentials as environment variables that every AWS SDK reads."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": _REGION,
        }


def build(emulator: Emulator, *, now: datetime, seed: int = 7) -> DemoOrganization:
    """Fill an empty emulator, within its context; the same seed gives the same organization.

    Every date lies before `now`, an aware time. Seeds moto's source of ids, too, which is one
    per process.
    """
    mock_random.seed(seed)
    return _Builder(emulator, now, Random(seed)).build()  # noqa: S311 -- a demo's dice


class _Builder:
    def __init__(self, emulator: Emulator, now: datetime, rng: Random) -> None:
        self._emulator = emulator
        self._now = now.astimezone(UTC).replace(microsecond=0)
        self._rng = rng
        self._organization = emulator.backend("organizations", MANAGEMENT_ACCOUNT_ID)
        self._ous: dict[str, str] = {}

    def build(self) -> DemoOrganization:
        self._organization.create_organization(region=_REGION, FeatureSet="ALL")
        (management,) = self._organization.accounts
        management.name = MANAGEMENT_ACCOUNT_NAME
        management.create_time = self._ago(timedelta(days=2600))
        self._ous[""] = self._organization.org.root_id
        self._emulator.security_hubs.add((MANAGEMENT_ACCOUNT_ID, _REGION))
        self._add_users(MANAGEMENT_ACCOUNT_ID, MANAGEMENT_ACCOUNT_NAME, MANAGEMENT_CROWD)
        caller = self._add_user(self._emulator.backend("iam", MANAGEMENT_ACCOUNT_ID), _CALLER)
        members = {
            account.name: self._add_account(account, timedelta(days=2400 - 120 * number))
            for number, account in enumerate(ACCOUNTS)
        }
        self._add_root_keys(members)
        (key,) = caller.access_keys
        return DemoOrganization(
            management_account_id=MANAGEMENT_ACCOUNT_ID,
            member_account_ids=tuple(members.values()),
            suspended_account_id=next(
                members[account.name] for account in ACCOUNTS if account.state != "ACTIVE"
            ),
            unreachable_account_id=next(
                members[account.name] for account in ACCOUNTS if not account.has_role
            ),
            role_name=ROLE_NAME,
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
        )

    def _ago(self, ago: timedelta) -> datetime:
        """Return the time as moto keeps times: naive, in UTC."""
        return (self._now - ago).replace(tzinfo=None, microsecond=0)

    def _ou(self, path: str) -> str:
        """Return the id of the OU, creating it and those above it."""
        if path not in self._ous:
            above, _, name = path.rpartition("/")
            created = self._organization.create_organizational_unit(
                ParentId=self._ou(above), Name=name
            )
            self._ous[path] = created["OrganizationalUnit"]["Id"]
        return self._ous[path]

    def _add_account(self, account: DemoAccount, age: timedelta) -> str:
        mailbox = "".join(letter for letter in account.name.lower() if letter.isalnum())
        self._organization.create_account(
            AccountName=account.name, Email=f"aws+{mailbox}@harbour.example"
        )
        entry = self._organization.accounts[-1]
        entry.create_time = self._ago(age)
        entry.parent_id = self._ou(account.ou)
        account_id = str(entry.id)
        iam = self._emulator.backend("iam", account_id)
        if account.has_role:
            iam.create_role(ROLE_NAME, trust(MANAGEMENT_ACCOUNT_ID), "/", None, "", [], "3600")
            iam.put_role_policy(ROLE_NAME, "read", READ_ROLE_POLICY)
            iam.create_role(
                WRITE_ROLE_NAME, trust(MANAGEMENT_ACCOUNT_ID), "/", None, "", [], "3600"
            )
            iam.put_role_policy(WRITE_ROLE_NAME, "write", WRITE_ROLE_POLICY)
        if account.has_role:
            self._emulator.security_hubs.add((account_id, _REGION))
        for role in iam.get_roles():
            role.create_date = self._ago(age)
        self._add_users(account_id, account.name, account.crowd)
        if account.state is not AccountState.ACTIVE:
            self._emulator.set_account_state(account_id, account.state)
        return account_id

    def _add_users(self, account_id: str, account_name: str, count: int) -> None:
        iam = self._emulator.backend("iam", account_id)
        for name, policy in _GROUPS.items():
            group = iam.create_group(name)
            group.create_date = self._ago(timedelta(days=1600))
            iam.attach_group_policy(insert_policy(iam, policy), name)
        iam.put_group_policy("developers", "own-credentials", allow("iam:*LoginProfile"))
        stories = STORIES.get(account_name, ())
        told = {user.name for user in stories}
        others = [user for user in crowd(self._rng, count) if user.name not in told]
        for user in (*stories, *others):
            self._add_user(iam, user)

    def _add_user(self, iam: Any, plan: DemoUser) -> Any:
        tags = [{"Key": key, "Value": value} for key, value in plan.tags.items()]
        user = iam.create_user(_REGION, plan.name, plan.path, tags)
        user.id = f"AIDA{user.id[:17].upper()}"
        user.create_date = self._ago(plan.age)
        if plan.password:
            iam.create_login_profile(plan.name, "not a real password")
        if plan.password_used is not None:
            user.password_last_used = self._ago(plan.password_used)
        if plan.mfa:
            serial = f"arn:aws:iam::{iam.account_id}:mfa/{plan.name}"
            user.mfa_devices[serial] = MFADevice(serial, "", "")
            user.mfa_devices[serial].enable_date = self._ago(plan.age)
        for group in plan.groups:
            iam.add_user_to_group(group, plan.name)
        for policy in plan.managed:
            iam.attach_user_policy(insert_policy(iam, policy), plan.name)
        for name, document in plan.inline.items():
            iam.put_user_policy(plan.name, name, document)
        for key in plan.keys:
            self._add_key(iam, plan.name, key)
        return user

    def _add_key(self, iam: Any, user_name: str, plan: DemoKey) -> None:
        key = iam.create_access_key(user_name, status="Active" if plan.active else "Inactive")
        key.create_date = self._ago(plan.age)
        if plan.used is not None:
            key.last_used = AccessKeyLastUsed(self._ago(plan.used), plan.service, plan.region)

    def _add_root_keys(self, members: dict[str, str]) -> None:
        self._emulator.root_keys[members[ROOT_KEY_ACCOUNT]] = [
            RootKey(
                active=True,
                created_at=self._now - timedelta(days=1377),
                last_used_at=self._now - timedelta(days=220, hours=7),
                service="s3",
            )
        ]
        self._emulator.root_keys[members[OLD_ROOT_KEY_ACCOUNT]] = [
            RootKey(active=False, created_at=self._now - timedelta(days=2011))
        ]
