"""report.ocsf.json: OCSF 1.6 Compliance Findings (class 2003, profile cloud), in an array.

Beside the findings there is an object for each account that was not audited whole: its status is
unknown, never passed.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TextIO

from auditor.formats.advice import BETTER_URL, advice, better
from auditor.formats.array import write_array
from auditor.formats.judged import JudgedRow, by_account, is_read, not_audited
from auditor.formats.stream import ReportStream, Row
from auditor.formats.visible import VisibleReport

VERSION = "1.6.0"
_CLASS, _CREATE = 2003, 1
_INFORMATIONAL = (1, "Informational")
_SEVERITIES = {
    "critical": (5, "Critical"),
    "high": (4, "High"),
    "medium": (3, "Medium"),
    "low": (2, "Low"),
    "info": _INFORMATIONAL,
}
_NEW, _SUPPRESSED = (1, "New"), (3, "Suppressed")
_FAIL, _UNKNOWN = (3, "Fail"), (0, "Unknown")
_MISSING = (2, "Warning")
"""No result, because information is missing."""
_UNREAD = "account-not-audited"


def write(document: ReportStream, out: TextIO) -> None:
    """Write the findings one by one."""
    write_array(findings(document), out)


def findings(document: ReportStream) -> Iterator[Row]:
    """Yield the findings, and for each account that was not audited whole that it was not."""
    shown = VisibleReport(document)
    run = shown.run()
    event = _event(shown.tool(), run)
    for account, keys in by_account(document):
        where = _where(account)
        if not is_read(account):
            yield {**event, **where, **_unread(account, run)}
        for judged in keys:
            for finding in judged.findings:
                yield {**event, **where, **_finding(finding, judged, run)}


def _event(tool: Row, run: Row) -> dict[str, Any]:
    """Return what all objects of a run share."""
    return {
        "activity_id": _CREATE,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Compliance Finding",
        "type_uid": _CLASS * 100 + _CREATE,
        "type_name": "Compliance Finding: Create",
        "time": _found_at(run),
        "metadata": {
            "version": VERSION,
            "profiles": ["cloud"],
            "product": {
                "name": tool["name"],
                "vendor_name": tool["name"],
                "version": tool["version"],
            },
            "correlation_uid": run["id"],
        },
    }


def _where(account: Row) -> Row:
    named = {"name": account["name"]} if account["name"] else {}
    whose = {"uid": account["id"], "type_id": 10, "type": "AWS Account", **named}
    return {"cloud": {"provider": "AWS", "account": whose}}


def _finding(finding: Row, judged: JudgedRow, run: Row) -> Row:
    result, status = _FAIL, _NEW
    if finding["status"] == "exempt":
        status = _SUPPRESSED
    elif finding["status"] == "indeterminate":
        result = _MISSING
    compliance: dict[str, Any] = {
        "control": finding["rule_id"],
        "desc": finding["title"],
        "requirements": finding["controls"],
        "standards": list(dict.fromkeys(one.partition(":")[0] for one in finding["controls"])),
        "status_id": result[0],
        "status": result[1],
        "status_code": finding["status"],
        "status_details": [finding["message"]],
    }
    if finding["exemption"]:
        compliance["status_details"].append(f"exempt: {finding['exemption']}")
    return {
        "severity_id": _SEVERITIES[finding["severity"]][0],
        "severity": _SEVERITIES[finding["severity"]][1],
        "status_id": status[0],
        "status": status[1],
        "message": finding["message"],
        "finding_info": {
            "uid": finding["id"],
            "title": finding["title"],
            "desc": finding["message"],
            "types": ["AWS access key"],
            "analytic": {"type_id": 1, "type": "Rule", "uid": finding["rule_id"]},
            "created_time": _found_at(run),
        },
        "compliance": compliance,
        "resources": [_resource(finding, judged.key, run)],
        **(
            {}
            if finding["status"] == "indeterminate"
            else {"remediation": _remediation(finding, judged.key)}
        ),
    }


def _remediation(finding: Row, key: Row | None) -> Row:
    user_class = None if key is None else key["user_class"]
    what = advice(finding["remedy"], finding["rule_id"])
    return {"desc": f"{what} {better(user_class)}", "references": [BETTER_URL]}


def _resource(finding: Row, key: Row | None, run: Row) -> Row:
    resource: dict[str, Any] = {
        "type": "AwsIamAccessKey",
        "name": finding["access_key_id"] or finding["user_name"],
        "cloud_partition": run["partition"],
        "owner": {"name": finding["user_name"]},
    }
    if finding["access_key_id"]:
        resource["uid"] = finding["access_key_id"]
    if key is not None:
        resource["owner"]["uid"] = key["user_arn"]
        resource["data"] = key
        if key["created_at"]:
            resource["created_time"] = _milliseconds(key["created_at"])
    return resource


def _unread(account: Row, run: Row) -> Row:
    message = not_audited(account)
    identity = "\x00".join((run["partition"], account["id"], _UNREAD))
    return {
        "severity_id": _INFORMATIONAL[0],
        "severity": _INFORMATIONAL[1],
        "status_id": _NEW[0],
        "status": _NEW[1],
        "message": message,
        "finding_info": {
            "uid": hashlib.sha256(identity.encode()).hexdigest()[:32],
            "title": "AWS account not audited whole",
            "desc": message,
            "types": ["Coverage"],
            "created_time": _found_at(run),
        },
        "compliance": {
            "control": _UNREAD,
            "status_id": _UNKNOWN[0],
            "status": _UNKNOWN[1],
            "status_code": account["outcome"],
            "status_details": [message],
        },
        "resources": [
            {"type": "AwsAccount", "uid": account["id"], "cloud_partition": run["partition"]}
        ],
    }


def _found_at(run: Row) -> int:
    return _milliseconds(run["finished_at"] or run["started_at"])


def _milliseconds(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)
