"""Security Hub CSPM of one account and region, as a place for findings (port Publisher).

It takes findings in the AWS Security Finding Format alone, and from an account's default product
only those of the account that calls. Rates: AWS Security Hub CSPM API Reference, "Welcome".
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore import xform_name

from auditor.aws.calls import Calls
from auditor.aws.errors import failures
from auditor.aws.paging import Pages
from auditor.aws.throttle import Pace
from auditor.ports import Clock, PublishedFinding, Rejected

PREFIX = "iamaudit/"
"""What ids, generators and product fields of ours begin with."""
_PAGE = 100
_READING, _IMPORTING, _UPDATING = (3, 6), (10, 30), (10, 30)
"""Calls a second of an account and region, and at once."""
_SENT = (
    "SchemaVersion", "Id", "ProductArn", "ProductName", "GeneratorId", "AwsAccountId",
    "AwsAccountName", "Types", "FirstObservedAt", "LastObservedAt", "CreatedAt", "UpdatedAt",
    "Severity", "FindingProviderFields", "Title", "Description", "Remediation", "ProductFields",
    "Resources", "Compliance", "RecordState",
)  # fmt: skip
"""The members that a finder of findings may send again; the others are Security Hub's own."""
_NOTE_BY, _NOTE_OF_EXEMPTION = "iamaudit", "exempt"


class SecurityHub:
    """The findings of one account in one region."""

    def __init__(
        self, client: Any, calls: Calls, clock: Clock, *, account_id: str, product_arn: str
    ) -> None:
        """Take a client whose credentials are of the account."""
        self._client = client
        self._calls = calls
        self._account_id = account_id
        self._product_arn = product_arn
        self._reading, self._importing, self._updating = (
            Pace(clock, rate=rate, burst=burst) for rate, burst in (_READING, _IMPORTING, _UPDATING)
        )

    async def published(self) -> AsyncIterator[Sequence[PublishedFinding]]:
        """Yield the findings of ours that it has, archived ones too, 100 a page (GetFindings)."""
        asked: dict[str, Any] = {
            "Filters": {
                # An administrator's account answers with its members' findings as well.
                "AwsAccountId": [_is("EQUALS", self._account_id)],
                "ProductArn": [_is("EQUALS", self._product_arn)],
                "GeneratorId": [_is("PREFIX", PREFIX)],
            },
            "MaxResults": _PAGE,
        }
        pages = Pages("securityhub:GetFindings")
        while True:
            answer = await self._call("GetFindings", self._reading, asked)
            with failures("securityhub:GetFindings"):
                page = [_parsed(each) for each in answer["Findings"] if self._is_ours(each)]
                token = answer.get("NextToken")
            yield page
            if not token:
                return
            asked["NextToken"] = pages.follow(token, answer["Findings"])

    async def send(self, findings: Sequence[Mapping[str, Any]]) -> Sequence[Rejected]:
        """Create or update findings (BatchImportFindings); return those that were not taken."""
        answer = await self._call(
            "BatchImportFindings", self._importing, {"Findings": list(findings)}
        )
        with failures("securityhub:BatchImportFindings"):
            return [_rejected(each["Id"], each) for each in answer.get("FailedFindings", ())]

    async def set_workflow(self, ids: Sequence[str], status: str, note: str) -> Sequence[Rejected]:
        """Set the workflow status, and why (BatchUpdateFindings); return those not taken."""
        asked = {
            "FindingIdentifiers": [{"Id": id_, "ProductArn": self._product_arn} for id_ in ids],
            "Workflow": {"Status": status},
            "Note": {"Text": note, "UpdatedBy": _NOTE_BY},
        }
        answer = await self._call("BatchUpdateFindings", self._updating, asked)
        with failures("securityhub:BatchUpdateFindings"):
            return [
                _rejected(each["FindingIdentifier"]["Id"], each)
                for each in answer.get("UnprocessedFindings", ())
            ]

    def _is_ours(self, finding: Mapping[str, Any]) -> bool:
        """Whether it is of this tool and account: what is not must never be archived."""
        return bool(
            finding["AwsAccountId"] == self._account_id
            and finding["ProductArn"] == self._product_arn
            and finding["GeneratorId"].startswith(PREFIX)
            and finding["Id"].startswith(PREFIX)
        )

    async def _call(
        self, operation: str, pace: Pace, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        method = getattr(self._client, xform_name(operation))
        send: Callable[[], Awaitable[Mapping[str, Any]]] = partial(method, **arguments)
        await pace.turn()
        return await self._calls.call(f"securityhub:{operation}", send)


def _is(comparison: str, value: str) -> dict[str, str]:
    return {"Comparison": comparison, "Value": value}


def _rejected(id_: str, entry: Mapping[str, Any]) -> Rejected:
    return Rejected(id=str(id_), code=str(entry["ErrorCode"]), message=str(entry["ErrorMessage"]))


def _parsed(raw: Mapping[str, Any]) -> PublishedFinding:
    content = {name: raw[name] for name in _SENT if name in raw}
    # Security Hub adds some of its own, which only AWS may send.
    fields = {n: v for n, v in raw.get("ProductFields", {}).items() if n.startswith(PREFIX)}
    content["ProductFields"] = fields
    created, updated = str(raw["CreatedAt"]), str(raw["UpdatedAt"])
    return PublishedFinding(
        id=str(raw["Id"]),
        rule_id=str(raw["GeneratorId"]).removeprefix(PREFIX),
        user_name=_user_name(raw),
        active=raw.get("RecordState", "ACTIVE") == "ACTIVE",
        workflow=_workflow(raw),
        suppressed_as_exempt=_suppressed_as_exempt(raw, fields),
        created_at=created,
        first_observed_at=str(raw.get("FirstObservedAt") or created),
        observed_at=_instant(str(raw.get("LastObservedAt") or updated)),
        updated_at=_instant(updated),
        content=content,
    )


def _workflow(raw: Mapping[str, Any]) -> str:
    return str(raw.get("Workflow", {}).get("Status", "NEW"))


def _suppressed_as_exempt(raw: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    note = raw.get("Note", {})
    by_note = note.get("UpdatedBy") == _NOTE_BY and note["Text"].startswith(_NOTE_OF_EXEMPTION)
    exempt = fields.get(f"{PREFIX}status") == _NOTE_OF_EXEMPTION
    return _workflow(raw) == "SUPPRESSED" and (by_note or exempt)


def _user_name(raw: Mapping[str, Any]) -> str | None:
    for resource in raw["Resources"]:
        key = resource.get("Details", {}).get("AwsIamAccessKey", {})
        if "PrincipalName" in key:
            return str(key["PrincipalName"])
    return None


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
