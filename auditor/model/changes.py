"""What changed from one run to a later one."""

from enum import StrEnum
from typing import NamedTuple

from auditor.model.finding import FindingStatus


class Change(StrEnum):
    """How a finding stands in a later run."""

    NEW = "new"
    """Open, and was not: there was none, or it was exempt or indeterminate."""
    CHANGED = "changed"
    """In both runs, and what matters of it is another: never just the days that went by."""
    RESOLVED = "resolved"
    """Was open; the later run looked, and there is none."""
    NOT_LOOKED_AT = "not_looked_at"
    """Was open; the later run did not look, so it may still be there."""
    STILL_OPEN = "still_open"


class KeyChange(StrEnum):
    """How a key stands in a later run; of users that both runs looked at."""

    APPEARED = "appeared"
    DISAPPEARED = "disappeared"
    CHANGED = "changed"
    """Its status is another, or it was used for the first time."""


class Said(NamedTuple):
    """What a run says of one finding, in the order of a query: there may be a million of them."""

    account_id: str
    user_name: str
    position: int
    id: str
    rule_id: str
    title: str
    severity: str
    status: str
    access_key_id: str | None
    message: str
    exemption: str | None
    exemption_unread: str | None
    unknown_operation: str | None
    unknown_code: str | None

    @property
    def open(self) -> bool:
        """Whether it counts."""
        return self.status == FindingStatus.OPEN


def differing(before: Said, after: Said) -> tuple[str, ...]:
    """Return the members of a finding that are others, and not for the passing of days alone.

    The message tells days; of it, only why a verdict is in doubt matters. Whatever else a new
    status brings with it is not named besides.
    """
    names = ["severity", "status", "title"]
    if before.status == after.status:
        names.append("exemption")
    found = [name for name in names if getattr(before, name) != getattr(after, name)]
    if before.status == after.status and before[-3:] != after[-3:]:
        found.append("message")
    return tuple(found)


def change_of(before: Said | None, after: Said | None, *, looked: bool) -> Change | None:
    """Return how a finding stands; None where nobody need look at it, then or now.

    `looked` says whether the later run could have found it.
    """
    if after is None:
        if before is None or not before.open:
            return None
        return Change.RESOLVED if looked else Change.NOT_LOOKED_AT
    if after.open and (before is None or not before.open):
        return Change.NEW
    if before is None:
        return None
    if differing(before, after):
        return Change.CHANGED
    return Change.STILL_OPEN if after.open else None
