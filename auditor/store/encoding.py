"""Values of the model as text in the store, and back."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from auditor.model.identity import Identity
from auditor.model.unknown import Unknown

_FACTS = ("password_enabled", "mfa", "tags", "groups", "policies", "admin", "quarantined")


def instant(at: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with `Z`."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(text: str | None) -> datetime | None:
    """Return what `instant` wrote."""
    return None if text is None else datetime.fromisoformat(text)


def certain(text: str) -> datetime:
    """Return what `instant` wrote of a time that is always known."""
    return datetime.fromisoformat(text)


def dumps(value: object) -> str:
    """Return JSON."""
    return orjson.dumps(value).decode()


def loads(text: str) -> Any:
    """Return what `dumps` wrote."""
    return orjson.loads(text)


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
    return None if text is None else Unknown(**loads(text))


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
            facts[name] = tuple(stored[0]) if isinstance(stored[0], list) else stored[0]
    return facts
