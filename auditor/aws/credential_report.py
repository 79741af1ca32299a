"""The credential report: CSV with 22 columns or more, read by the header's names.

Source: IAM User Guide, "Generate credential reports for your AWS account".
"""

import csv
import io
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.unknown import NOT_IN_ANSWER, Known, Unknown
from auditor.ports import CredentialReport, ReportRow

OPERATION = "iam:GetCredentialReport"
_SILENT = Unknown(operation=OPERATION, code=NOT_IN_ANSWER)
_NO_DATE = frozenset({"", "N/A", "no_information", "not_supported"})
_NEEDED = frozenset({"user", "arn"})


def parse(content: bytes, generated_at: datetime) -> CredentialReport:
    """Return the report; raise AwsFailure where it is not one."""
    try:
        parsed = list(_rows(content.decode()))
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


def _rows(text: str) -> Iterator[tuple[str, ReportRow]]:
    table = csv.DictReader(io.StringIO(text, newline=""), restval="")
    if not _NEEDED.issubset(table.fieldnames or ()):
        raise ValueError("its header lacks user or arn")
    for row in table:
        yield row["user"], _row(row)


def _row(row: Mapping[str, str]) -> ReportRow:
    return ReportRow(
        arn=sys.intern(row["arn"]),
        created_at=_date(row.get("user_creation_time")),
        password_enabled=_flag(row.get("password_enabled")),
        mfa=_flag(row.get("mfa_active")),
        keys=_keys(row),
    )


def _keys(row: Mapping[str, str]) -> Known[tuple[AccessKey, ...]]:
    """Return a key for each slot that is active or has a date; Unknown where a flag is neither."""
    keys = []
    for slot in (1, 2):
        prefix = f"access_key_{slot}_"
        created = _date(row.get(prefix + "last_rotated"))
        active = _flag(row.get(prefix + "active"))
        if isinstance(active, Unknown):
            return active
        if active or created is not None:
            keys.append(
                AccessKey(
                    id=None,
                    slot=slot,
                    status=KeyStatus.ACTIVE if active else KeyStatus.INACTIVE,
                    created_at=created,
                    last_use=_last_use(row, prefix),
                )
            )
    return tuple(keys)


def _last_use(row: Mapping[str, str], prefix: str) -> LastUse:
    text = row.get(prefix + "last_used_date")
    at = _date(text)
    if at is not None:
        return Used(
            at=at,
            service=sys.intern(row.get(prefix + "last_used_service") or "N/A"),
            region=sys.intern(row.get(prefix + "last_used_region") or "N/A"),
        )
    return NeverUsed() if text == "N/A" else _SILENT


def _flag(text: str | None) -> Known[bool]:
    """Read TRUE and false alike; anything else (`not_supported`) is not known."""
    return {"true": True, "false": False}.get((text or "").lower(), _SILENT)


def _date(text: str | None) -> datetime | None:
    """Return an instant in UTC; raise ValueError for text that is neither a date nor a blank."""
    if text is None or text in _NO_DATE:
        return None
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
