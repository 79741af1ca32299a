"""report.csv: a row for each finding, for each key without one, and for what was not read.

Every account in scope has a row at least, so that what is missing can be seen.
"""

import csv
from collections.abc import Iterable, Iterator
from typing import TextIO

from auditor.formats.judged import JudgedRow, by_account, is_read, why_unread
from auditor.formats.stream import ReportStream, Row

_ACCOUNT = {"account_id": "id", "account_name": "name", "account_outcome": "outcome"}
_KEY = {
    "user_name": "user_name",
    "user_arn": "user_arn",
    "user_class": "user_class",
    "access_key_id": "access_key_id",
    "slot": "slot",
    "key_status": "status",
    "created_at": "created_at",
    "age_days": "age_days",
    "idle_days": "idle_days",
}
_USE = {
    "last_used_state": "state",
    "last_used_at": "at",
    "last_used_service": "service",
    "last_used_region": "region",
    "last_used_unknown": "reason",
}
_FINDING = {
    "finding_status": "status",
    "severity": "severity",
    "rule_id": "rule_id",
    "title": "title",
    "message": "message",
    "remedy": "remedy",
    "exemption": "exemption",
    "finding_id": "id",
}
COLUMNS = ("row", *_ACCOUNT, *_KEY, *_USE, *_FINDING, "controls")
"""`row` is `finding`, `key` (nothing found), `account` (no keys) or `not audited`."""
_FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001 -- the wide ones start formulas as well
_QUOTED = "'"


def write(document: ReportStream, out: TextIO) -> None:
    """Write the rows one by one; no cell is a formula, whatever its text."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(document):
        writer.writerow([_cell(row.get(name)) for name in COLUMNS])


def _rows(document: ReportStream) -> Iterator[Row]:
    for account, keys in by_account(document):
        about = _named(_ACCOUNT, account)
        told = False
        for row in _unread(account):
            told = True
            yield {**about, **row}
        for row in _judged(keys):
            told = True
            yield {**about, **row}
        if not told:
            yield about | {"row": "account", "message": "no access keys"}


def _unread(account: Row) -> Iterator[Row]:
    if is_read(account):
        return
    for error in account["errors"]:
        row = {"row": "not audited", "user_name": error["subject"]}
        yield {**row, "message": why_unread({**account, "errors": [{**error, "subject": None}]})}
    if not account["errors"]:
        yield {"row": "not audited", "message": why_unread(account)}


def _judged(keys: Iterable[JudgedRow]) -> Iterator[Row]:
    for judged in keys:
        key = {}
        if judged.key is not None:
            key = _named(_KEY, judged.key) | _named(_USE, judged.key["last_used"])
        for finding in judged.findings:
            found = _named(_FINDING, finding) | {"controls": " ".join(finding["controls"])}
            yield {"row": "finding", "user_name": finding["user_name"], **key, **found}
        if not judged.findings:
            yield {"row": "key", **key}


def _named(columns: dict[str, str], row: Row) -> dict[str, object]:
    return {column: row[name] for column, name in columns.items()}


def _cell(value: object) -> object:
    """Return what a spreadsheet shows as text: a quote before what it would calculate."""
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA):
        return _QUOTED + value
    return value
