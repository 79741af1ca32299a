"""The mistakes of our peers about reading and judging, each as what we do instead.

The docstring of a test names the peer; what was seen of it is told in its issue tracker or was
found by running it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.engine.in_process import InProcess
from auditor.engine.judgement import RunJudge
from auditor.engine.scan import Scan
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, Used
from auditor.policy.compiled import CompiledPolicy
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import load_policies, pack_names
from tests.builders import ACCOUNT_ID, NOW, a_key, a_run, an_account, compiled, used
from tests.fakes import FakeClock, FakeIam, FakeSessions, denied

[BASELINE] = load_policies(["baseline"])
OURS = "apiVersion: iamaudit/v1\nid: ours\ntitle: Ours\nextends: baseline\n"
IN_USE = used(days=1)
LONG_UNUSED = used(days=900)


class Auditor:
    """Scans fake accounts into a store and judges them, as the commands do."""

    def __init__(self, store: SqliteRunStore) -> None:
        self._store = store
        self.clock = FakeClock()

    async def __call__(
        self,
        accounts: Mapping[str, FakeIam] | FakeIam,
        *,
        policy: CompiledPolicy = BASELINE,
        beside: tuple[str, ...] = (),
    ) -> StoredReport:
        """Return the report on these accounts, and on those `beside`, which can't be entered."""
        if isinstance(accounts, FakeIam):
            accounts = {ACCOUNT_ID: accounts}
        wanted = [an_account(each) for each in (*accounts, *beside)]
        self._store.begin(a_run(), wanted)
        sessions, tally = FakeSessions(dict(accounts)), Tally()
        auditing = InProcess(sessions, concurrency=8, tally=tally, clock=self.clock)
        await Scan(auditing, store=self._store, run_id="run-1", tally=tally).read(wanted)
        judge = RunJudge(self._store, "run-1", [policy], partition="aws", now=NOW)
        self._store.record("run-1", judge.judged(), judge.results)
        return StoredReport(self._store.connection, "run-1", version="0")


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Auditor]:
    store = SqliteRunStore(tmp_path / "iamaudit.db")
    yield Auditor(store)
    store.close()


def found(report: StoredReport) -> set[tuple[Any, Any, Any]]:
    """Key, rule and status of every finding."""
    return {(each["access_key_id"], each["rule_id"], each["status"]) for each in report.findings()}


def failing(*operations: str, how: Callable[[str], AwsFailure] = denied) -> Any:
    def fail(operation: str, subject: str) -> None:
        if operation in operations:
            raise how(operation)

    return fail


def throttled(operation: str) -> AwsFailure:
    return AwsFailure(
        operation=operation, code="Throttling", message="slow", kind=FailureKind.THROTTLED
    )


NEVER_USED = {
    "baseline": "key-never-used",
    "strict": "key-never-used",
    "aws-fsbp": "aws-fsbp-key-unused-45",
}


@pytest.mark.parametrize("pack", pack_names())
async def test_an_active_key_of_400_days_that_was_never_used_is_flagged_by_every_pack(
    pack: str, audit: Auditor
) -> None:
    """Prowler: passes its check on unused keys."""
    [policy] = load_policies([pack])

    report = await audit(FakeIam({"bob": [a_key("AKIA1", days_old=400)]}), policy=policy)

    rule = NEVER_USED.get(pack, f"{pack}-key-unused")
    assert ("AKIA1", rule, "open") in found(report)


@pytest.mark.parametrize(
    ("operations", "missing"),
    [
        (("iam:GetCredentialReport",), {"human-access-key"}),
        (("iam:GetAccountAuthorizationDetails",), {"admin-access-key"}),
        (
            ("iam:GetAccountAuthorizationDetails", "iam:ListEntitiesForPolicy"),
            {"admin-access-key", "key-quarantined"},
        ),
    ],
)
async def test_what_could_not_be_read_is_indeterminate_and_the_coverage_incomplete(
    operations: tuple[str, ...], missing: set[str], audit: Auditor
) -> None:
    """Prowler: "There are no findings", and exit 0."""
    iam = FakeIam({"bob": [a_key("AKIA1", last_use=IN_USE)]}, fail=failing(*operations))

    report = await audit(iam)

    assert found(report) >= {("AKIA1", rule, "indeterminate") for rule in missing}
    assert report.coverage()["complete"] is False
    assert {gap["operation"] for gap in report.coverage()["gaps"]} == set(operations)


async def test_whether_root_has_keys_is_a_finding_of_its_own_where_it_could_not_be_read(
    audit: Auditor,
) -> None:
    """Prowler: no report, so no word about root keys."""
    fail = failing("iam:GetCredentialReport", "iam:GetAccountSummary")

    report = await audit(FakeIam({"bob": []}, fail=fail))

    assert found(report) == {(None, "root-access-key", "indeterminate")}
    assert report.coverage()["complete"] is False


async def test_every_finding_names_its_key(audit: Auditor) -> None:
    """Prowler: `user-access-key-1`, a column of the credential report."""
    keys = [a_key(f"AKIA{number}", days_old=100 * number) for number in (1, 2, 3)]
    iam = FakeIam({"amy": keys[:2], "human": keys[2:]})

    findings = list((await audit(iam)).findings())

    assert {each["access_key_id"] for each in findings} == {"AKIA1", "AKIA2", "AKIA3"}
    assert len({each["id"] for each in findings}) == len(findings) > 3


@pytest.mark.parametrize(("days", "flagged"), [(30, True), (99, True), (100, False), (180, False)])
async def test_the_age_that_is_too_old_is_the_operators_to_set(
    days: int, flagged: bool, audit: Auditor
) -> None:
    """Prowler: 90 days, in its source."""
    policy = compiled(OURS + f"params: {{max_age: {days}d}}\n")
    iam = FakeIam({"bob": [a_key("AKIA1", days_old=100, last_use=IN_USE)]})

    report = await audit(iam, policy=policy)

    assert found(report) == ({("AKIA1", "key-too-old", "open")} if flagged else set())


async def test_a_report_that_never_gets_ready_is_waited_for_with_pauses_and_not_for_ever(
    audit: Auditor,
) -> None:
    """Prowler: 3,396 polls without a sleep. ScoutSuite: three in 0.3 seconds, then no users."""
    iam = FakeIam({"bob": [a_key("AKIA1", days_old=40)]}, polls=10**9)

    report = await audit(iam)

    assert iam.count("iam:GenerateCredentialReport") < 20
    assert min(audit.clock.slept) >= 0.5
    assert ("AKIA1", "key-never-used", "open") in found(report)
    assert ("AKIA1", "human-access-key", "indeterminate") in found(report)


async def test_of_two_keys_only_the_offending_one_is_flagged_never_the_one_in_use(
    audit: Auditor,
) -> None:
    """Cloud Custodian: `remove-keys` takes every key of a user that matched."""
    busy = a_key("AKIABUSY", days_old=20, last_use=IN_USE)
    idle = a_key("AKIAIDLE", days_old=1000, last_use=LONG_UNUSED)

    report = await audit(FakeIam({"bob": [busy, idle]}))

    assert {key for key, _, _ in found(report)} == {"AKIAIDLE"}
    assert ("AKIAIDLE", "key-unused", "open") in found(report)
    busy_row, idle_row = report.keys()
    assert (busy_row["violations"], bool(idle_row["violations"])) == ([], True)


async def test_a_filter_on_idle_time_finds_never_used_keys_too(audit: Auditor) -> None:
    """Cloud Custodian: its filter on the last use matches no key that has none."""
    rule = "  - {id: idle, title: T, severity: low, when: key.idle > days(90)}\n"
    policy = compiled("apiVersion: iamaudit/v1\nid: ours\ntitle: Ours\nrules:\n" + rule)

    report = await audit(FakeIam({"bob": [a_key("AKIA1", days_old=91)]}), policy=policy)

    assert found(report) == {("AKIA1", "idle", "open")}


async def test_the_last_use_is_asked_live_of_every_key(audit: Auditor) -> None:
    """Cloud Custodian and Prowler: from a credential report of up to four hours ago."""
    just_now = Used(at=NOW - timedelta(minutes=20), service="s3", region="N/A")
    keys = [replace(a_key(f"AKIA{number}", days_old=80), last_use=just_now) for number in (1, 2)]
    iam = FakeIam({"amy": keys[:1], "bob": keys[1:]})

    report = await audit(iam)

    asked = [subject for name, subject in iam.calls if name == "iam:GetAccessKeyLastUsed"]
    assert sorted(asked) == ["AKIA1", "AKIA2"]
    assert found(report) == set()


async def test_a_user_deleted_between_two_calls_costs_only_itself(audit: Auditor) -> None:
    """Cloud Custodian and Steampipe: the whole policy or query fails."""
    old = {name: [a_key(f"AKIA-{name}", days_old=40)] for name in ("amy", "bob", "eve")}

    def fail(operation: str, subject: str) -> None:
        if (operation, subject) == ("iam:ListAccessKeys", "bob"):
            old.pop("bob", None)

    report = await audit(FakeIam(old, fail=fail))

    assert found(report) == {
        ("AKIA-amy", "key-never-used", "open"),
        ("AKIA-eve", "key-never-used", "open"),
    }
    assert report.coverage()["complete"] is True


@pytest.mark.parametrize("how", [throttled, denied])
async def test_a_last_use_that_was_not_told_is_indeterminate_never_never_used(
    how: Callable[[str], AwsFailure], audit: Auditor
) -> None:
    """AWS's rotation sample: a throttled GetAccessKeyLastUsed is "never used", and a delete."""
    iam = FakeIam({"bob": [a_key("AKIA1", days_old=80, last_use=IN_USE)]})
    iam.fail = failing("iam:GetAccessKeyLastUsed", how=how)

    report = await audit(iam)

    assert found(report) == {
        ("AKIA1", "key-unused", "indeterminate"),
        ("AKIA1", "key-never-used", "indeterminate"),
    }
    [key] = report.keys()
    assert (key["last_used"]["state"], key["violations"]) == ("unknown", [])
    assert report.coverage()["complete"] is False


@pytest.mark.parametrize("looks", ["tags: {rotate: never}", "when: '\"robots\" in user.groups'"])
async def test_an_exemption_whose_source_could_not_be_read_exempts_nobody(
    looks: str, audit: Auditor
) -> None:
    """AWS's rotation sample: the exempt group can't be read, and the run goes on without a word."""
    more = "reason: R, owner: o@example.com, expires: 2027-01-31"
    policy = compiled(OURS + f"exemptions:\n  - {{{looks}, {more}}}\n")
    iam = FakeIam({"bob": [a_key("AKIA1", days_old=40)]})
    iam.fail = failing("iam:GetAccountAuthorizationDetails")

    report = await audit(iam, policy=policy)

    assert ("AKIA1", "key-never-used", "open") in found(report)
    assert report.summary()["exempt"] == 0
    assert report.coverage()["complete"] is False


async def test_users_beyond_the_first_page_are_read(audit: Auditor) -> None:
    """AWS's rotation sample: the first 100 users, no more."""
    names = [f"user-{number:03}" for number in range(250)]
    iam = FakeIam({name: [a_key(f"AKIA-{name}", days_old=40)] for name in names}, page_size=100)

    report = await audit(iam)

    assert {key for key, _, _ in found(report)} == {f"AKIA-{name}" for name in names}
    assert iam.count("iam:ListUsers") == 3


@pytest.mark.parametrize(
    ("unused", "rule"),
    [
        (a_key("AKIA2", days_old=1000, last_use=LONG_UNUSED), "key-unused"),
        (a_key("AKIA2", days_old=900), "key-never-used"),
    ],
)
async def test_an_inactive_key_does_not_hide_another_that_is_unused_for_900_days(
    unused: AccessKey, rule: str, audit: Auditor
) -> None:
    """Powerpipe: the first key decides for the user in one of its controls."""
    inactive = a_key("AKIA1", active=False, days_old=10)

    report = await audit(FakeIam({"bob": [inactive, unused]}))

    assert ("AKIA2", rule, "open") in found(report)
    assert {key for key, _, _ in found(report)} == {"AKIA2"}


async def test_an_inactive_key_is_not_reported_as_old_or_unused(audit: Auditor) -> None:
    """Powerpipe: flags inactive keys in its control of 365 days."""
    report = await audit(FakeIam({"bob": [a_key("AKIA1", active=False, days_old=400)]}))

    assert found(report) == {("AKIA1", "inactive-key-lingering", "open")}


async def test_one_denied_account_does_not_cost_the_others(audit: Auditor) -> None:
    """Tools on plain aioboto3 or threads: a traceback, and no output for any account."""
    old = {number * 12: FakeIam({"bob": [a_key(f"AKIA{number}", days_old=40)]}) for number in "13"}

    report = await audit(old, beside=("2" * 12,))

    assert {key for key, _, _ in found(report)} == {"AKIA1", "AKIA3"}
    coverage = report.coverage()
    assert (coverage["accounts"]["audited"], coverage["accounts"]["unreachable"]) == (2, 1)
    assert coverage["complete"] is False
    assert {row["id"]: row["outcome"] for row in report.accounts()}["2" * 12] == "unreachable"


async def test_one_denied_user_does_not_cost_the_others_and_is_told(audit: Auditor) -> None:
    """Steampipe and cloudquery: one error ends the query, or is dropped without a word."""
    old = {name: [a_key(f"AKIA-{name}", days_old=40)] for name in ("amy", "bob", "eve")}

    def fail(operation: str, subject: str) -> None:
        if (operation, subject) == ("iam:ListAccessKeys", "bob"):
            raise denied(operation)

    report = await audit(FakeIam(old, fail=fail))

    assert {key for key, _, _ in found(report)} == {"AKIA-amy", "AKIA-eve"}
    assert report.coverage()["complete"] is False
    [account] = report.accounts()
    assert [(each["operation"], each["subject"]) for each in account["errors"]] == [
        ("iam:ListAccessKeys", "bob")
    ]
