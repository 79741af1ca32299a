"""Keys and findings for a report: a million of each, so what is done for one is little."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from auditor.model.access_key import KeyStatus
from auditor.model.ageing import Ages
from auditor.model.finding import FindingStatus, Remedy, Severity
from auditor.model.identity import owner_of
from auditor.store.damage import reads
from auditor.store.encoding import certain, load_facts, load_names, load_unknown
from auditor.store.reading import Row, RunReading

_KEYS = """
SELECT access_key.account_id, access_key.user_name, user.arn, user.facts, user_class,
  access_key.id, slot, status, access_key.created_at,
  last_used_state, last_used_at, last_used_service, last_used_region, unknown, violations
FROM access_key
JOIN user ON user.run_id = access_key.run_id
  AND user.account_id = access_key.account_id AND user.name = access_key.user_name
LEFT JOIN judged_key ON judged_key.run_id = access_key.run_id
  AND judged_key.account_id = access_key.account_id
  AND judged_key.user_name = access_key.user_name AND judged_key.position = access_key.position
WHERE access_key.run_id = ?
ORDER BY access_key.account_id, access_key.user_name, access_key.id, slot
"""
_FINDINGS = """
SELECT id, rule_id, title, severity, status, account_id, user_name, access_key_id, message,
  remedy, exemption, controls
FROM finding WHERE run_id = ?
ORDER BY account_id, user_name, access_key_id, position, rule_id
"""
_AGES = "SELECT status, created_at, last_used_state, last_used_at FROM access_key WHERE run_id = ?"
_STATES = frozenset({"used", "never", "unknown"})
_STATUSES = frozenset(KeyStatus)
_SEVERITIES, _FOUND, _REMEDIES = map(frozenset, (Severity, FindingStatus, Remedy))
_DISTINCT = 1024
"""How many lists are remembered: a policy has few of them, and keys share them."""


@reads
def keys(run: RunReading, now: datetime) -> Iterator[Row]:
    """Yield `document.Key`, in order of account, user and key; rows share what is equal."""
    for (
        account_id, user_name, user_arn, facts, user_class, access_key_id, slot, status, created_at,
        state, used_at, service, region, unknown, violations,
    ) in run.tuples(_KEYS):  # fmt: skip
        if (
            state not in _STATES
            or status not in _STATUSES
            or (state == "used") == (used_at is None)
        ):
            raise ValueError("a key in a state that there is not")
        age, reason = _days(created_at, now), load_unknown(unknown)
        yield {
            "account_id": account_id,
            "user_name": user_name,
            "user_arn": user_arn,
            "user_class": user_class,
            "owner": _owner(facts),
            "access_key_id": access_key_id,
            "slot": slot,
            "status": status,
            "created_at": created_at,
            "age_days": age,
            "idle_days": _idle(state, used_at, age, now),
            "last_used": {
                "state": state,
                "at": used_at,
                "service": service,
                "region": region,
                "reason": None if reason is None else reason.reason,
            },
            "violations": _list(violations or "[]"),
        }


@reads
def findings(run: RunReading) -> Iterator[Row]:
    """Yield `document.FindingPart`, in order of account, user, key and rule; likewise."""
    for (
        finding_id, rule_id, title, severity, found, account_id, user_name, access_key_id,
        message, remedy, exemption, controls,
    ) in run.tuples(_FINDINGS):  # fmt: skip
        if severity not in _SEVERITIES or found not in _FOUND or remedy not in _REMEDIES:
            raise ValueError("a finding of a kind that there is not")
        yield {
            "id": finding_id,
            "rule_id": rule_id,
            "title": title,
            "severity": severity,
            "status": found,
            "account_id": account_id,
            "user_name": user_name,
            "access_key_id": access_key_id,
            "message": message,
            "remedy": remedy,
            "exemption": exemption,
            "controls": _list(controls),
        }


def ages(run: RunReading, now: datetime) -> Iterator[Ages]:
    """Yield how old each key is and how long it was not used, in no order."""
    parsed = datetime.fromisoformat
    for status, created_at, state, used_at in run.tuples(_AGES):
        yield Ages(
            status == KeyStatus.ACTIVE,
            None if created_at is None else now - parsed(created_at),
            None if used_at is None else now - parsed(used_at),
            state == "never",
        )


def _days(since: str | None, now: datetime) -> int | None:
    """Return the whole days since then, none where it lies ahead."""
    return None if since is None else max((now - certain(since)).days, 0)


def _idle(state: str, used_at: str | None, age: int | None, now: datetime) -> int | None:
    """Return the days since the last use, since its making for a key never used."""
    match state:
        case "used":
            return _days(used_at, now)
        case "never":
            return age
        case _:
            return None


@lru_cache(_DISTINCT)
def _owner(facts: str) -> str | None:
    """Return the owner by the facts of a user, which `dump_facts` wrote."""
    tags = load_facts(facts)["tags"]
    return owner_of(tags) if isinstance(tags, dict) else None


@lru_cache(_DISTINCT)
def _list(text: str) -> Sequence[str]:
    return load_names(text)
