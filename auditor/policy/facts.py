"""Binding the facts of one key, as far as they are known.

What is unknown is not bound: CEL then decides by itself whether that matters.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

from auditor.model.access_key import AccessKey, KeyStatus, NeverUsed, Used
from auditor.model.account import Account
from auditor.model.identity import Identity
from auditor.model.inventory import UserInventory
from auditor.model.unknown import LATER, NOT_ASKED, NOT_IN_ANSWER, Known, Unknown
from auditor.policy.catalogue import FACTS

Values: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a rule may look at, for one key."""

    account: Account
    partition: str
    identity: Identity
    key: AccessKey
    active_keys: int | None
    """None where the status of one of them is not known."""
    newest: bool | None
    """Of the user's active keys the one created last; of two at once the greater id. None where
    there are several and one of them, a root key, has no date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one key, and why the rest is not."""

    known: Values
    missing: Callable[[str], Unknown | None]
    """Says why a fact is not among the known; None where it has no value by its nature."""


def facts_of(case: Case, shared: Values, now: datetime) -> Facts:
    """Return the facts about one key; `shared` are those of its user."""
    return Facts(known=shared | key_values(case, now), missing=partial(why_unknown, case=case))


def facts_of_keys(
    account: Account, partition: str, user: UserInventory, now: datetime
) -> list[tuple[Case, Facts]]:
    """Return one case per key of the user, in the inventory's order, with its facts."""
    if not user.keys:
        return []
    shared = shared_values(account, partition, user.identity, now)
    return [(case, facts_of(case, shared, now)) for case in cases(account, partition, user)]


def cases(account: Account, partition: str, user: UserInventory) -> Iterator[Case]:
    """Yield one case per key of the user, in the inventory's order."""
    active = [key for key in user.keys if key.active]
    known = all(key.status is not KeyStatus.UNKNOWN for key in user.keys)
    dated = known and (len(active) == 1 or all(key.created_at is not None for key in active))
    newest = max(active, key=_seniority, default=None)
    for key in user.keys:
        yield Case(
            account=account,
            partition=partition,
            identity=user.identity,
            key=key,
            active_keys=len(active) if known else None,
            newest=key is newest if dated or _surely_inactive(key) else None,
        )


def age(key: AccessKey, now: datetime) -> timedelta | None:
    """Return the time since creation, never negative; None where that can't be known.

    It can't where the key was created later than `now`: nobody can say how it was then.
    """
    return None if key.created_at is None else _since(key.created_at, now)


def idle(key: AccessKey, now: datetime) -> timedelta | None:
    """Return the time since last use, or since creation if never used; None if unknown.

    It is where the last use is later than `now`: AWS keeps no use before the last.
    """
    if isinstance(key.last_use, Used):
        return _since(key.last_use.at, now)
    return age(key, now) if isinstance(key.last_use, NeverUsed) else None


_NO_TIME = timedelta()
# A scan is judged at its beginning, and may take hours: what happens meanwhile is no time ago.
_MEANWHILE = timedelta(days=-1)


def _since(then: datetime, now: datetime) -> timedelta | None:
    """Return the time that passed, never negative; None where `then` is later by more than a day.

    It is reckoned in UTC, since zones skip and repeat hours.
    """
    passed = now.astimezone(UTC) - then
    if passed >= _NO_TIME:
        return passed
    return _NO_TIME if passed >= _MEANWHILE else None


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
        "user.groups": _listed(identity.groups),
        "user.policies": _listed(identity.policies),
        "user.admin": identity.admin,
        "user.quarantined": identity.quarantined,
        "account.id": account.id,
        "account.name": account.name,
        "account.ou": account.ou,
        "account.tags": account.tags,
        "account.partition": partition,
        "now": now,
    }
    return {
        name: value
        for name, value in values.items()
        if value is not None and not isinstance(value, Unknown)
    }


def key_values(case: Case, now: datetime) -> Values:
    """Return the known facts about one key."""
    key, use = case.key, case.key.last_use
    values: Values = {}
    if key.status is not KeyStatus.UNKNOWN:
        values["key.active"] = key.active
        values["key.status"] = key.status.value
    if case.active_keys is not None:
        values["user.active_keys"] = case.active_keys
    if key.id is not None:
        values["key.id"] = key.id
    if key.created_at is not None:
        values["key.created"] = key.created_at
        passed = _since(key.created_at, now)
        if passed is not None:
            values["key.age"] = passed
    if case.newest is not None:
        values["key.newest"] = case.newest
    unused = idle(key, now)
    if unused is not None:
        values["key.idle"] = unused
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
    return values


def why_unknown(fact: str, case: Case) -> Unknown | None:
    """Return why a fact could not be bound; None where it has no value by its nature."""
    identity, use = case.identity, case.key.last_use
    if fact in _STATUS or (fact in _ROOT_DATES and identity.root):
        return _why_no_status(case)
    if isinstance(use, Unknown) and (fact.startswith("key.last_used.") or fact == "key.idle"):
        return use
    if fact == "key.last_used.at":
        return None
    if fact in {"key.age", "key.idle"}:
        return Unknown(operation=FACTS[fact].source, code=LATER)
    if fact in {"account.ou", "account.tags"}:
        return getattr(case.account, f"{fact.removeprefix('account.')}_unknown") or _not_asked(fact)
    known = getattr(identity, fact.removeprefix("user."), None)
    return known if isinstance(known, Unknown) else _origin(fact)


_STATUS = frozenset({"key.active", "key.status", "user.active_keys"})
"""What is not known where a status is not."""


def _why_no_status(case: Case) -> Unknown:
    use = case.key.last_use
    if not case.identity.root:
        return Unknown(operation="iam:ListAccessKeys", code=NOT_IN_ANSWER)
    if isinstance(use, Unknown):
        return use
    return Unknown(operation="iam:GetCredentialReport", code=NOT_IN_ANSWER)


def _surely_inactive(key: AccessKey) -> bool:
    return not key.active and key.status is not KeyStatus.UNKNOWN


_ROOT_DATES = frozenset({"key.id", "key.created", "key.age", "key.newest", "user.created"})
"""What only the credential report tells of the root user."""


def _origin(fact: str) -> Unknown:
    return Unknown(operation=FACTS[fact].source, code=NOT_IN_ANSWER)


def _not_asked(fact: str) -> Unknown:
    """Say so of what is only asked for where a policy of the scan names it."""
    return Unknown(operation=FACTS[fact].source, code=NOT_ASKED)


def _listed(names: Known[tuple[str, ...]]) -> list[str] | Unknown:
    return names if isinstance(names, Unknown) else list(names)


def _seniority(key: AccessKey) -> tuple[float, str]:
    created = float("-inf") if key.created_at is None else key.created_at.timestamp()
    return (created, key.id or str(key.slot))
