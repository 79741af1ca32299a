"""What one run looked at, and what a comparison must therefore not conclude from its silence."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from auditor.model.account import OutcomeKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.store import cursor
from auditor.store.damage import reads
from auditor.store.encoding import ERROR, RULE, load_records

Key: TypeAlias = tuple[str | None, int | None]
"""Id, or the slot of a key that has none."""
_HAS_USER = "SELECT 1 FROM main.user WHERE run_id = ? AND account_id = ? AND name = ?"
_KEY_AT = (
    "SELECT id, slot FROM main.access_key"
    " WHERE run_id = ? AND account_id = ? AND user_name = ? AND position = ?"
)
_HAS_KEY = (
    "SELECT 1 FROM main.access_key"
    " WHERE run_id = ? AND account_id = ? AND user_name = ? AND id IS ? AND slot IS ?"
)
_LOOKED = (OutcomeKind.AUDITED, OutcomeKind.PARTIAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """How far one account was read."""

    name: str | None
    outcome: str
    root_unread: bool
    users_cut_off: bool
    """Whether users may be missing of which not even the name is known."""
    users_unread: frozenset[str]
    """Users whose keys were not listed."""


class Looked:
    """One run's reach: holds a line for each account."""

    @reads
    def __init__(self, connection: sqlite3.Connection, run: sqlite3.Row) -> None:
        self._connection = connection
        self.run_id: str = run["id"]
        self.rules: frozenset[str] = frozenset(
            rule["id"] for rule in load_records(run["rules"], RULE)
        )
        self.accounts: Mapping[str, LookedAt] = {
            account_id: _looked_at(*columns)
            for account_id, *columns in connection.execute(
                "SELECT id, name, coalesce(outcome, 'unreachable'), root_keys_unknown, errors"
                " FROM main.account WHERE run_id = ? ORDER BY id",
                (self.run_id,),
            )
        }

    @classmethod
    def of(cls, connection: sqlite3.Connection, run_id: str) -> Self:
        """Return the reach of a stored run; raise LookupError where there is none."""
        found = cursor.rows(connection, "SELECT * FROM main.run WHERE id = ?", (run_id,))
        row = next(found, None)
        if row is None:
            raise LookupError(run_id)
        return cls(connection, row)

    def why_silent(self, account_id: str, user_name: str, rule_id: str) -> str | None:
        """Return why the run could say nothing of a user's keys and a rule; None where it could."""
        if rule_id not in self.rules:
            return "the rule was not in the policies"
        return self.why_not(account_id, user_name)

    @reads
    def why_not(self, account_id: str, user_name: str) -> str | None:
        """Return why the run can't tell which keys a user has; None where it can."""
        account = self.accounts.get(account_id)
        if account is None:
            return "the account was not in scope"
        if account.outcome not in _LOOKED:
            told = "skipped" if account.outcome == OutcomeKind.SKIPPED else "not read"
            return f"the account was {told}"
        if user_name == ROOT_USER_NAME:
            return "the root user's keys could not be read" if account.root_unread else None
        unsure = account.users_cut_off or user_name in account.users_unread
        if unsure and self._one(_HAS_USER, account_id, user_name) is None:
            return "the user was not read"
        return None

    @reads
    def key_at(self, account_id: str, user_name: str, position: int) -> Key | None:
        """Return id and slot of a user's key by its place."""
        found = self._one(_KEY_AT, account_id, user_name, position)
        return None if found is None else (found[0], found[1])

    @reads
    def has_key(self, account_id: str, user_name: str, key: Key) -> bool:
        """Whether the run saw a key of this id, or of this slot where it has none."""
        return self._one(_HAS_KEY, account_id, user_name, *key) is not None

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._connection.execute(
            query, (self.run_id, *values)
        ).fetchone()
        return found


def _looked_at(
    name: str | None, outcome: str, root_keys_unknown: str | None, errors: str
) -> LookedAt:
    found = load_records(errors, ERROR) if outcome == OutcomeKind.PARTIAL else []
    return LookedAt(
        name=name,
        outcome=outcome,
        root_unread=root_keys_unknown is not None,
        users_cut_off=any(error["operation"] in {"scan", "iam:ListUsers"} for error in found),
        users_unread=frozenset(
            error["subject"] for error in found if error["operation"] == "iam:ListAccessKeys"
        ),
    )
