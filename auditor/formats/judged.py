"""Accounts with their keys, and keys with their findings, for formats that tell them together.

Nothing in their text is hidden. Memory holds one user's keys and findings.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from auditor.formats.stream import ReportStream, Row
from auditor.formats.visible import VisibleReport, visible
from auditor.model.account import OutcomeKind

OWN = "scan"
"""The operation of what no call failed at: an account that was skipped, or not come to."""
_account = itemgetter(0)


class JudgedRow(NamedTuple):
    """A key with its findings, or findings without a key: of root keys that may exist."""

    account_id: str
    key: Row | None
    findings: Sequence[Row]


def by_account(document: ReportStream) -> Iterator[tuple[Row, Iterator[JudgedRow]]]:
    """Yield every account with its keys; go through an account's keys before the next one.

    An account that was not read is there as well, without keys.
    """
    groups = groupby(VisibleReport(document).judged(), key=_account)
    group = next(groups, None)
    for account in document.accounts():
        if group is None or group[0] != account["id"]:
            yield visible(account), iter(())
        else:
            yield visible(account), map(JudgedRow._make, group[1])
            group = next(groups, None)
    if group is not None:
        raise LookupError(group[0])  # an account that is not in the report


def is_read(account: Row) -> bool:
    """Whether the account was audited, and whole."""
    return bool(account["outcome"] == OutcomeKind.AUDITED)


def why_unread(account: Row, *, most: int | None = 5) -> str:
    """Say why an account was not read, or not wholly; of many errors name the first `most`."""
    errors = account["errors"]
    told = [_error(error) for error in errors[:most]] or [f"its state is {account['state']}"]
    if len(errors) > len(told):
        told.append(f"and {len(errors) - len(told):,} more")
    return "; ".join(told)


def not_audited(account: Row) -> str:
    """Say in a sentence what was not looked at in an account, and why."""
    match account["outcome"]:
        case OutcomeKind.PARTIAL:
            what = "was read only in part: users or keys are missing"
        case OutcomeKind.SKIPPED:
            what = "was skipped, and not audited"
        case _:
            what = "could not be read, and was not audited"
    return f"Account {account['id']} {what}: {why_unread(account)}"


def _error(error: Row) -> str:
    about = f"{error['subject']}: " if error["subject"] else ""
    if error["operation"] == OWN:
        return f"{about}{error['message']}"
    return f"{about}{error['operation']} {error['code']}: {error['message']}"
