from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from auditor.engine.judgement import RunJudge
from auditor.model.account import OutcomeKind
from auditor.model.finding import JudgedKey
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, ReadError
from auditor.model.unknown import Unknown
from auditor.policy.compiled import CompiledPolicy
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import load_policies
from tests.builders import (
    NOW,
    a_key,
    a_policy,
    a_run,
    a_user_with,
    an_account,
    an_inventory,
    compiled,
    used,
)

POLICIES = load_policies(["baseline"])
NO_REPORT = Unknown(operation="iam:GetCredentialReport", code="AccessDenied")
NO_DETAILS = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")


def judged(
    store: SqliteRunStore,
    *inventories: AccountInventory,
    policies: Sequence[CompiledPolicy] = POLICIES,
) -> StoredReport:
    store.begin(a_run(), [inventory.account for inventory in inventories])
    for inventory in inventories:
        if inventory.outcome is not OutcomeKind.SKIPPED:
            store.save("run-1", inventory)
    judge = RunJudge(store, "run-1", policies, partition="aws", now=NOW)
    store.record("run-1", judge.judged(), judge.results)
    return StoredReport(store.connection, "run-1", version="0")


def control(report: StoredReport, name: str) -> dict[str, object]:
    return next(
        dict(each)
        for each in report.compliance()
        if f"{each['framework']}:{each['control']}" == name
    )


def test_findings_come_in_order_with_ids_that_last(store: SqliteRunStore) -> None:
    old = a_key("AKIA2", days_old=100, last_use=used())
    report = judged(
        store,
        an_inventory(
            a_user_with(old, a_key("AKIA1", days_old=40), name="bob"),
            a_user_with(a_key("AKIA9", days_old=40), name="amy"),
        ),
    )

    found = [
        (each["user_name"], each["access_key_id"], each["rule_id"]) for each in report.findings()
    ]
    first = [each["id"] for each in report.findings()]
    judge = RunJudge(store, "run-1", POLICIES, partition="aws", now=NOW)
    store.record("run-1", judge.judged(), judge.results)

    assert found == [
        ("amy", "AKIA9", "key-never-used"),
        ("bob", "AKIA1", "key-never-used"),
        ("bob", "AKIA2", "key-too-old"),
        ("bob", "AKIA2", "second-active-key"),
    ]
    assert [each["id"] for each in report.findings()] == first
    assert len(set(first)) == 4


def test_a_finding_says_in_words_what_was_found(store: SqliteRunStore) -> None:
    key = a_key(days_old=100, last_use=used(days=2, service="ec2", region="eu-west-1"))

    [finding] = judged(store, an_inventory(a_user_with(key))).findings()

    assert finding["message"] == (
        "Active access key older than 90d: created 100 days ago,"
        " last used 2 days ago for ec2 in eu-west-1"
    )


@pytest.mark.parametrize(
    ("days_old", "told"),
    [(4300, "not used since AWS began to record uses (2015-04-22)"), (3000, "never used")],
)
def test_of_a_key_that_is_older_than_aws_records_only_that_is_said(
    store: SqliteRunStore, days_old: float, told: str
) -> None:
    report = judged(store, an_inventory(a_user_with(a_key(days_old=days_old))))

    assert all(told in finding["message"] for finding in report.findings())


def test_a_use_after_the_time_judged_at_is_no_time_ago(store: SqliteRunStore) -> None:
    key = a_key(days_old=100, last_use=used(days=-3, service="ec2"))

    messages = [
        each["message"] for each in judged(store, an_inventory(a_user_with(key))).findings()
    ]

    assert any("last used after the time judged at for ec2" in each for each in messages)


def test_a_key_with_its_facts_and_violations_is_told(store: SqliteRunStore) -> None:
    [key] = judged(store, an_inventory(a_user_with(a_key(days_old=40.9)))).keys()

    assert key["violations"] == ["key-never-used"]
    assert (key["age_days"], key["idle_days"], key["user_class"]) == (40, 40, "machine")
    assert key["last_used"] == {
        "state": "never",
        "at": None,
        "service": None,
        "region": None,
        "reason": None,
    }


def test_a_control_counts_the_keys_of_users_and_the_accounts_of_root(
    store: SqliteRunStore,
) -> None:
    root = a_user_with(a_key("", days_old=500, last_use=used()), name=ROOT_USER_NAME, admin=True)
    report = judged(
        store,
        an_inventory(root, a_user_with(a_key("AKIA1", days_old=91, last_use=used()))),
        an_inventory(a_user_with(a_key("AKIA2")), account=an_account("2" * 12)),
        an_inventory(account=an_account("3" * 12), outcome=OutcomeKind.UNREACHABLE, via=None),
        an_inventory(account=an_account("4" * 12), outcome=OutcomeKind.PARTIAL),
        an_inventory(
            account=an_account("5" * 12, skip="suspended"), outcome=OutcomeKind.SKIPPED, via=None
        ),
    )

    age, no_root = control(report, "cis-aws-5.0.0:1.13"), control(report, "cis-aws-5.0.0:1.3")
    assert (age["unit"], age["passed"], age["failed"]) == ("key", 1, 1)
    assert age["not_assessed"] == 2
    assert (no_root["unit"], no_root["passed"], no_root["failed"]) == ("account", 2, 1)
    assert no_root["not_assessed"] == 1


def test_unknown_root_keys_are_one_indeterminate_finding_of_the_account(
    store: SqliteRunStore,
) -> None:
    report = judged(store, an_inventory(a_user_with(a_key()), root_keys_unknown=NO_REPORT))

    [finding] = report.findings()
    assert (finding["rule_id"], finding["status"]) == ("root-access-key", "indeterminate")
    assert (finding["user_name"], finding["access_key_id"]) == (ROOT_USER_NAME, None)
    assert control(report, "cis-aws-5.0.0:1.3")["indeterminate"] == 1
    assert len(list(report.keys())) == 1
    [gap] = report.coverage()["gaps"]
    assert gap["statement"]["Action"] == ["iam:GenerateCredentialReport", "iam:GetCredentialReport"]


def test_one_missing_permission_is_one_gap_however_many_rules_needed_it(
    store: SqliteRunStore,
) -> None:
    unknown = Unknown(operation="iam:GetAccessKeyLastUsed", code="AccessDenied")
    keys = [a_key(f"AKIA{number}", days_old=50, last_use=unknown) for number in (1, 2)]

    report = judged(store, an_inventory(a_user_with(keys[0]), a_user_with(keys[1], name="bob")))

    [gap] = report.coverage()["gaps"]
    assert gap["message"] == (
        "key-never-used, key-unused could not be judged for 2 keys in 1 account:"
        " iam:GetAccessKeyLastUsed denied"
    )
    assert report.coverage()["unknown_last_use"] == 2
    assert report.summary()["indeterminate"] == 4


def test_a_failure_that_is_no_denial_has_no_statement(store: SqliteRunStore) -> None:
    unknown = Unknown(operation="iam:GetAccessKeyLastUsed", code="ReadTimeoutError")

    report = judged(store, an_inventory(a_user_with(a_key(days_old=50, last_use=unknown))))

    [gap] = report.coverage()["gaps"]
    assert gap["statement"] is None
    assert gap["message"].endswith("iam:GetAccessKeyLastUsed failed: ReadTimeoutError")


ROOT_ONLY = """
apiVersion: iamaudit/v1
id: house
title: T
rules:
  - {id: other, title: T, severity: low, when: key.active && !user.root}
  - id: by-class
    title: T
    severity: low
    when: user.class == "root"
    controls: ["aws-fsbp:IAM.4"]
"""


def test_unknown_root_keys_are_indeterminate_for_whatever_rule_they_could_break(
    store: SqliteRunStore,
) -> None:
    store.begin(a_run(), [an_account()])
    store.save("run-1", an_inventory(root_keys_unknown=NO_REPORT))
    judge = RunJudge(store, "run-1", [compiled(ROOT_ONLY)], partition="aws", now=NOW)
    store.record("run-1", judge.judged(), judge.results)

    report = StoredReport(store.connection, "run-1", version="0")

    assert [each["rule_id"] for each in report.findings()] == ["by-class"]
    assert control(report, "aws-fsbp:IAM.4")["passed"] == 0
    assert report.coverage()["complete"] is False
    [gap] = report.coverage()["gaps"]
    assert gap["keys"] == 0
    assert "for root keys that may exist in 1 account" in gap["message"]


def test_a_user_whose_keys_were_denied_is_a_gap_with_its_statement(
    store: SqliteRunStore,
) -> None:
    error = ReadError(
        operation="iam:ListAccessKeys", code="AccessDenied", message="no", subject="amy"
    )

    report = judged(store, an_inventory(outcome=OutcomeKind.PARTIAL, errors=(error, error)))

    [gap] = report.coverage()["gaps"]
    assert gap["message"] == "users or keys were not read in 1 account: iam:ListAccessKeys denied"
    assert gap["statement"]["Action"] == ["iam:ListAccessKeys"]


def test_a_judgement_is_replaced_as_a_whole_and_locks_nobody_out_meanwhile(
    store: SqliteRunStore, tmp_path: Path
) -> None:
    judged(store, an_inventory(a_user_with(a_key(days_old=40))))
    judge = RunJudge(store, "run-1", POLICIES, partition="aws", now=NOW)
    other = SqliteRunStore(tmp_path / "iamaudit.db")

    def slowly() -> Iterator[JudgedKey]:
        other.begin(a_run("run-2"), [])
        yield from judge.judged()

    store.record("run-1", slowly(), judge.results)
    other.close()

    report = StoredReport(store.connection, "run-1", version="0")
    assert len(list(report.findings())) == 1


WAIVED = """exemptions:
  - {user: amy, reason: moves to roles, owner: mail team, expires: 2027-01-31}
  - {user: bob, reason: it was once needed, owner: o, expires: 2026-01-31}
  - {user: nobody, rules: [old], reason: a guess, owner: o, expires: 2027-01-31}
  - {tags: {team: web}, reason: web keys, owner: o, expires: 2027-01-31}"""


def test_exemptions_are_counted_the_expired_and_the_unused_too(store: SqliteRunStore) -> None:
    policy = compiled(a_policy(head=WAIVED))
    old = a_key("AKIA1", days_old=400)
    users = (
        a_user_with(old, a_key("AKIA2", days_old=500), name="amy"),
        a_user_with(old, name="bob"),
        a_user_with(old, name="eve", tags=NO_DETAILS),
    )
    report = judged(store, an_inventory(*users), policies=[policy])

    assert [
        (each["reason"], each["state"], each["findings"], each["unread"])
        for each in report.exemptions()
    ] == [
        ("moves to roles", "active", 2, 0),
        ("it was once needed", "expired", 0, 0),
        ("a guess", "active", 0, 0),
        ("web keys", "active", 0, 1),
    ]
    statuses = [(each["user_name"], each["status"]) for each in report.findings()]
    assert statuses == [("amy", "exempt"), ("amy", "exempt"), ("bob", "open"), ("eve", "open")]
    assert report.summary()["exempt"] == 2
    first = next(report.exemptions())
    assert first["where"] == {"user": "amy"}
    assert (first["policy"], first["rules"], first["owner"]) == ("house", None, "mail team")
    [*_, doubtful] = report.findings()
    assert "may be exempt (web keys), but what that asks could not be read" in doubtful["message"]


def test_a_control_on_accounts_counts_users_and_root_alike_and_each_account_once(
    store: SqliteRunStore,
) -> None:
    [nist] = load_policies(["nist-800-53-r5"])
    old, young = a_key("AKIA1", days_old=400), a_key("AKIA2", days_old=1)
    root = a_key("AKIA3", days_old=400, active=False)
    report = judged(
        store,
        an_inventory(a_user_with(old), a_user_with(old, name="bob")),
        an_inventory(a_user_with(young), account=an_account("222222222222")),
        an_inventory(
            a_user_with(root, name=ROOT_USER_NAME, admin=True), account=an_account("333333333333")
        ),
        policies=[nist],
    )

    rotated = control(report, "nist-800-53-r5:AC-2(1)")
    assert (rotated["unit"], rotated["failed"], rotated["passed"]) == ("account", 2, 1)
    root_only = control(report, "nist-800-53-r5:AC-6(10)")
    assert (root_only["failed"], root_only["passed"]) == (1, 2)


def test_an_account_read_in_part_passes_no_control_that_its_unread_keys_may_break(
    store: SqliteRunStore,
) -> None:
    [nist] = load_policies(["nist-800-53-r5"])
    report = judged(
        store,
        an_inventory(a_user_with(a_key(days_old=1)), outcome=OutcomeKind.PARTIAL),
        an_inventory(
            a_user_with(a_key(days_old=400)),
            account=an_account("222222222222"),
            outcome=OutcomeKind.PARTIAL,
        ),
        policies=[nist],
    )

    whole = control(report, "nist-800-53-r5:AC-2(1)")
    assert (whole["passed"], whole["failed"], whole["not_assessed"]) == (0, 1, 1)
    root_only = control(report, "nist-800-53-r5:AC-6(10)")
    assert (root_only["passed"], root_only["not_assessed"]) == (2, 0)
