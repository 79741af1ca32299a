"""report.asff.json: findings in the AWS Security Finding Format, as BatchImportFindings takes them.

Beside the findings there is one for each account that was not audited whole: its compliance is not
available, never passed.
https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format-syntax.html
"""

import hashlib
from collections.abc import Iterator
from typing import Any, TextIO

from auditor.formats.advice import BETTER_URL, advice
from auditor.formats.array import write_array
from auditor.formats.judged import JudgedRow, by_account, is_read, not_audited
from auditor.formats.stream import ReportStream, Row
from auditor.formats.visible import VisibleReport
from auditor.model.identity import ROOT_USER_NAME

_REGIONS = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Where findings on IAM belong, which has no region of its own, by partition."""
_PARTITIONS = frozenset({"aws", "aws-cn", "aws-us-gov"})
_KEY_STATUSES = frozenset({"Active", "Inactive"})
"""ASFF has no word for an expired key."""
_LABELS = {"info": "INFORMATIONAL"}
_RESULTS = {"open": "FAILED", "exempt": "FAILED", "indeterminate": "WARNING"}
_TYPES = ["Software and Configuration Checks/AWS Security Best Practices"]
_TITLE, _TEXT, _NOTE, _REQUIREMENTS = 256, 1024, 512, 32
"""Limits of ASFF: bytes of a title, a description, a note or id; related requirements."""


def write(document: ReportStream, out: TextIO) -> None:
    """Write the findings one by one."""
    write_array(findings(document), out)


def findings(document: ReportStream, *, region: str | None = None) -> Iterator[Row]:
    """Yield the findings, and for each account that was not audited whole that it was not.

    `region` is that of the Security Hub they are for; None: where the partition's findings on
    global services go. An account's findings come together.
    """
    shown = VisibleReport(document)
    run, tool = shown.run(), shown.tool()
    where = region or _REGIONS.get(run["partition"], "us-east-1")
    for account, keys in by_account(document):
        whole = _Findings(run=run, tool=tool, account=account, region=where)
        if not is_read(account):
            yield whole.unread()
        for judged in keys:
            for finding in judged.findings:
                yield whole.finding(finding, judged)


class _Findings:
    """Makes the findings of one account."""

    def __init__(self, *, run: Row, tool: Row, account: Row, region: str) -> None:
        self._run, self._account, self._region = run, account, region
        observed = run["finished_at"] or run["started_at"]
        product = f"product/{account['id']}/default"
        self._common = {
            "SchemaVersion": "2018-10-08",
            "ProductArn": f"arn:{run['partition']}:securityhub:{region}:{account['id']}:{product}",
            "ProductName": tool["name"],
            "AwsAccountId": account["id"],
            "CreatedAt": run["started_at"],
            "UpdatedAt": observed,
            "LastObservedAt": observed,
            "RecordState": "ACTIVE",
        }
        if account["name"]:
            self._common["AwsAccountName"] = account["name"]

    def finding(self, finding: Row, judged: JudgedRow) -> Row:
        """Return one rule that a key breaks, is exempt from, or could not be judged by."""
        exempt = finding["status"] == "exempt"
        compliance: dict[str, Any] = {"Status": _RESULTS[finding["status"]]}
        if finding["controls"]:
            compliance["RelatedRequirements"] = finding["controls"][:_REQUIREMENTS]
        if finding["status"] == "indeterminate":
            reason = {
                "ReasonCode": "COULD_NOT_BE_JUDGED",
                "Description": _clipped(finding["message"], _TEXT),
            }
            compliance["StatusReasons"] = [reason]
        made = self._made(
            id_=finding["id"],
            generator=finding["rule_id"],
            severity=finding["severity"],
            title=finding["title"],
            description=finding["message"],
            status=finding["status"],
            compliance=compliance,
            resources=self._key(finding, judged.key),
        )
        made["Workflow"] = {"Status": "SUPPRESSED" if exempt else "NEW"}
        if finding["status"] != "indeterminate":
            recommended = {"Text": advice(finding["remedy"], finding["rule_id"]), "Url": BETTER_URL}
            made["Remediation"] = {"Recommendation": recommended}
        if finding["exemption"]:
            made["Note"] = {
                "Text": _clipped(f"exempt: {finding['exemption']}", _NOTE),
                "UpdatedBy": self._common["ProductName"],
                "UpdatedAt": self._common["UpdatedAt"],
            }
        return made

    def unread(self) -> Row:
        """Return that the account was not audited, or not wholly, and why."""
        message = not_audited(self._account)
        identity = "\x00".join((self._run["partition"], self._account["id"], "account-not-audited"))
        made = self._made(
            id_=hashlib.sha256(identity.encode()).hexdigest()[:32],
            generator="account-not-audited",
            severity="info",
            title="AWS account not audited whole",
            description=message,
            status=self._account["outcome"],
            compliance={
                "Status": "NOT_AVAILABLE",
                "StatusReasons": [
                    {"ReasonCode": "NOT_AUDITED", "Description": _clipped(message, _TEXT)}
                ],
            },
            resources=[self._resource("AwsAccount", f"AWS::::Account:{self._account['id']}")],
        )
        made["Workflow"] = {"Status": "NEW"}
        return made

    def _made(
        self,
        *,
        id_: str,
        generator: str,
        severity: str,
        title: str,
        description: str,
        status: str,
        compliance: Row,
        resources: list[Row],
    ) -> dict[str, Any]:
        rated = {"Label": _LABELS.get(severity, severity.upper()), "Original": severity}
        return {
            **self._common,
            "Id": f"iamaudit/{id_}",
            "GeneratorId": f"iamaudit/{_clipped(generator, _TITLE)}",
            "Types": _TYPES,
            "Severity": rated,
            "FindingProviderFields": {"Severity": rated, "Types": _TYPES},
            "Title": _clipped(title, _TITLE),
            "Description": _clipped(description, _TEXT),
            "ProductFields": {"iamaudit/run": self._run["id"], "iamaudit/status": status},
            "Compliance": compliance,
            "Resources": resources,
        }

    def _key(self, finding: Row, key: Row | None) -> list[Row]:
        """Return the resources of a finding: its key, if that has an id, and whose it is."""
        key_id, name = finding["access_key_id"], finding["user_name"]
        root = name == ROOT_USER_NAME
        details = {
            "AccountId": self._account["id"],
            "PrincipalName": name,
            "PrincipalType": "Root" if root else "IAMUser",
        }
        if key_id:
            details["AccessKeyId"] = key_id
        if key is not None and key["created_at"]:
            details["CreatedAt"] = key["created_at"]
        if key is not None and key["status"] in _KEY_STATUSES:
            details["Status"] = key["status"]
        account = f"AWS::::Account:{self._account['id']}"
        slot = "" if key is None or key["slot"] is None else f":{key['slot']}"
        its_id = key_id or f"{self._account['id']}:root{slot}"
        resources: list[Row] = [
            {
                **self._resource("AwsIamAccessKey", f"AWS::IAM::AccessKey:{its_id}"),
                "Details": {"AwsIamAccessKey": details},
            }
        ]
        if root:
            resources.append(self._resource("AwsAccount", account))
        elif key is not None:
            resources.append(self._resource("AwsIamUser", key["user_arn"]))
        return resources

    def _resource(self, type_: str, id_: str) -> dict[str, Any]:
        partition = self._run["partition"]
        known = {"Partition": partition} if partition in _PARTITIONS else {}
        return {"Type": type_, "Id": _clipped(id_, _NOTE), "Region": self._region, **known}


def _clipped(text: str, most: int) -> str:
    """Return the text, or as much of it as fits into so many bytes of UTF-8, with an ellipsis."""
    whole = text.encode()
    if len(whole) <= most:
        return text
    return f"{whole[: most - 3].decode(errors='ignore')}…"
