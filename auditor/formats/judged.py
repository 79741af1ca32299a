"""Accounts with their keys, and keys with their findings, for formats that tell them together.

Nothing in their text is hidden. Memory holds one user's keys and findings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter

from auditor.formats.stream import ReportStream, Row
from auditor.formats.visible import visible
from auditor.model.account import OutcomeKind
from auditor.model.finding import finding_id

OWN = "scan"
"""The operation of what no call failed at: an account that was skipped, or not come to."""
_user = itemgetter("account_id", "user_name")
_place = itemgetter(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRow:
    """A key with its findings, or findings without a key: of root keys that may exist."""

    account_id: str
    key: Row | None
    findings: Sequence[Row]


def by_account(document: ReportStream) -> Iterator[tuple[Row, Iterator[JudgedRow]]]:
    """Yield every account with its keys; go through an account's keys before the next one.

    An account that was not read is there as well, without keys.
    """
    accounts: Iterator[tuple[str, Row | JudgedRow]]
    rows: Iterator[tuple[str, Row | JudgedRow]]
    accounts = ((account["id"], visible(account)) for account in document.accounts())
    rows = ((row.account_id, row) for row in judged_rows(document))
    for account_id, parts in groupby(merge(accounts, rows, key=_place), key=_place):
        _, account = next(parts)
        if isinstance(account, JudgedRow):
            raise LookupError(account_id)  # noqa: TRY004 -- an account that is not in the report
        rest = (part for _, part in parts if isinstance(part, JudgedRow))  # noqa: B031 -- once
        yield account, rest


def judged_rows(document: ReportStream) -> Iterator[JudgedRow]:
    """Yield every key with its findings, in order of account, user and key; none is left out."""
    partition = document.run()["partition"]
    keys = ((_user(key), True, key) for key in document.keys())  # noqa: SIM118 -- no mapping
    findings = ((_user(finding), False, finding) for finding in document.findings())
    for (account_id, _), rows in groupby(merge(keys, findings, key=_place), key=_place):
        found: dict[object, tuple[Row, list[Row]]] = {}
        unknown = []
        for _, is_key, row in rows:
            if is_key:
                found[row["access_key_id"] or row["slot"]] = (row, [])
            elif (name := row["access_key_id"] or root_slot(row, partition)) in found:
                found[name][1].append(row)
            else:
                unknown.append(row)
        for key, its_findings in found.values():
            yield _judged(account_id, key, its_findings)
        if unknown:
            yield _judged(account_id, None, unknown)


def _judged(account_id: str, key: Row | None, findings: Sequence[Row]) -> JudgedRow:
    # Not before: the rows are in the order of the names as they are, not as they are shown.
    return JudgedRow(
        account_id=account_id,
        key=None if key is None else visible(key),
        findings=[visible(finding) for finding in findings],
    )


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


def root_slot(finding: Row, partition: str) -> int | None:
    """Return which of the root user's keys a finding without a key id is about, by its id."""
    for slot in (1, 2):
        whole = finding_id(
            partition=partition,
            account_id=finding["account_id"],
            user_name=finding["user_name"],
            key=f"slot-{slot}",
            rule_id=finding["rule_id"],
        )
        if whole == finding["id"]:
            return slot
    return None
