"""Values of the model as text in the store, and back."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import UnionType
from typing import Any, TypeAlias, TypeVar

import orjson

from auditor.model.identity import Identity
from auditor.model.unknown import Unknown

T = TypeVar("T")
Kind: TypeAlias = type | UnionType

_FACTS: Mapping[str, Kind] = {
    "password_enabled": bool,
    "mfa": bool,
    "tags": dict,
    "groups": list,
    "policies": list,
    "admin": bool,
    "quarantined": bool,
}
"""What may be unknown of a user, and the kind of what is known."""
POLICY: Mapping[str, Kind] = {"id": str, "title": str, "sha256": str, "params": dict}
RULE: Mapping[str, Kind] = {
    "id": str, "title": str, "severity": str, "when": str, "remedy": str, "controls": list,
}  # fmt: skip
ERROR: Mapping[str, Kind] = {
    "operation": str, "code": str, "message": str, "subject": str | None,
}  # fmt: skip
"""The members that records in the store have at least."""


def instant(at: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with `Z`."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(text: str | None) -> datetime | None:
    """Return what `instant` wrote; raise ValueError for anything else."""
    return None if text is None else certain(text)


def certain(text: str) -> datetime:
    """Return what `instant` wrote of a time that is always known; raise ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


def dumps(value: object) -> str:
    """Return JSON."""
    return orjson.dumps(value).decode()


def loads(text: str) -> Any:
    """Return what `dumps` wrote."""
    return orjson.loads(text)


def load_names(text: str) -> list[str]:
    """Return a list of names; raise ValueError or TypeError for anything else."""
    names: list[str] = loads(text)
    return of(names, list, each=str)


def load_mapping(text: str, each: Kind = object) -> dict[str, Any]:
    """Return an object whose values are of a kind; raise ValueError or TypeError."""
    found: dict[str, Any] = of(loads(text), dict)
    of(list(found.values()), list, each=each)
    return found


def load_records(text: str, members: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """Return a list of objects that have members of these kinds, at least; raise as above."""
    records: list[dict[str, Any]] = of(loads(text), list, each=dict)
    for record in records:
        for name, kind in members.items():
            of(record[name], kind)
    return records


def of(value: T, kind: Kind, *, each: Kind = object) -> T:
    """Return the value where it, and each item of a list, is of the kind; raise TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"not a {kind}")
    if isinstance(value, list) and not all(isinstance(item, each) for item in value):
        raise TypeError(f"not all {each}")
    return value


def one_of(value: T, known: Collection[object]) -> T:
    """Return the value where it is a known one; raise ValueError."""
    if value not in known:
        raise ValueError("none of the known values")
    return value


@lru_cache(maxsize=1024)
def dump_names(names: tuple[str, ...]) -> str:
    """Return JSON of names that many rows have in common."""
    return dumps(names)


@lru_cache(maxsize=1024)
def dump_unknown(unknown: Unknown | None) -> str | None:
    """Return an Unknown as JSON."""
    return None if unknown is None else dumps(_columns(unknown))


@lru_cache(maxsize=1024)
def load_unknown(text: str | None) -> Unknown | None:
    """Return what `dump_unknown` wrote."""
    return None if text is None else Unknown(**load_mapping(text, str))


@lru_cache(maxsize=1024)
def _unknown(operation: str, code: str) -> Unknown:
    """Return what users of an account most often have in common."""
    return Unknown(operation=operation, code=code)


def _columns(unknown: Unknown) -> dict[str, str]:
    return {"operation": unknown.operation, "code": unknown.code}


def dump_facts(identity: Identity) -> str:
    """Return the facts that may be unknown: `[value]` for a known one, an object for another."""
    facts = {}
    for name in _FACTS:
        value = getattr(identity, name)
        facts[name] = _columns(value) if isinstance(value, Unknown) else [value]
    return dumps(facts)


def load_facts(text: str) -> dict[str, Any]:
    """Return what `dump_facts` wrote, as arguments of Identity."""
    facts: dict[str, Any] = {}
    for name, stored in loads(text).items():
        if isinstance(stored, dict):
            facts[name] = _unknown(**stored)
        else:
            value = of(stored[0], _FACTS[name], each=str)
            facts[name] = tuple(value) if isinstance(value, list) else value
    return facts
