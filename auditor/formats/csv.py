"""report.csv: a row for each finding, for each key without one, and for what was not read.

Every account in scope has a row at least, so that what is missing can be seen.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import TextIO, TypeAlias

from auditor.formats.judged import JudgedRow, by_account, is_read, why_unread
from auditor.formats.stream import ReportStream, Row

_Parts: TypeAlias = tuple[str, str, str]
"""A row: what it is, and its cells about the key and about the finding, as text."""
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
_END = "\r\n"
_account, _key, _use, _finding = (
    itemgetter(*names.values()) for names in (_ACCOUNT, _KEY, _USE, _FINDING)
)
_NO_KEY = "," * (len(_KEY) + len(_USE) - 1)
_NO_FINDING = "," * len(_FINDING)


def write(document: ReportStream, out: TextIO) -> None:
    """Write the rows one by one; no cell is a formula, whatever its text.

    What several rows have in common is put into CSV once, not for each row.
    """
    out.write(f"{_cells(COLUMNS)}\n")
    for account, keys in by_account(document):
        about = _cells(_account(account))
        told = False
        for row, of_key, of_finding in chain(_unread(account), _judged(keys)):
            told = True
            out.write(f"{row},{about},{of_key},{of_finding}\n")
        if not told:
            out.write(f"account,{about},{_NO_KEY},{_of_finding(message='no access keys')}\n")


def _unread(account: Row) -> Iterator[_Parts]:
    if is_read(account):
        return
    for error in account["errors"]:
        why = why_unread({**account, "errors": [{**error, "subject": None}]})
        yield "not audited", _of_key(user_name=error["subject"]), _of_finding(message=why)
    if not account["errors"]:
        yield "not audited", _NO_KEY, _of_finding(message=why_unread(account))


def _judged(keys: Iterable[JudgedRow]) -> Iterator[_Parts]:
    for judged in keys:
        key = judged.key
        of_key = None if key is None else _cells(_key(key) + _use(key["last_used"]))
        for finding in judged.findings:
            controls = " ".join(finding["controls"])
            yield (
                "finding",
                _of_key(user_name=finding["user_name"]) if of_key is None else of_key,
                _cells((*_finding(finding), controls)),
            )
        if of_key is not None and not judged.findings:
            yield "key", of_key, _NO_FINDING


def _of_key(**values: object) -> str:
    """Return the cells about a key of which only these columns are known."""
    return _cells(values.get(name) for name in (*_KEY, *_USE))


def _of_finding(**values: object) -> str:
    return _cells(values.get(name) for name in (*_FINDING, "controls"))


def _cells(values: Iterable[object]) -> str:
    """Return a part of a row; what would end a line is quoted."""
    cells = io.StringIO()
    csv.writer(cells, lineterminator=_END).writerow(map(_cell, values))
    return cells.getvalue().removesuffix(_END)


def _cell(value: object) -> object:
    """Return what a spreadsheet shows as text: a quote before what it would calculate."""
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA):
        return _QUOTED + value
    return value
