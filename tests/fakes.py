"""Fakes that behave: whole ports over plain data."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import anyio
import anyio.lowlevel

from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId, LastUse
from auditor.model.account import Account, AccountId, Via
from auditor.model.identity import IamUser
from auditor.model.unknown import NOT_ASKED, Known, Unknown
from auditor.ports import CredentialReport, OpenAccount, ReportRow, UserDetails
from tests.builders import NOW


def denied(operation: str) -> AwsFailure:
    return AwsFailure(
        operation=operation, code="AccessDenied", message="not allowed", kind=FailureKind.DENIED
    )


def gone(operation: str) -> AwsFailure:
    return AwsFailure(
        operation=operation, code="NoSuchEntity", message="not there", kind=FailureKind.GONE
    )


def unavailable(operation: str) -> AwsFailure:
    return AwsFailure(
        operation=operation,
        code="ReadTimeoutError",
        message="no answer",
        kind=FailureKind.UNAVAILABLE,
    )


@dataclass
class FakeClock:
    at: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


def a_row(user: IamUser, *, password: bool = False, mfa: bool = False) -> ReportRow:
    return ReportRow(
        arn=user.arn, created_at=user.created_at, password_enabled=password, mfa=mfa, keys=()
    )


def a_report(*rows: ReportRow, root_keys: Known[tuple[AccessKey, ...]] = ()) -> CredentialReport:
    root = ReportRow(
        arn="arn:aws:iam::111111111111:root",
        created_at=NOW,
        password_enabled=True,
        mfa=True,
        keys=root_keys,
    )
    return CredentialReport(generated_at=NOW, root=root, users={row.arn: row for row in rows})


NOT_LOOKED_AT = Unknown(operation="iam:GetCredentialReport", code=NOT_ASKED)


def _slots(keys: Sequence[AccessKey]) -> tuple[AccessKey, ...]:
    """The keys as the report has them: no ids, by slot."""
    return tuple(replace(key, id=None, slot=slot) for slot, key in enumerate(keys, start=1))


def details(*, quarantined: bool = False, admin: bool = False) -> UserDetails:
    return UserDetails(tags={}, groups=(), policies=(), admin=admin, quarantined=quarantined)


@dataclass
class FakeIam:
    """One account (port IamReader); `fail` may raise an AwsFailure for a call."""

    keys: dict[str, list[AccessKey]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """UserIds of users that are not called what they were."""
    newer: set[str] = field(default_factory=set)
    """Users that the credential report does not have yet."""
    reported: dict[str, Known[tuple[AccessKey, ...]]] = field(default_factory=dict)
    """What the credential report has of a user's keys, where that is not what is there."""
    root_keys: Known[tuple[AccessKey, ...]] = ()
    page_size: int = 1000
    partition: str = "aws"
    root_keys_now: bool | None = None
    """What the account summary says of the root user's keys, where it is newer than the report."""
    polls: int = 1
    """How often the report is asked for until it is complete."""
    fail: Callable[[str, str], None] = lambda operation, subject: None
    calls: list[tuple[str, str]] = field(default_factory=list)

    def _call(self, operation: str, subject: str = "") -> None:
        self.calls.append((operation, subject))
        self.fail(operation, subject)

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def _user(self, name: str) -> IamUser:
        return IamUser(
            name=name,
            arn=f"arn:aws:iam::1:user/{name}",
            path="/",
            created_at=NOW,
            id=self.ids.get(name, name),
        )

    async def users(self) -> AsyncIterator[Sequence[IamUser]]:
        names = list(self.keys)
        for start in range(0, max(1, len(names)), self.page_size):
            self._call("iam:ListUsers", str(start))
            await anyio.lowlevel.checkpoint()
            yield [self._user(name) for name in names[start : start + self.page_size]]

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        self._call("iam:ListAccessKeys", user_name)
        await anyio.lowlevel.checkpoint()
        if user_name not in self.keys:
            raise gone("iam:ListAccessKeys")
        return list(self.keys[user_name])

    async def last_use(self, key_id: AccessKeyId, *, user_name: str | None = None) -> LastUse:
        self._call("iam:GetAccessKeyLastUsed", key_id)
        await anyio.lowlevel.checkpoint()
        for keys in self.keys.values():
            for key in keys:
                if key.id == key_id:
                    return key.last_use
        raise denied("iam:GetAccessKeyLastUsed")  # what IAM answers for a key it does not know

    async def generate_credential_report(self) -> bool:
        self._call("iam:GenerateCredentialReport")
        self.polls -= 1
        return self.polls < 1

    async def credential_report(self, *, slots: bool) -> CredentialReport:
        self._call("iam:GetCredentialReport")
        known = [self._user(name) for name in self.keys if name not in self.newer]
        rows = (
            replace(a_row(user), keys=self._reported(user.name) if slots else NOT_LOOKED_AT)
            for user in known
        )
        return a_report(*rows, root_keys=self.root_keys)

    def _reported(self, name: str) -> Known[tuple[AccessKey, ...]]:
        return self.reported.get(name, _slots(self.keys[name]))

    async def user_details(self) -> Mapping[str, Known[UserDetails]]:
        self._call("iam:GetAccountAuthorizationDetails")
        return {name: details() for name in self.keys}

    async def has_password(self, user_name: str) -> bool:
        self._call("iam:GetLoginProfile", user_name)
        return user_name.startswith("human")

    async def root_keys_present(self) -> bool:
        self._call("iam:GetAccountSummary")
        return bool(self.root_keys) if self.root_keys_now is None else self.root_keys_now

    async def user_count(self) -> int:
        self._call("iam:GetAccountSummary")
        return len(self.keys)

    async def quarantined_users(self) -> frozenset[str]:
        self._call("iam:ListEntitiesForPolicy")
        return frozenset(name for name in self.keys if name.startswith("leaked"))


@dataclass
class FakeSessions:
    """Accounts by id (port Sessions); one that is missing can't be entered."""

    accounts: dict[str, FakeIam]
    open_now: int = 0
    most_open: int = 0

    refused: AwsFailure | None = None
    """What AWS has against the caller's own credentials."""

    async def signed_out(self) -> AwsFailure | None:
        await anyio.lowlevel.checkpoint()
        return self.refused

    @asynccontextmanager
    async def open(self, account: Account) -> AsyncIterator[OpenAccount]:
        await anyio.lowlevel.checkpoint()
        if account.id not in self.accounts:
            raise denied("sts:AssumeRole")
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            arn = f"arn:aws:iam::{account.id}:role/iamaudit-read"
            yield OpenAccount(reader=self.accounts[account.id], via=Via.ROLE, role_arn=arn)
        finally:
            self.open_now -= 1


@dataclass
class FakeOrganization:
    """A tree of accounts (port Organizations)."""

    below: dict[str | None, list[Account]]
    tagged: dict[str, Mapping[str, str]] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    failure: AwsFailure | None = None

    async def accounts(self, parent_id: str | None) -> AsyncIterator[Account]:
        self.asked.append(parent_id)
        if self.failure is not None:
            raise self.failure
        for account in self.below[parent_id]:
            yield account

    async def tags(self, account_id: AccountId) -> Mapping[str, str]:
        self.asked.append(account_id)
        if account_id not in self.tagged:
            raise denied("organizations:ListTagsForResource")
        return self.tagged[account_id]
