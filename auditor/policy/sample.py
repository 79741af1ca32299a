"""Synthetic users and keys, to try a policy on before anything is asked of AWS.

An ordinary user is one that every account may have: no password, no tags, no groups, no rights. A
condition that fails for such a user stops any scan. The others show what may go wrong besides.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import Account, AccountId
from auditor.model.identity import ROOT_USER_NAME, Identity
from auditor.model.inventory import UserInventory
from auditor.model.unknown import NOT_IN_ANSWER, Unknown
from auditor.policy.facts import Facts, facts_of_keys

_ACCOUNT = Account(id=AccountId("111122223333"), name="sample", ou="Root", tags={})
_PARTITION = "aws"
_UNKNOWN = Unknown(operation="iam:GetCredentialReport", code=NOT_IN_ANSWER)
# In days: beyond what any policy allows, so that its rules are violated.
_OLD, _UNUSED = 7300, 3650
_KEY_IDS = ("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleKey:
    """The facts of one synthetic key."""

    facts: Facts
    ordinary: bool
    """Whether every account may have such a key."""


def sample_keys(tags: Iterable[str], now: datetime) -> Iterator[SampleKey]:
    """Yield the keys of ordinary users first, then of others; `tags` are those that are named."""
    for user, ordinary in [
        *((user, True) for user in _ordinary(now)),
        *((user, False) for user in _others(list(tags), now)),
    ]:
        for _, facts in facts_of_keys(_ACCOUNT, _PARTITION, user, now):
            yield SampleKey(facts=facts, ordinary=ordinary)


def _ordinary(now: datetime) -> Iterator[UserInventory]:
    active, inactive = KeyStatus.ACTIVE, KeyStatus.INACTIVE
    used, never = _used(now), NeverUsed()
    for age in (_OLD, 1):
        for statuses in ((active, inactive), (active, active)):
            for use in (used, never) if age > 1 else (never,):
                keys = (
                    _key(place, status, _before(now, age), use)
                    for place, status in enumerate(statuses)
                )
                yield UserInventory(identity=_user(now), keys=tuple(keys))


def _others(tags: list[str], now: datetime) -> Iterator[UserInventory]:
    made, active = _before(now, _OLD), KeyStatus.ACTIVE
    keys = [_key(0, active, made, each) for each in (_used(now), NeverUsed())]
    lost = (_key(0, active, made, _UNKNOWN),)
    policies = ("arn:aws:iam::aws:policy/AdministratorAccess",)
    people = [
        _user(now, password=True),
        _user(now, password=True, groups=("admins",), policies=policies, admin=True),
        _user(now, quarantined=True),
        *(_user(now, tags=dict.fromkeys(tags, value)) for value in ("", "1", "sample") if tags),
        _root(now),
    ]
    for identity in people:
        for key in keys:
            yield UserInventory(identity=identity, keys=(key,))
    yield UserInventory(identity=_unknown_user(now), keys=lost)


def _user(
    now: datetime,
    *,
    password: bool = False,
    tags: dict[str, str] | None = None,
    groups: tuple[str, ...] = (),
    policies: tuple[str, ...] = (),
    admin: bool = False,
    quarantined: bool = False,
) -> Identity:
    return Identity(
        name="sample",
        arn=f"arn:{_PARTITION}:iam::{_ACCOUNT.id}:user/sample",
        path="/",
        created_at=_before(now, _OLD),
        root=False,
        password_enabled=password,
        mfa=False,
        tags=tags or {},
        groups=groups,
        policies=policies,
        admin=admin,
        quarantined=quarantined,
    )


def _unknown_user(now: datetime) -> Identity:
    return replace(
        _user(now),
        password_enabled=_UNKNOWN,
        mfa=_UNKNOWN,
        tags=_UNKNOWN,
        groups=_UNKNOWN,
        policies=_UNKNOWN,
        admin=_UNKNOWN,
        quarantined=_UNKNOWN,
    )


def _root(now: datetime) -> Identity:
    return replace(
        _user(now, admin=True),
        name=ROOT_USER_NAME,
        arn=f"arn:{_PARTITION}:iam::{_ACCOUNT.id}:root",
        root=True,
        password_enabled=_UNKNOWN,
        mfa=True,
    )


def _used(now: datetime) -> Used:
    return Used(at=_before(now, _UNUSED), service="s3", region="us-east-1")


def _key(place: int, status: KeyStatus, created_at: datetime, use: LastUse) -> AccessKey:
    return AccessKey(
        id=AccessKeyId(_KEY_IDS[place]), status=status, created_at=created_at, last_use=use
    )


def _before(now: datetime, days: int) -> datetime:
    """Return the time so many days ago; the earliest one where there is no such time."""
    try:
        return now - timedelta(days=days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
