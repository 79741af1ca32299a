"""The credential report with the root user, real dates, and AWS's order of events."""

import base64
import csv
import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from auditor.demo.corrections.iam import by_name
from auditor.demo.wire import Call, RefusedError, zulu
from auditor.demo.world import Report, RootKey, World, account_of, backend, organization_of
from auditor.model.identity import ROOT_USER_NAME

REPORT_LIFETIME = timedelta(hours=4)
"""AWS makes a new report at most this often, and forgets older ones."""

_KEY_FIELDS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
COLUMNS = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    *(f"access_key_1_{name}" for name in _KEY_FIELDS),
    *(f"access_key_2_{name}" for name in _KEY_FIELDS),
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
)
"""As AWS names them, and in its order."""

_NO_KEY = ("false", "N/A", "N/A", "N/A", "N/A")
_NO_CERTIFICATES = ("false", "N/A", "false", "N/A")


def generate_credential_report(call: Call, world: World) -> Mapping[str, Any]:
    """Answer STARTED for a new report, COMPLETE while there is one that is not too old."""
    account_id = call.request.account_id
    report = world.reports.get(account_id)
    if report and world.clock() - report.generated_at < REPORT_LIFETIME:
        report.ready = True
        return {"State": "COMPLETE"}
    world.reports[account_id] = Report(
        content=_content(account_id, world),
        generated_at=world.clock().replace(microsecond=0),
    )
    description = "No report exists. Starting a new report generation task"
    return {"State": "STARTED", "Description": description}


def get_credential_report(call: Call, world: World) -> Mapping[str, Any]:
    """Return the report as it was when generated; one in the making is ready the next time."""
    report = world.reports.get(call.request.account_id)
    if report is None:
        raise _refused(410, "ReportNotPresent")
    if world.clock() - report.generated_at >= REPORT_LIFETIME:
        raise _refused(410, "ReportExpired")
    if not report.ready:
        report.ready = True
        raise _refused(404, "ReportInProgress")
    return {
        "Content": base64.b64encode(report.content.encode()).decode(),
        "ReportFormat": "text/csv",
        "GeneratedTime": report.generated_at,
    }


def _refused(status: int, code: str) -> RefusedError:
    return RefusedError(status=status, code=code, message="Unknown")


def _content(account_id: str, world: World) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerow(_root_row(account_id, world))
    users = backend("iam", account_id).users.values()
    writer.writerows(_user_row(user) for user in by_name(users))
    return text.getvalue().rstrip("\n")


def _root_row(account_id: str, world: World) -> tuple[str, ...]:
    entry = account_of(organization_of(account_id), account_id)
    keys = [_root_key(key) for key in world.root_keys.get(account_id, [])]
    return (
        ROOT_USER_NAME,
        f"arn:aws:iam::{account_id}:root",
        zulu(entry.create_time if entry else world.clock()),
        "true",
        "no_information",
        "not_supported",
        "not_supported",
        "true",
        *_slots(keys),
        *_NO_CERTIFICATES,
    )


def _user_row(user: Any) -> tuple[str, ...]:
    last_used = user.password_last_used
    password = (
        "true",
        zulu(last_used) if last_used else "no_information",
        zulu(user.create_date),
        "N/A",
    )
    # Live, the slots follow the key ids, not the order of creation.
    keys = sorted(user.access_keys, key=lambda key: str(key.access_key_id))
    return (
        user.name,
        user.arn,
        zulu(user.create_date),
        *(password if user.password else ("false", "N/A", "N/A", "N/A")),
        _flag(user.mfa_devices),
        *_slots([_user_key(key) for key in keys]),
        *_NO_CERTIFICATES,
    )


def _slots(keys: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, second = [*keys, _NO_KEY, _NO_KEY][:2]
    return (*first, *second)


def _user_key(key: Any) -> tuple[str, ...]:
    used = key.last_used
    last_use = (zulu(used.timestamp), used.region, used.service) if used else ("N/A", "N/A", "N/A")
    return (_flag(key.status == "Active"), zulu(key.create_date), *last_use)


def _root_key(key: RootKey) -> tuple[str, ...]:
    used = zulu(key.last_used_at) if key.last_used_at else "N/A"
    return (_flag(key.active), zulu(key.created_at), used, key.region, key.service)


def _flag(value: object) -> str:
    return "true" if value else "false"
