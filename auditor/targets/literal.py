"""The items of a LIST, as written on the command line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from auditor.errors import AuditError
from auditor.model.account import AccountId, parse_account_id
from auditor.paths import expanded

_UNIT = re.compile(r"ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One account by its id."""

    id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """The caller's own account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """All accounts below a root or OU; None: the whole organization."""

    parent_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The accounts of a file."""

    path: Path


Item: TypeAlias = Named | Self | Below | Listed


def parse_list(texts: Iterable[str], *, option: str) -> tuple[Item, ...]:
    """Return the items of comma-separated texts; raise AuditError naming a malformed one."""
    items = [
        _item(part, option) for text in texts for part in map(str.strip, text.split(",")) if part
    ]
    if not items and any(True for _ in texts):
        raise AuditError(f"{option} is empty", hint=_HINT)
    return tuple(items)


_HINT = "write 12-digit ids, self, org, ou-… or r-… ids, or @FILE, separated by commas"


def _item(text: str, option: str) -> Item:
    if text == "self":
        return Self()
    if text == "org":
        return Below(parent_id=None)
    if _UNIT.fullmatch(text):
        return Below(parent_id=text)
    if text.startswith("@") and len(text) > 1:
        return Listed(path=expanded(text[1:]))
    try:
        return Named(id=parse_account_id(text))
    except ValueError:
        raise AuditError(f"{option}: {text!r} is not an account", hint=_HINT) from None
