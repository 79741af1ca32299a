"""An account that can be changed, a sink and sessions: whole ports over plain data."""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio.lowlevel

from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse
from auditor.model.account import Account, Via
from auditor.model.unknown import Unknown
from auditor.ports import CreatedKey, Grant, OpenForWriting, Owner
from tests.builders import ACCOUNT_ID, NOW, a_key
from tests.fakes import denied, gone

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def failing(code: str, kind: FailureKind, operation: str = "iam:X") -> AwsFailure:
    return AwsFailure(operation=operation, code=code, message="said AWS", kind=kind)


THROTTLED = failing("Throttling", FailureKind.THROTTLED)
TIMEOUT = failing("ReadTimeoutError", FailureKind.UNAVAILABLE)
NOT_ASKED = Unknown(operation="iam:GetAccessKeyLastUsed", code="NotAsked")
"""What a listing says of the last use."""


@dataclass
class FakeWriter:
    """One account (port IamWriter)."""

    keys: dict[str, list[AccessKey]] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    arns: dict[str, str] = field(default_factory=dict)
    """Of users that are not at the top of `ACCOUNT_ID`."""
    quarantined_users: set[str] = field(default_factory=set)
    before: dict[str, deque[AwsFailure]] = field(default_factory=dict)
    """Failures by operation, raised before anything is done."""
    after: dict[str, deque[AwsFailure]] = field(default_factory=dict)
    """Failures by operation, raised when it is done."""
    lag: int = 0
    """How many listings still show the state before a change."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    _stale: deque[dict[str, list[AccessKey]]] = field(default_factory=deque)

    def _enter(self, operation: str, subject: str) -> None:
        self.calls.append((operation, subject))
        if self.before.get(operation):
            raise self.before[operation].popleft()

    def _leave(self, operation: str) -> None:
        if self.after.get(operation):
            raise self.after[operation].popleft()

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def _change(self) -> None:
        shown = {user: list(keys) for user, keys in self.keys.items()}
        self._stale = deque([shown] * self.lag)

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        self._enter("iam:ListAccessKeys", user_name)
        await anyio.lowlevel.checkpoint()
        seen = self._stale.popleft() if self._stale else self.keys
        if user_name not in seen:
            raise gone("iam:ListAccessKeys")
        return [replace(key, last_use=NOT_ASKED) for key in seen[user_name]]

    async def last_use(self, key_id: AccessKeyId) -> LastUse:
        self._enter("iam:GetAccessKeyLastUsed", key_id)
        for keys in self.keys.values():
            for key in keys:
                if key.id == key_id:
                    return key.last_use
        raise denied("iam:GetAccessKeyLastUsed")

    async def user_arn(self, user_name: str) -> str:
        self._enter("iam:GetUser", user_name)
        return self.arns.get(user_name, f"arn:aws:iam::{ACCOUNT_ID}:user/{user_name}")

    async def user_tags(self, user_name: str) -> Mapping[str, str]:
        self._enter("iam:ListUserTags", user_name)
        return self.tags.get(user_name, {})

    async def quarantined(self, user_name: str) -> bool:
        self._enter("iam:ListAttachedUserPolicies", user_name)
        return user_name in self.quarantined_users

    async def set_status(self, user_name: str, key_id: AccessKeyId, status: KeyStatus) -> str:
        self._enter("iam:UpdateAccessKey", key_id)
        self._change()
        keys = self.keys[user_name]
        if key_id not in [key.id for key in keys]:
            raise gone("iam:UpdateAccessKey")
        self.keys[user_name] = [
            replace(key, status=status) if key.id == key_id else key for key in keys
        ]
        self._leave("iam:UpdateAccessKey")
        return "request-1"

    async def delete_key(self, user_name: str, key_id: AccessKeyId) -> str:
        self._enter("iam:DeleteAccessKey", key_id)
        self._change()
        if key_id not in [key.id for key in self.keys.get(user_name, ())]:
            raise gone("iam:DeleteAccessKey")
        self.keys[user_name] = [key for key in self.keys[user_name] if key.id != key_id]
        self._leave("iam:DeleteAccessKey")
        return "request-2"

    async def create_key(self, user_name: str) -> CreatedKey:
        self._enter("iam:CreateAccessKey", user_name)
        self._change()
        key = AccessKeyId(f"AKIANEW{self.count('iam:CreateAccessKey')}")
        self.keys[user_name].append(replace(a_key(key, days_old=0), created_at=NOW))
        self._leave("iam:CreateAccessKey")
        return CreatedKey(id=key, created_at=NOW, secret=SECRET, request_id="request-3")


@dataclass
class FakeWriteSessions:
    """Accounts by id (port WriteSessions)."""

    accounts: dict[str, FakeWriter]
    most_users: int = 1000
    """More in one grant are too large for a session policy."""
    grants: list[Grant] = field(default_factory=list)

    @asynccontextmanager
    async def open_for(self, account: Account, grant: Grant) -> AsyncIterator[OpenForWriting]:
        await anyio.lowlevel.checkpoint()
        if account.id not in self.accounts:
            raise denied("sts:AssumeRole")
        if len({arn for arns in grant.actions.values() for arn in arns}) > self.most_users:
            raise failing("PackedPolicyTooLarge", FailureKind.OTHER, "sts:AssumeRole")
        self.grants.append(grant)
        yield OpenForWriting(writer=self.accounts[account.id], via=Via.ROLE, role_arn=None)


@dataclass
class FakeSink:
    """A sink (port SecretSink)."""

    kept: dict[str, str] = field(default_factory=dict)
    failure: Exception | None = None

    unfit: Exception | None = None
    """What is wrong with the place, before anything is put there."""

    async def check(self, owner: Owner) -> None:
        if self.unfit is not None:
            raise self.unfit

    async def put(self, owner: Owner, key: CreatedKey) -> str:
        if self.failure is not None:
            raise self.failure
        self.kept[key.id] = key.secret
        return f"sink/{owner.account.id}/{owner.user_name}"

    async def find(self, owner: Owner, key_id: AccessKeyId) -> str | None:
        if self.failure is not None:
            raise self.failure
        return f"sink/{owner.account.id}/{owner.user_name}" if key_id in self.kept else None
