"""The credential report: CSV with 22 columns or more, read by the header's names.

Source: IAM User Guide, "Generate credential reports for your AWS account".
"""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from auditor.aws.bounds import utc
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.unknown import NOT_ASKED, NOT_IN_ANSWER, Known, Unknown
from auditor.ports import CredentialReport, ReportRow

OPERATION = "iam:GetCredentialReport"
_SILENT = Unknown(operation=OPERATION, code=NOT_IN_ANSWER)
_NOT_LOOKED_AT = Unknown(operation=OPERATION, code=NOT_ASKED)
_NO_DATE = frozenset({"", "N/A", "no_information", "not_supported"})
_OF_A_SLOT = (
    "active", "last_rotated", "last_used_date", "last_used_service", "last_used_region",
)  # fmt: skip
_FLAGS: Mapping[str, Known[bool]] = {"true": True, "false": False}
_NEVER = NeverUsed()


def parse(content: bytes, generated_at: datetime, *, slots: bool = True) -> CredentialReport:
    """Return the report; raise AwsFailure where it is not one.

    A value that can't be read is lost by itself, and its place is in `unread`. Without `slots` the
    keys of IAM users are not looked at: they are asked for one by one.
    """
    unread: list[str] = []
    try:
        # A byte order mark is no part of the first name, and a broken byte costs its own value.
        rows = list(_rows(content.decode("utf-8-sig", "replace"), unread, slots=slots))
    except (ValueError, csv.Error) as error:
        raise AwsFailure(
            operation=OPERATION,
            code="MalformedReport",
            message=f"the credential report could not be read: {error}",
            kind=FailureKind.OTHER,
        ) from None
    root = _once([row for name, row in rows if name == ROOT_USER_NAME], unread)
    return CredentialReport(
        generated_at=generated_at,
        root=next(iter(root.values()), None),
        users=_once([row for name, row in rows if name != ROOT_USER_NAME], unread),
        unread=tuple(unread),
    )


def _once(rows: Sequence[ReportRow], unread: list[str]) -> dict[str, ReportRow]:
    """Return the rows by ARN; where two of one ARN differ, nothing of either is known."""
    found: dict[str, ReportRow] = {}
    for row in rows:
        before = found.setdefault(row.arn, row)
        if before != row:
            unread.append(f"{row.arn}: two rows")
            found[row.arn] = ReportRow(
                arn=row.arn, created_at=None, password_enabled=_SILENT, mfa=_SILENT, keys=_SILENT
            )
    return found


class _Columns:
    """Where the header has what matters here; a column that it lacks is silent in every row."""

    def __init__(self, header: Sequence[str], unread: list[str]) -> None:
        self.width = len(header)
        self.names = [name.strip() for name in header]
        self._at = {name: at for at, name in enumerate(self.names)}
        for name, times in Counter(self.names).items():
            if times > 1 and name:  # which of them is meant can't be known
                unread.append(f"header: {name} repeats")
                del self._at[name]
        self.user, self.arn = self._of("user"), self._of("arn")
        self.created = self._of("user_creation_time")
        self.password, self.mfa = self._of("password_enabled"), self._of("mfa_active")
        self.slots = [
            (slot, *(self._of(f"access_key_{slot}_{name}") for name in _OF_A_SLOT))
            for slot in (1, 2)
        ]

    def _of(self, name: str) -> int:
        """Return the place of a column; one past the last, where every row is blank."""
        return self._at.get(name, self.width)


def _rows(text: str, unread: list[str], *, slots: bool) -> Iterator[tuple[str, ReportRow]]:
    table = csv.reader(io.StringIO(text, newline=""))
    columns = _Columns(next(table, ()), unread)
    if columns.width in {columns.user, columns.arn}:
        raise ValueError("its header does not name user and arn once each")
    for row in table:
        if row:
            cells = row[: columns.width] + [""] * max(1, columns.width + 1 - len(row))
            user = cells[columns.user]
            if len(row) != columns.width:
                unread.append(f"{user}: {len(row)} values for {columns.width} columns")
            values = _Row(cells, columns, unread)
            yield user, values.read(slots=slots or user == ROOT_USER_NAME)


class _Row:
    """One row while it is read; notes the place of each value that can't be."""

    def __init__(self, cells: Sequence[str], columns: _Columns, unread: list[str]) -> None:
        self._cells = cells
        self._columns = columns
        self._unread = unread

    def read(self, *, slots: bool) -> ReportRow:
        cells, columns = self._cells, self._columns
        created = self._date(columns.created)
        return ReportRow(
            arn=sys.intern(cells[columns.arn]),
            created_at=created if isinstance(created, datetime) else None,
            password_enabled=self._flag(columns.password),
            mfa=self._flag(columns.mfa),
            keys=self._keys() if slots else _NOT_LOOKED_AT,
        )

    def _keys(self) -> Known[tuple[AccessKey, ...]]:
        """Return a key for each slot that is active or has a date.

        Unknown where a slot may hold an active key that is not among them, and none is.
        """
        keys, doubt = [], False
        for slot, is_active, rotated, used_at, service, region in self._columns.slots:
            created, active = self._date(rotated), self._flag(is_active)
            doubt |= isinstance(active, Unknown)
            if active is True or created is not None:
                keys.append(
                    AccessKey(
                        id=None,
                        slot=slot,
                        status=_status(active),
                        created_at=created if isinstance(created, datetime) else None,
                        last_use=self._last_use(used_at, service, region),
                    )
                )
        if doubt and not any(key.active for key in keys):
            return _SILENT
        return tuple(keys)

    def _last_use(self, used_at: int, service: int, region: int) -> LastUse:
        cells, at = self._cells, self._date(used_at)
        if isinstance(at, datetime):
            return Used(
                at=at,
                service=sys.intern(cells[service] or "N/A"),
                region=sys.intern(cells[region] or "N/A"),
            )
        return _NEVER if cells[used_at].strip() == "N/A" else _SILENT

    def _flag(self, at: int) -> Known[bool]:
        """Read TRUE and false alike; anything else (`not_supported`) is not known."""
        text = self._cells[at].strip()
        flag = _FLAGS.get(text.lower(), _SILENT)
        if flag is _SILENT and text not in _NO_DATE:
            self._note(at)
        return flag

    def _date(self, at: int) -> Known[datetime] | None:
        """Return an instant in UTC; None for a blank, Unknown for text that is neither."""
        text = self._cells[at].strip()
        if text in _NO_DATE:
            return None
        try:
            return utc(datetime.fromisoformat(text))
        except ValueError:
            self._note(at)
            return _SILENT

    def _note(self, at: int) -> None:
        self._unread.append(f"{self._cells[self._columns.user]}: {self._columns.names[at]}")


def _status(active: Known[bool]) -> KeyStatus:
    if isinstance(active, Unknown):
        return KeyStatus.UNKNOWN
    return KeyStatus.ACTIVE if active else KeyStatus.INACTIVE
