"""Binding the facts of one key, as far as they are known.

What is unknown is not bound: CEL then decides by itself whether that matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from auditor.model.access_key import AccessKey, NeverUsed, Used
from auditor.model.account import Account
from auditor.model.identity import Identity
from auditor.model.inventory import UserInventory
from auditor.model.unknown import NOT_IN_ANSWER, Unknown
from auditor.policy.catalogue import FACTS

Values: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a rule may look at, for one key."""

    account: Account
    partition: str
    identity: Identity
    key: AccessKey
    active_keys: int
    newest: bool
    """Of the user's active keys the one created last; of two at once the greater id."""


def cases(account: Account, partition: str, user: UserInventory) -> Iterator[Case]:
    """Yield one case per key of the user, in the inventory's order."""
    active = [key for key in user.keys if key.active]
    newest = max(active, key=_seniority, default=None)
    for key in user.keys:
        yield Case(
            account=account,
            partition=partition,
            identity=user.identity,
            key=key,
            active_keys=len(active),
            newest=key is newest,
        )


def age(key: AccessKey, now: datetime) -> timedelta | None:
    """Return the time since creation, never negative; None where creation is unknown."""
    return None if key.created_at is None else max(now - key.created_at, timedelta())


def idle(key: AccessKey, now: datetime) -> timedelta | None:
    """Return the time since last use, or since creation if never used; None if unknown."""
    if isinstance(key.last_use, Used):
        return max(now - key.last_use.at, timedelta())
    return age(key, now) if isinstance(key.last_use, NeverUsed) else None


def shared_values(account: Account, partition: str, identity: Identity, now: datetime) -> Values:
    """Return the known facts that all keys of a user have in common."""
    values: Values = {
        "user.name": identity.name,
        "user.arn": identity.arn,
        "user.path": identity.path,
        "user.created": identity.created_at,
        "user.root": identity.root,
        "user.tags": identity.tags,
        "user.password_enabled": identity.password_enabled,
        "user.mfa": identity.mfa,
        "user.groups": identity.groups,
        "user.policies": identity.policies,
        "user.admin": identity.admin,
        "user.quarantined": identity.quarantined,
        "account.id": account.id,
        "account.name": account.name,
        "account.ou": account.ou,
        "account.tags": account.tags,
        "account.partition": partition,
        "now": now,
    }
    return _known(values)


def key_values(case: Case, now: datetime) -> Values:
    """Return the known facts about one key."""
    key, use = case.key, case.key.last_use
    values: Values = {
        "key.id": key.id,
        "key.active": key.active,
        "key.status": key.status.value,
        "key.created": key.created_at,
        "key.age": age(key, now),
        "key.idle": idle(key, now),
        "key.newest": case.newest,
        "user.active_keys": case.active_keys,
    }
    match use:
        case Used():
            values["key.last_used.state"] = "used"
            values["key.last_used.at"] = use.at
            values["key.last_used.service"] = use.service
            values["key.last_used.region"] = use.region
        case NeverUsed():
            values["key.last_used.state"] = "never"
            values["key.last_used.service"] = ""
            values["key.last_used.region"] = ""
        case Unknown():
            pass
    return _known(values)


def why_unknown(fact: str, case: Case) -> Unknown | None:
    """Return why a fact could not be bound; None where it has no value by its nature."""
    identity, use = case.identity, case.key.last_use
    if fact.startswith("key.last_used.") or fact == "key.idle":
        if isinstance(use, Unknown):
            return use
        return None if fact == "key.last_used.at" else _origin(fact)
    if fact == "account.ou":
        return case.account.ou_unknown or _origin(fact)
    if fact == "account.tags":
        return case.account.tags_unknown or _origin(fact)
    known = getattr(identity, fact.removeprefix("user."), None) if fact in _ENRICHED else None
    return known if isinstance(known, Unknown) else _origin(fact)


_ENRICHED = frozenset(
    f"user.{name}"
    for name in ("tags", "password_enabled", "mfa", "groups", "policies", "admin", "quarantined")
)


def _origin(fact: str) -> Unknown:
    return Unknown(operation=FACTS[fact].source, code=NOT_IN_ANSWER)


def _known(values: Values) -> Values:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None and not isinstance(value, Unknown)
    }


def _seniority(key: AccessKey) -> tuple[float, str]:
    created = float("-inf") if key.created_at is None else key.created_at.timestamp()
    return (created, key.id or str(key.slot))
