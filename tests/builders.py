"""Values with defaults; each test names only what it is about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import Account, AccountId, OutcomeKind, Via
from auditor.model.identity import ROOT_USER_NAME, IamUser, Identity
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.run import PolicySource, PolicyStamp, RuleStamp, Run
from auditor.model.unknown import Unknown
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.loader import load
from auditor.wiring.policies import read_pack

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACCOUNT_ID = AccountId("111111111111")
KEY_ID = AccessKeyId("AKIAIOSFODNN7EXAMPLE")
DENIED = Unknown(operation="iam:GetAccessKeyLastUsed", code="AccessDenied")


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def used(*, days: float = 1, service: str = "s3", region: str = "eu-west-1") -> Used:
    return Used(at=ago(days=days), service=service, region=region)


def an_account(id_: str = ACCOUNT_ID, **values: Any) -> Account:
    return Account(id=AccountId(id_), **values)


def a_key(
    id_: str = KEY_ID,
    *,
    active: bool = True,
    days_old: float = 10,
    last_use: LastUse | None = None,
) -> AccessKey:
    return AccessKey(
        id=AccessKeyId(id_),
        status=KeyStatus.ACTIVE if active else KeyStatus.INACTIVE,
        created_at=ago(days=days_old),
        last_use=NeverUsed() if last_use is None else last_use,
    )


def a_user(name: str = "alice", *, days_old: float = 400) -> IamUser:
    return IamUser(
        name=name,
        arn=f"arn:aws:iam::{ACCOUNT_ID}:user/{name}",
        path="/",
        created_at=ago(days=days_old),
    )


def an_identity(name: str = "alice", **values: Any) -> Identity:
    defaults: dict[str, Any] = {
        "arn": f"arn:aws:iam::{ACCOUNT_ID}:user/{name}",
        "path": "/",
        "created_at": ago(days=400),
        "root": name == ROOT_USER_NAME,
        "password_enabled": False,
        "mfa": False,
        "tags": {},
        "groups": (),
        "policies": (),
        "admin": False,
        "quarantined": False,
    }
    return Identity(name=name, **(defaults | values))


def a_user_with(*keys: AccessKey, name: str = "alice", **values: Any) -> UserInventory:
    return UserInventory(identity=an_identity(name, **values), keys=keys)


def an_inventory(
    *users: UserInventory, account: Account | None = None, **values: Any
) -> AccountInventory:
    defaults: dict[str, Any] = {"outcome": OutcomeKind.AUDITED, "via": Via.ROLE}
    return AccountInventory(account=account or an_account(), users=users, **(defaults | values))


def a_run(
    id_: str = "run-1",
    *,
    api_calls: Mapping[str, int] | None = None,
    policies: Sequence[PolicyStamp] = (),
    sources: Sequence[PolicySource] = (),
    rules: Sequence[RuleStamp] = (),
    **values: Any,
) -> Run:
    defaults: dict[str, Any] = {
        "started_at": NOW,
        "finished_at": NOW + timedelta(seconds=1),
        "now": NOW,
        "source": "live",
        "partition": "aws",
        "caller_arn": "arn:aws:iam::999999999999:user/auditor",
        "throttled": 0,
    }
    return Run(
        id=id_,
        api_calls=api_calls or {},
        policies=tuple(policies),
        sources=tuple(sources),
        rules=tuple(rules),
        **(defaults | values),
    )


def a_policy(*rules: str, head: str = "") -> str:
    """A policy file of rules given as indented YAML items, with default parameters."""
    body = "\n".join(rules) or a_rule()
    return (
        "apiVersion: iamaudit/v1\nid: house\ntitle: House rules\n"
        f"params: {{max_age: 90d}}\n{head}\nrules:\n{body}\n"
    )


def compiled(text: str, *, source: str = "house.yaml") -> CompiledPolicy:
    return load(text, source=source, read_pack=read_pack)


def a_rule(id_: str = "old", when: str = "key.age > params.max_age", **more: str) -> str:
    lines = [f"  - id: {id_}", "    title: Too old", "    severity: medium", f"    when: '{when}'"]
    return "\n".join([*lines, *(f"    {name}: {value}" for name, value in more.items())])
