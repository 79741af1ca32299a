"""Security Hub: what it takes, from whom, and what an update leaves as it was; moto takes all."""

import json
from collections.abc import Mapping
from typing import Any

from moto.securityhub.models import Finding

from auditor.demo.pages import security_hub_page
from auditor.demo.wire import Call, RefusedError
from auditor.demo.world import World, backend

_MOST = 100
_SIZE = 240 * 1024
_LENGTHS = {"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1024}
_READERS_OWN = ("Note", "UserDefinedFields", "VerificationState", "Workflow")
"""Members of a finding that an import does not change."""


def batch_import_findings(call: Call, world: World) -> Mapping[str, Any]:
    """Create findings of the caller's account, or update those that are older."""
    hub, given = _hub(call, world), call.params["Findings"]
    _check_number(given)
    failed = []
    for finding in given:
        reason = _reason_to_reject(finding, call)
        if reason is None:
            _import(hub, finding)
        else:
            code, message = reason
            failed.append({"Id": finding["Id"], "ErrorCode": code, "ErrorMessage": message})
    return {
        "FailedCount": len(failed),
        "SuccessCount": len(given) - len(failed),
        "FailedFindings": failed,
    }


def batch_update_findings(call: Call, world: World) -> Mapping[str, Any]:
    """Set note and workflow of findings."""
    hub, params = _hub(call, world), call.params
    _check_number(params["FindingIdentifiers"])
    found, missing = [], []
    for identifier in params["FindingIdentifiers"]:
        known = _known(hub, identifier["Id"])
        if known is None:
            error = {"ErrorCode": "FindingNotFound", "ErrorMessage": "Finding Not Found"}
            missing.append({"FindingIdentifier": identifier, **error})
            continue
        known.data |= {name: params[name] for name in ("Note", "Workflow") if name in params}
        found.append(identifier)
    return {"ProcessedFindings": found, "UnprocessedFindings": missing}


def get_findings(call: Call, world: World) -> Mapping[str, Any]:
    """Return the findings that pass every filter on text."""
    hub, filters = _hub(call, world), call.params.get("Filters", {})
    found = [
        finding.data
        for finding in hub.findings
        if all(_passes(finding.data.get(name), values) for name, values in filters.items())
    ]
    page, more = security_hub_page(found, call)
    return {"Findings": page, **more}


def _hub(call: Call, world: World) -> Any:
    account_id = call.request.account_id
    if (account_id, call.region) not in world.security_hubs:
        raise RefusedError(
            status=401,
            code="InvalidAccessException",
            message=f"Account {account_id} is not subscribed to AWS Security Hub",
        )
    return backend("securityhub", account_id, call.region)


def _check_number(given: list[Any]) -> None:
    if not 1 <= len(given) <= _MOST:
        raise RefusedError(
            status=400,
            code="InvalidInputException",
            message=f"Invalid parameter: {len(given)} findings, not 1 to {_MOST}",
        )


def _reason_to_reject(finding: Mapping[str, Any], call: Call) -> tuple[str, str] | None:
    account_id = call.request.account_id
    product = f":securityhub:{call.region}:{account_id}:product/{account_id}/default"
    if finding["AwsAccountId"] != account_id or not finding["ProductArn"].endswith(product):
        return "InvalidAccess", "The account that calls is not that of the finding"
    long = [name for name, most in _LENGTHS.items() if not 1 <= len(finding[name]) <= most]
    if long or not finding["Resources"]:
        return "InvalidInput", f"Finding does not adhere to Amazon Finding Format: {long}"
    if any(name.startswith("aws/") for name in finding.get("ProductFields", {})):
        return "InvalidInput", "Finding does not adhere to Amazon Finding Format: aws/ is reserved"
    if len(json.dumps(finding)) > _SIZE:
        return "InvalidInput", "Finding size exceeded 240 KB"
    return None


def _import(hub: Any, finding: Mapping[str, Any]) -> None:
    known = _known(hub, finding["Id"])
    named = {"aws/securityhub/FindingId": f"{finding['ProductArn']}/{finding['Id']}"}
    fields = {**finding.get("ProductFields", {}), **named}
    if known is None:
        fresh = {"Workflow": {"Status": "NEW"}, "RecordState": "ACTIVE", **finding}
        hub.findings.append(Finding(finding["Id"], {**fresh, "ProductFields": fields}))
    elif finding["UpdatedAt"] > known.data["UpdatedAt"]:
        reopened = (known.data["RecordState"], finding.get("RecordState")) == ("ARCHIVED", "ACTIVE")
        known.data |= {n: value for n, value in finding.items() if n not in _READERS_OWN}
        known.data["ProductFields"] = fields
        if reopened and known.data["Workflow"]["Status"] in {"NOTIFIED", "RESOLVED"}:
            known.data["Workflow"] = {"Status": "NEW"}


def _known(hub: Any, id_: str) -> Any:
    return next((finding for finding in hub.findings if finding.id == id_), None)


def _passes(value: object, filters: list[Mapping[str, str]]) -> bool:
    return any(
        str(value).startswith(one["Value"])
        if one["Comparison"] == "PREFIX"
        else value == one["Value"]
        for one in filters
    )
