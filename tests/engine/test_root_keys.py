from datetime import timedelta
from typing import Literal

import pytest

from auditor.engine.account_judge import AccountJudge
from auditor.model.access_key import AccessKey, KeyStatus
from auditor.model.compliance import Counts
from auditor.model.finding import Finding
from auditor.model.unknown import Known, Unknown
from auditor.wiring.policies import load_policies
from tests.builders import NOW, a_key
from tests.engine.test_inventory import read
from tests.fakes import FakeIam, denied

Report = Literal["active", "inactive", "none", "unreadable", "denied"]
Verdict = Literal["passed", "failed", "indeterminate"]


def a_root_key(status: KeyStatus) -> AccessKey:
    key = a_key()
    return AccessKey(
        id=None, slot=1, status=status, created_at=NOW - timedelta(days=1), last_use=key.last_use
    )


KEYS: dict[Report, Known[tuple[AccessKey, ...]]] = {
    "active": (a_root_key(KeyStatus.ACTIVE),),
    "inactive": (a_root_key(KeyStatus.INACTIVE),),
    "none": (),
    "unreadable": Unknown(operation="iam:GetCredentialReport", code="NotInAnswer"),
    "denied": (a_root_key(KeyStatus.ACTIVE),),
}


async def judged(
    report: Report, summary: bool | None, pack: str
) -> tuple[list[Finding], AccountJudge]:
    iam = FakeIam({"bob": []}, root_keys=KEYS[report], root_keys_now=summary)

    def fail(operation: str, _: str) -> None:
        if operation == "iam:GetAccountSummary" and summary is None:
            raise denied(operation)
        if operation == "iam:GetCredentialReport" and report == "denied":
            raise denied(operation)

    iam.fail = fail
    inventory = await read(iam)
    judge = AccountJudge(inventory, load_policies((pack,)), partition="aws", now=NOW)
    findings = [each for key in judge.judged(inventory.users) for each in key.findings]
    return findings, judge


def verdict(counts: Counts) -> Verdict:
    [found] = [name for name in ("passed", "failed", "indeterminate") if getattr(counts, name)]
    return found  # type: ignore[return-value]


# report, summary, what CIS 1.3 says (an active key), what IAM.4 says (any key): by hand.
TABLE: list[tuple[Report, bool | None, Verdict, Verdict]] = [
    ("active", True, "failed", "failed"),
    ("active", False, "indeterminate", "indeterminate"),
    ("active", None, "failed", "failed"),
    ("inactive", True, "passed", "failed"),
    ("inactive", False, "indeterminate", "indeterminate"),
    ("inactive", None, "passed", "failed"),
    ("none", True, "indeterminate", "failed"),
    ("none", False, "passed", "passed"),
    ("none", None, "passed", "passed"),
    ("unreadable", True, "indeterminate", "failed"),
    ("unreadable", False, "passed", "passed"),
    ("unreadable", None, "indeterminate", "indeterminate"),
    ("denied", True, "indeterminate", "failed"),
    ("denied", False, "passed", "passed"),
    ("denied", None, "indeterminate", "indeterminate"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}")
@pytest.mark.parametrize(
    ("pack", "control", "rule"),
    [
        ("cis-aws-5.0.0", "cis-aws-5.0.0:1.3", "cis-aws-5.0.0-root-access-key"),
        ("cis-aws-7.0.0", "cis-aws-7.0.0:2.4", "cis-aws-7.0.0-root-access-key"),
        ("baseline", "cis-aws-5.0.0:1.3", "root-access-key"),
        ("aws-fsbp", "aws-fsbp:IAM.4", "aws-fsbp-root-access-key"),
    ],
)
async def test_root_keys_are_judged_by_what_report_and_summary_say_together(
    row: tuple[Report, bool | None, Verdict, Verdict], pack: str, control: str, rule: str
) -> None:
    report, summary, cis, fsbp = row

    findings, judge = await judged(report, summary, pack)

    wanted = fsbp if pack == "aws-fsbp" else cis
    status = {"passed": [], "failed": ["open"], "indeterminate": ["indeterminate"]}[wanted]
    assert verdict(judge.controls[control]) == wanted
    assert [each.status for each in findings if each.rule_id == rule] == status


async def test_a_root_key_of_unknown_status_has_neither_an_id_nor_a_slot() -> None:
    iam = FakeIam({"bob": []}, root_keys_now=True)

    inventory = await read(iam)

    [root] = [user for user in inventory.users if user.identity.root]
    assert root.identity.arn == "arn:aws:iam::111111111111:root"
    assert [(key.id, key.slot, key.status) for key in root.keys] == [
        (None, None, KeyStatus.UNKNOWN)
    ]
