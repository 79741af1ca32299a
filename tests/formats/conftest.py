"""A fake document with builders for its parts; a part's defaults make an unremarkable run."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from auditor.formats import html
from auditor.formats.document import (
    AccountPart,
    BaselinePart,
    ChangesSummary,
    Compliance,
    CoveragePart,
    ExemptionPart,
    FindingChange,
    FindingPart,
    Gap,
    Key,
    PlanPart,
    RunPart,
    Summary,
    Tool,
)
from auditor.formats.stream import ChangesStream, Judged, ReportStream, Row
from auditor.model.ageing import Ageing, Ages, ageing
from auditor.model.finding import Severity, finding_id
from tests.browser import OpenFile, launched, watched
from tests.tally import tally

ACCOUNT = "111111111111"
KEY = "AKIAIOSFODNN7EXAMPLE"
SEVERITIES = [severity.value for severity in Severity]
RULES: list[Row] = [
    {
        "id": "key-too-old",
        "title": "Active access key older than 90d",
        "severity": "medium",
        "when": "key.active && key.age > params.max_age",
        "remedy": "rotate",
        "controls": ["cis-aws-5.0.0:1.13", "aws-fsbp:IAM.3"],
    },
    {
        "id": "root-access-key",
        "title": "Active access key of the root user",
        "severity": "critical",
        "when": "key.active && user.root",
        "remedy": "none",
        "controls": [],
    },
]
Make = Callable[..., Row]
_user = itemgetter("account_id", "user_name")


def _account(**changes: object) -> Row:
    account: Row = {
        "id": ACCOUNT,
        "name": "production",
        "ou": "ou-ab12-workloads",
        "state": "ACTIVE",
        "outcome": "audited",
        "via": "role",
        "role_arn": f"arn:aws:iam::{changes.get('id', ACCOUNT)}:role/iamaudit-read",
        "credential_report_at": "2026-06-01T09:58:00Z",
        "users": 3,
        "keys": 4,
        "errors": [],
    }
    return AccountPart.model_validate({**account, **changes}).model_dump()


def _error(**changes: object) -> Row:
    error: Row = {
        "operation": "sts:AssumeRole",
        "code": "AccessDenied",
        "message": "not authorized to perform: sts:AssumeRole",
        "subject": None,
    }
    return {**error, **changes}


def _key(*, last_used: Row | None = None, **changes: object) -> Row:
    use: Row = {
        "state": "used",
        "at": "2026-05-30T08:00:00Z",
        "service": "s3",
        "region": "eu-central-1",
        "reason": None,
    }
    key: Row = {
        "account_id": ACCOUNT,
        "user_name": "deploy",
        "user_arn": f"arn:aws:iam::{ACCOUNT}:user/deploy",
        "user_class": "machine",
        "owner": None,
        "access_key_id": KEY,
        "slot": None,
        "status": "Active",
        "created_at": "2025-01-01T00:00:00Z",
        "age_days": 516,
        "idle_days": 2,
        "last_used": {**use, **(last_used or {})},
        "violations": ["key-too-old"],
    }
    return Key.model_validate({**key, **changes}).model_dump()


def _finding(*, slot: int | None = None, **changes: object) -> Row:
    rule = next((one for one in RULES if one["id"] == changes.get("rule_id")), RULES[0])
    finding: dict[str, object] = {
        "rule_id": rule["id"],
        "title": rule["title"],
        "severity": rule["severity"],
        "status": "open",
        "account_id": ACCOUNT,
        "user_name": "deploy",
        "access_key_id": KEY,
        "message": "Active for 516 days",
        "remedy": rule["remedy"],
        "controls": rule["controls"],
        "exemption": None,
        **changes,
    }
    finding.setdefault(
        "id",
        finding_id(
            partition="aws",
            account_id=str(finding["account_id"]),
            user_name=str(finding["user_name"]),
            key=str(finding["access_key_id"] or f"slot-{slot}"),
            rule_id=str(finding["rule_id"]),
        ),
    )
    return FindingPart.model_validate(finding).model_dump()


def _gap(**changes: object) -> Row:
    gap: Row = {
        "rules": ["key-unused", "inactive-key-lingering"],
        "keys": 3,
        "accounts": 1,
        "operation": "iam:GetAccessKeyLastUsed",
        "code": "AccessDenied",
        "message": "the last use of 3 keys is unknown",
        "statement": {
            "Effect": "Allow",
            "Action": "iam:GetAccessKeyLastUsed",
            "Resource": "*",
        },
    }
    return Gap.model_validate({**gap, **changes}).model_dump()


def _exemption(**changes: object) -> Row:
    exemption: Row = {
        "policy": "house",
        "rules": ["key-too-old"],
        "where": {"user": "svc-*", "tags": {"team": "mail"}},
        "reason": "moves to roles in spring",
        "owner": "platform@example.com",
        "expires": "2027-01-31",
        "state": "active",
        "findings": 2,
        "unread": 0,
    }
    return ExemptionPart.model_validate({**exemption, **changes}).model_dump()


def _action(outcome: Row | None = None, **changes: object) -> Row:
    action: Row = {
        "id": "0123456789abcdef",
        "account_id": ACCOUNT,
        "user_name": "deploy",
        "user_arn": f"arn:aws:iam::{ACCOUNT}:user/deploy",
        "access_key_id": KEY,
        "kind": "deactivate",
        "because": ["key-unused"],
        "expected": {
            "status": "Active",
            "created_at": "2025-01-01T00:00:00Z",
            "last_used": {
                "state": "used", "at": "2026-01-01T00:00:00Z", "service": "s3", "region": "x",
                "operation": None, "code": None,
            },
        },
        "reversible": True,
        "outcome": outcome,
    }  # fmt: skip
    return {**action, **changes}


def _outcome(**changes: object) -> Row:
    outcome: Row = {
        "result": "applied",
        "reason": "",
        "at": "2026-06-01T11:00:00Z",
        "request_id": "r-1",
        "new_access_key_id": None,
        "secret_in": None,
        "undone": False,
    }
    return {**outcome, **changes}


def _plan(**changes: object) -> Row:
    plan: Row = {
        "id": "plan-1",
        "created_at": "2026-06-01T10:00:00Z",
        "expires_at": "2026-06-02T10:00:00Z",
        "sha256": "cd" * 32,
        "applicable": True,
        "actions": [_action()],
        "held": [],
    }
    return PlanPart.model_validate({**plan, **changes}).model_dump()


def _compliance(**changes: object) -> Row:
    line: Row = {
        "framework": "CIS AWS Foundations 5.0.0",
        "control": "1.13",
        "unit": "key",
        "passed": 30,
        "failed": 4,
        "exempt": 1,
        "indeterminate": 2,
        "not_assessed": 3,
        "accounts": [],
    }
    return Compliance.model_validate({**line, **changes}).model_dump()


def _run(**changes: object) -> Row:
    run: Row = {
        "id": "20260601T100000-4f2a",
        "started_at": "2026-06-01T10:00:00Z",
        "finished_at": "2026-06-01T10:02:30Z",
        "now": "2026-06-01T10:00:00Z",
        "source": "live",
        "partition": "aws",
        "caller_arn": "arn:aws:sts::999999999999:assumed-role/audit/me",
        "policies": [
            {
                "id": "baseline",
                "title": "Access key baseline",
                "sha256": "ab" * 32,
                "params": {"max_age": "90d", "max_idle": "45d"},
            }
        ],
        "api_calls": {"iam:ListUsers": 14, "iam:GetAccessKeyLastUsed": 1234},
        "throttled": 2,
        "digest": "d1" * 32,
    }
    return RunPart.model_validate({**run, **changes}).model_dump()


def _changed(**changes: object) -> Row:
    """A finding that is new, unless told otherwise."""
    finding = _finding()
    told = ("id", "rule_id", "title", "severity", "account_id", "user_name", "access_key_id",
            "message", "status")  # fmt: skip
    row = {
        "change": "new",
        **{name: finding[name] for name in told},
        "before": None,
        "differs": [],
        "reason": "a new key",
    }
    return FindingChange.model_validate({**row, **changes}).model_dump()


@dataclass(kw_only=True)
class FakeChanges:
    """Changes in memory; findings may be made while they are read."""

    findings_given: Sequence[Row] | Callable[[], Iterator[Row]]
    keys_given: Sequence[Row] = ()
    accounts_given: Sequence[Row] = ()
    same_policies: bool = True

    def baseline(self) -> Row:
        return BaselinePart(
            id="20260531T100000-1a2b",
            started_at="2026-05-31T10:00:00Z",
            finished_at="2026-05-31T10:02:30Z",
            now="2026-05-31T10:00:00Z",
            same_policies=self.same_policies,
            same_source=True,
        ).model_dump()

    def summary(self) -> Row:
        sums = {name: dict.fromkeys(SEVERITIES, 0) for name in ("new", "resolved", "still_open")}
        others = dict.fromkeys(("changed", "not_looked_at"), 0)
        for row in self.findings():
            if row["change"] in sums:
                sums[row["change"]][row["severity"]] += 1
            else:
                others[row["change"]] += 1
        keys = [key["change"] for key in self.keys_given]
        worse = sum(account["worse"] for account in self.accounts_given)
        summary = {
            **sums,
            **others,
            "unjudged": 0,
            "keys": {name: keys.count(name) for name in ("appeared", "disappeared", "changed")},
            "accounts": {"changed": len(self.accounts_given), "worse": worse},
        }
        return ChangesSummary.model_validate(summary).model_dump()

    def findings(self) -> Iterator[Row]:
        given = self.findings_given
        return given() if callable(given) else iter(given)

    def keys(self) -> Iterator[Row]:
        return iter(self.keys_given)

    def accounts(self) -> Iterator[Row]:
        return iter(self.accounts_given)


def _changes(*findings: Row, **parts: Any) -> ChangesStream:
    return FakeChanges(**({"findings_given": findings} | parts))


def _is_about(finding: Row, key: Row, partition: str) -> bool:
    if key["access_key_id"] is not None or finding["access_key_id"] is not None:
        return bool(key["access_key_id"] == finding["access_key_id"])
    return bool(
        finding["id"]
        == finding_id(
            partition=partition,
            account_id=finding["account_id"],
            user_name=finding["user_name"],
            key=f"slot-{key['slot']}",
            rule_id=finding["rule_id"],
        )
    )


@dataclass(kw_only=True)
class FakeDocument:
    """A document in memory, or one whose findings are made while they are read."""

    accounts_given: Sequence[Row]
    keys_given: Sequence[Row]
    findings_given: Sequence[Row] | Callable[[], Iterator[Row]]
    run_given: Row
    gaps: Sequence[Row] = ()
    compliance_given: Sequence[Row] = ()
    exemptions_given: Sequence[Row] = ()
    plan_given: Row | None = None
    changes_given: ChangesStream | None = None
    rules_given: Sequence[Row] = field(default_factory=lambda: RULES)
    complete: bool | None = None
    taken_given: Set[tuple[str, str]] = frozenset()

    def tool(self) -> Row:
        return Tool(name="iamaudit", version="0.1.0").model_dump()

    def run(self) -> Row:
        return self.run_given

    def coverage(self) -> Row:
        outcomes = [account["outcome"] for account in self.accounts_given]
        names = ("audited", "partial", "unreachable", "skipped")
        by_outcome = {name: outcomes.count(name) for name in names}
        whole = not by_outcome["partial"] and not by_outcome["unreachable"]
        coverage = {
            "complete": whole if self.complete is None else self.complete,
            "accounts": {"total": len(outcomes), **by_outcome},
            "users": sum(account["users"] for account in self.accounts_given),
            "keys": len(self.keys_given),
            "unknown_last_use": sum(
                key["last_used"]["state"] == "unknown" for key in self.keys_given
            ),
            "gaps": list(self.gaps),
        }
        return CoveragePart.model_validate(coverage).model_dump()

    def accounts(self) -> Iterator[Row]:
        return iter(self.accounts_given)

    def keys(self) -> Iterator[Row]:
        return iter(self.keys_given)

    def findings(self) -> Iterator[Row]:
        given = self.findings_given
        return given() if callable(given) else iter(given)

    def judged(self) -> Iterator[Judged]:
        """Pair by id; keys of the root user without one by their slot, which made the finding's."""
        for (account_id, _), rows in groupby(merge(self.keys(), self.findings(), key=_user), _user):
            mine: list[Row] = []
            found: list[Row] = []
            for row in rows:
                (found if "rule_id" in row else mine).append(row)
            for key in mine:
                its = [row for row in found if _is_about(row, key, self.run()["partition"])]
                found = [row for row in found if row not in its]
                yield account_id, key, its
            if found:
                yield account_id, None, found

    def tally(self) -> Mapping[str, Mapping[str, int]]:
        return tally(self.findings())

    def ageing(self) -> Ageing:
        days = [(key, key["age_days"], key["idle_days"]) for key in self.keys()]
        return ageing(
            Ages(
                active=key["status"] == "Active",
                age=None if age is None else timedelta(days=age),
                idle=None if idle is None else timedelta(days=idle),
                never_used=key["last_used"]["state"] == "never",
            )
            for key, age, idle in days
        )

    def summary(self) -> Row:
        counts = dict.fromkeys([*SEVERITIES, "exempt", "indeterminate"], 0)
        for finding in self.findings():
            is_open = finding["status"] == "open"
            counts[finding["severity"] if is_open else finding["status"]] += 1
        others = {name: counts.pop(name) for name in ("exempt", "indeterminate")}
        return Summary.model_validate({"open": counts, **others}).model_dump()

    def compliance(self) -> Iterator[Row]:
        return iter(self.compliance_given)

    def exemptions(self) -> Iterator[Row]:
        return iter(self.exemptions_given)

    def rules(self) -> Sequence[Row]:
        return self.rules_given

    def taken(self) -> Set[tuple[str, str]]:
        return self.taken_given

    def plan(self) -> Row | None:
        return self.plan_given

    def changes(self) -> ChangesStream | None:
        return self.changes_given


def _document(
    *,
    accounts: Sequence[Row] | None = None,
    keys: Sequence[Row] | None = None,
    findings: Sequence[Row] | Callable[[], Iterator[Row]] = (),
    run: Row | None = None,
    **parts: object,
) -> ReportStream:
    return FakeDocument(
        accounts_given=[_account()] if accounts is None else accounts,
        keys_given=[_key()] if keys is None else keys,
        findings_given=findings,
        run_given=run or _run(),
        **parts,  # type: ignore[arg-type] # a wrong name is a TypeError of the test
    )


@pytest.fixture
def an_account() -> Make:
    return _account


@pytest.fixture
def an_error() -> Make:
    return _error


@pytest.fixture
def a_key() -> Make:
    return _key


@pytest.fixture
def a_finding() -> Make:
    return _finding


@pytest.fixture
def a_gap() -> Make:
    return _gap


@pytest.fixture
def a_control() -> Make:
    return _compliance


@pytest.fixture
def an_action() -> Make:
    return _action


@pytest.fixture
def an_outcome() -> Make:
    return _outcome


@pytest.fixture
def a_plan() -> Make:
    return _plan


@pytest.fixture
def an_exemption() -> Make:
    return _exemption


@pytest.fixture
def a_change() -> Make:
    return _changed


@pytest.fixture
def changes_of() -> Callable[..., ChangesStream]:
    return _changes


@pytest.fixture
def a_run() -> Make:
    return _run


@pytest.fixture
def a_document() -> Callable[..., ReportStream]:
    return _document


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[ReportStream], Path]:
    """Return a function that writes a document's page to a file."""

    def save(document: ReportStream) -> Path:
        path = tmp_path / "report.html"
        with path.open("w", encoding="utf-8") as out:
            html.write(document, out)
        return path

    return save


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a file; no longer, as nothing asynchronous runs beside it."""
    with launched() as started:
        yield started


@pytest.fixture
def open_file(browser: Browser) -> Iterator[OpenFile]:
    """Return a function that opens a page; the browser may not complain or ask for more."""
    with watched(browser) as opened:
        yield opened


@pytest.fixture
def open_page(open_file: OpenFile, saved: Callable[[ReportStream], Path]) -> Callable[..., Tab]:
    """Return a function that opens a document likewise."""

    def open_it(document: ReportStream, *, fragment: str = "") -> Tab:
        return open_file(saved(document), fragment=fragment)

    return open_it
