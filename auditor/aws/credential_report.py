"""The credential report: CSV with 22 columns or more, read by the header's names.

Source: IAM User Guide, "Generate credential reports for your AWS account".
"""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

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

    Without `slots` the keys of IAM users are not looked at: they are asked for one by one.
    """
    try:
        parsed = list(_rows(content.decode(), slots=slots))
    except (ValueError, csv.Error) as error:
        raise AwsFailure(
            operation=OPERATION,
            code="MalformedReport",
            message=f"the credential report could not be read: {error}",
            kind=FailureKind.OTHER,
        ) from None
    return CredentialReport(
        generated_at=generated_at,
        root=next((row for name, row in parsed if name == ROOT_USER_NAME), None),
        users={row.arn: row for name, row in parsed if name != ROOT_USER_NAME},
    )


class _Columns:
    """Where the header has what matters here; a column that it lacks is silent in every row."""

    def __init__(self, header: Sequence[str]) -> None:
        self.width = len(header)
        self._at = {name: at for at, name in enumerate(header)}
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


def _rows(text: str, *, slots: bool) -> Iterator[tuple[str, ReportRow]]:
    table = csv.reader(io.StringIO(text, newline=""))
    columns = _Columns(next(table, ()))
    if columns.width in {columns.user, columns.arn}:
        raise ValueError("its header lacks user or arn")
    for row in table:
        if row:
            cells = row[: columns.width] + [""] * max(1, columns.width + 1 - len(row))
            user = cells[columns.user]
            yield user, _row(cells, columns, slots=slots or user == ROOT_USER_NAME)


def _row(row: Sequence[str], columns: _Columns, *, slots: bool) -> ReportRow:
    return ReportRow(
        arn=sys.intern(row[columns.arn]),
        created_at=_date(row[columns.created]),
        password_enabled=_flag(row[columns.password]),
        mfa=_flag(row[columns.mfa]),
        keys=_keys(row, columns) if slots else _NOT_LOOKED_AT,
    )


def _keys(row: Sequence[str], columns: _Columns) -> Known[tuple[AccessKey, ...]]:
    """Return a key for each slot that is active or has a date; Unknown where a flag is neither."""
    keys = []
    for slot, is_active, rotated, used_at, service, region in columns.slots:
        created, active = _date(row[rotated]), _flag(row[is_active])
        if isinstance(active, Unknown):
            return active
        if active or created is not None:
            keys.append(
                AccessKey(
                    id=None,
                    slot=slot,
                    status=KeyStatus.ACTIVE if active else KeyStatus.INACTIVE,
                    created_at=created,
                    last_use=_last_use(row[used_at], row[service], row[region]),
                )
            )
    return tuple(keys)


def _last_use(text: str, service: str, region: str) -> LastUse:
    at = _date(text)
    if at is not None:
        return Used(at=at, service=sys.intern(service or "N/A"), region=sys.intern(region or "N/A"))
    return _NEVER if text == "N/A" else _SILENT


def _flag(text: str) -> Known[bool]:
    """Read TRUE and false alike; anything else (`not_supported`) is not known."""
    return _FLAGS.get(text.lower(), _SILENT)


def _date(text: str) -> datetime | None:
    """Return an instant in UTC; raise ValueError for text that is neither a date nor a blank."""
    if text in _NO_DATE:
        return None
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
