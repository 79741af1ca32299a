"""Keys and findings for a report: a million of each, so what is done for one is little."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeAlias

from auditor.model.access_key import KeyStatus
from auditor.model.ageing import Ages
from auditor.model.finding import FindingStatus, Remedy, Severity
from auditor.model.identity import owner_of
from auditor.store.damage import reads
from auditor.store.encoding import certain, load_facts, load_names, load_unknown
from auditor.store.reading import Row, RunReading

Judged: TypeAlias = tuple[str, Row | None, Sequence[Row]]
"""An account's id with one of its keys, if there is one, and what was found of it."""
_Tuple: TypeAlias = tuple[Any, ...]
_User: TypeAlias = tuple[str, str]
_Group: TypeAlias = tuple[_User, Iterable[_Tuple]]
_user = itemgetter(0, 1)
_position = itemgetter(2)
_KEYS = """
SELECT access_key.account_id, access_key.user_name, access_key.position, user.arn, user.facts,
  user_class, access_key.id, slot, status, access_key.created_at,
  last_used_state, last_used_at, last_used_service, last_used_region, unknown, violations
FROM access_key
JOIN user ON user.run_id = access_key.run_id
  AND user.account_id = access_key.account_id AND user.name = access_key.user_name
LEFT JOIN judged_key ON judged_key.run_id = access_key.run_id
  AND judged_key.account_id = access_key.account_id
  AND judged_key.user_name = access_key.user_name AND judged_key.position = access_key.position
WHERE access_key.run_id = ?
ORDER BY access_key.account_id, access_key.user_name, access_key.position
"""
_FINDINGS = """
SELECT account_id, user_name, position, id, rule_id, title, severity, status, access_key_id,
  message, remedy, exemption, controls
FROM finding WHERE run_id = ?
ORDER BY account_id, user_name, position, rule_id
"""
"""Both in the order of the tables, so that SQLite has nothing to sort."""
_AGES = "SELECT status, created_at, last_used_state, last_used_at FROM access_key WHERE run_id = ?"
_STATES = frozenset({"used", "never", "unknown"})
_STATUSES, _SEVERITIES, _FOUND, _REMEDIES = (
    frozenset(map(str, kind)) for kind in (KeyStatus, Severity, FindingStatus, Remedy)
)
"""As plain text, which compares faster than members of an enum."""
_DISTINCT = 1024
"""How many lists are remembered: a policy has few of them, and keys share them."""


@reads
def keys(run: RunReading, now: datetime) -> Iterator[Row]:
    """Yield `document.Key`, in order of account, user and key; rows share what is equal."""
    for _, rows in groupby(run.tuples(_KEYS), key=_user):
        for row in sorted(rows, key=_name_of_key):
            yield _key(row, now)


@reads
def findings(run: RunReading) -> Iterator[Row]:
    """Yield `document.FindingPart`, in order of account, user, key and rule; likewise."""
    for _, rows in groupby(run.tuples(_FINDINGS), key=_user):
        for row in sorted(rows, key=_name_in_finding):
            yield _finding(row)


@reads
def judged(run: RunReading, now: datetime) -> Iterator[Judged]:
    """Yield every key with its findings, in order of account, user and key; none is left out.

    What is found of a user and is about none of its keys comes after them, without a key.
    """
    keys = groupby(run.tuples(_KEYS), key=_user)
    found = groupby(run.tuples(_FINDINGS), key=_user)
    for (account_id, _), its_keys, its_findings in _together(keys, found):
        by_position = {
            position: list(map(_finding, rows))
            for position, rows in groupby(its_findings, key=_position)
        }
        for row in sorted(its_keys, key=_name_of_key):
            yield account_id, _key(row, now), by_position.pop(_position(row), ())
        if by_position:
            yield account_id, None, list(chain.from_iterable(by_position.values()))


def _together(
    keys: Iterator[_Group], findings: Iterator[_Group]
) -> Iterator[tuple[_User, Iterable[_Tuple], Iterable[_Tuple]]]:
    """Yield every user that has keys or findings, in order, with the rows of both."""
    found = next(findings, None)
    for user, rows in keys:
        while found and found[0] < user:
            yield found[0], (), found[1]
            found = next(findings, None)
        if found and found[0] == user:
            yield user, rows, found[1]
            found = next(findings, None)
        else:
            yield user, rows, ()
    while found:
        yield found[0], (), found[1]
        found = next(findings, None)


def _key(row: _Tuple, now: datetime) -> Row:
    """Return `document.Key`; raise ValueError for one that there can't be."""
    (
        account_id, user_name, _, user_arn, facts, user_class, access_key_id, slot, status,
        created_at, state, used_at, service, region, unknown, violations,
    ) = row  # fmt: skip
    if state not in _STATES or status not in _STATUSES or (state == "used") == (used_at is None):
        raise ValueError("a key in a state that there is not")
    age = _days(created_at, now)
    reason = None if unknown is None else load_unknown(unknown)
    return {
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
        # Of a key that was never used since its making; one with an unknown use has no time of it.
        "idle_days": age if state == "never" else _days(used_at, now),
        "last_used": {
            "state": state,
            "at": used_at,
            "service": service,
            "region": region,
            "reason": None if reason is None else reason.reason,
        },
        "violations": _list(violations or "[]"),
    }


def _finding(row: _Tuple) -> Row:
    """Return `document.FindingPart`; raise ValueError for one of a kind that there is not."""
    (
        account_id, user_name, _, finding_id, rule_id, title, severity, found, access_key_id,
        message, remedy, exemption, controls,
    ) = row  # fmt: skip
    if severity not in _SEVERITIES or found not in _FOUND or remedy not in _REMEDIES:
        raise ValueError("a finding of a kind that there is not")
    return {
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


def _name_of_key(row: _Tuple) -> tuple[str, int]:
    """Return what keys of a user are ordered by: those without an id come first, by slot."""
    return row[6] or "", row[7] or 0


def _name_in_finding(row: _Tuple) -> str:
    """Return what findings of a user are ordered by, besides position and rule."""
    return row[8] or ""


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
    """Return the whole days since then; None where it lies more than a day ahead of `now`."""
    if since is None:
        return None
    days = (now - certain(since)).days  # rounded down: of half a day ahead it is -1
    return None if days < -1 else max(days, 0)


@lru_cache(_DISTINCT)
def _owner(facts: str) -> str | None:
    """Return the owner by the facts of a user, which `dump_facts` wrote."""
    tags = load_facts(facts)["tags"]
    return owner_of(tags) if isinstance(tags, dict) else None


@lru_cache(_DISTINCT)
def _list(text: str) -> Sequence[str]:
    return load_names(text)
