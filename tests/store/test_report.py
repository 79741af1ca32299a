"""What a report is told of a stored run that was judged."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from auditor.engine.judgement import RunJudge
from auditor.model.access_key import AccessKey, KeyStatus, LastUse, NeverUsed
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import load_policies
from tests.builders import (
    DENIED,
    NOW,
    a_key,
    a_run,
    a_user_with,
    ago,
    an_account,
    an_inventory,
    used,
)
from tests.tally import tally

POLICIES = load_policies(("baseline",))


def judged(store: SqliteRunStore, inventories: Sequence[AccountInventory]) -> StoredReport:
    store.begin(a_run(), [inventory.account for inventory in inventories])
    for inventory in inventories:
        store.save("run-1", inventory)
    judge = RunJudge(store, "run-1", POLICIES, partition="aws", now=NOW)
    store.record("run-1", judge.judged(), judge.results)
    return StoredReport(store.connection, "run-1", version="0")


def an_organization() -> list[AccountInventory]:
    """Return accounts with open findings of several severities, with unknown uses, with none."""
    old = a_key("AKIA1", days_old=500, last_use=used(days=400))
    unread = a_key("AKIA2", days_old=500, last_use=DENIED)
    return [
        an_inventory(
            a_user_with(old, unread, admin=True),
            a_user_with(a_key("AKIA3", days_old=40), name="bob"),
            account=an_account("1" * 12),
        ),
        an_inventory(a_user_with(unread), account=an_account("2" * 12)),
        an_inventory(a_user_with(a_key("AKIA4")), account=an_account("3" * 12)),
    ]


def test_findings_are_counted_by_account(store: SqliteRunStore) -> None:
    report = judged(store, an_organization())

    counts = report.tally()

    assert counts == tally(report.findings())
    assert counts.keys() == {"1" * 12, "2" * 12}
    assert counts["2" * 12] == {"medium": 1, "indeterminate": 2}


def test_the_summary_adds_up_the_accounts(store: SqliteRunStore) -> None:
    report = judged(store, an_organization())

    summary = report.summary()

    findings = list(report.findings())
    for severity, number in summary["open"].items():
        assert number == sum(
            (each["status"], each["severity"]) == ("open", severity) for each in findings
        )
    for status in ("exempt", "indeterminate"):
        assert summary[status] == sum(each["status"] == status for each in findings)
    assert sum(summary["open"].values()) + summary["indeterminate"] == len(findings)


@pytest.mark.parametrize(
    ("last_use", "days_old", "ages"),
    [
        (used(days=2.9), 40.9, (40, 2)),
        (NeverUsed(), 40.9, (40, 40)),
        (DENIED, 40.9, (40, None)),
        (used(days=-0.5), -1, (0, 0)),
        (used(days=-3), -5, (None, None)),
    ],
)
def test_ages_are_whole_days_never_negative_and_unknown_where_they_lie_far_ahead(
    last_use: LastUse, days_old: float, ages: tuple[int, int | None], store: SqliteRunStore
) -> None:
    key = a_key(days_old=days_old, last_use=last_use)

    [told] = judged(store, [an_inventory(a_user_with(key))]).keys()

    assert (told["age_days"], told["idle_days"]) == ages


def test_a_key_whose_making_is_unknown_has_no_age(store: SqliteRunStore) -> None:
    key = AccessKey(id=None, slot=1, status=KeyStatus.ACTIVE, created_at=None, last_use=used())

    [told] = judged(store, [an_inventory(a_user_with(key))]).keys()

    assert (told["created_at"], told["age_days"], told["idle_days"]) == (None, None, 1)


def test_keys_come_in_order_of_id_and_of_slot(store: SqliteRunStore) -> None:
    keys = (a_key("AKIA2"), a_key("AKIA1"))
    slots = tuple(
        replace(a_key(), id=None, slot=slot, created_at=ago(days=slot)) for slot in (2, 1)
    )
    users = (a_user_with(*keys, name="bob"), a_user_with(*slots, name="amy"))

    report = judged(store, [an_inventory(*users)])

    told = [(key["user_name"], key["access_key_id"] or key["slot"]) for key in list(report.keys())]
    assert told == [("amy", 1), ("amy", 2), ("bob", "AKIA1"), ("bob", "AKIA2")]


def test_a_key_comes_with_what_was_found_of_it(store: SqliteRunStore) -> None:
    keys = (a_key("AKIA2", days_old=500), a_key("AKIA1", days_old=400))
    slots = tuple(
        replace(a_key(), id=None, slot=slot, created_at=ago(days=100 * slot)) for slot in (2, 1)
    )
    users = (
        a_user_with(*keys, name="bob"),
        a_user_with(a_key("AKIA3", days_old=1), name="new"),
        a_user_with(*slots, name=ROOT_USER_NAME),
    )
    report = judged(store, [an_inventory(*users)])

    told = list(report.judged())

    assert [key for _, key, _ in told] == list(report.keys())
    assert [len(findings) > 0 for *_, findings in told] == [True, True, True, True, False]
    for account_id, key, findings in told:
        assert key is not None
        for finding in findings:
            assert finding["account_id"] == account_id == key["account_id"]
            assert finding["user_name"] == key["user_name"]
            assert finding["access_key_id"] == key["access_key_id"]
            age = key["age_days"]
            assert f"created {age} days ago" in finding["message"]
    found = [finding["id"] for *_, findings in told for finding in findings]
    assert sorted(found) == sorted(finding["id"] for finding in report.findings())


def test_what_is_found_of_no_key_comes_without_one(store: SqliteRunStore) -> None:
    unread = an_inventory(
        a_user_with(a_key(days_old=400)), a_user_with(name="zoe"), root_keys_unknown=DENIED
    )
    report = judged(store, [unread, an_inventory(account=an_account("2" * 12))])

    (nobody,) = [findings for _, key, findings in report.judged() if key is None]

    assert {finding["user_name"] for finding in nobody} == {ROOT_USER_NAME}
    assert {finding["status"] for finding in nobody} == {"indeterminate"}


def test_the_reason_of_an_unknown_use_is_told(store: SqliteRunStore) -> None:
    [key] = judged(store, [an_inventory(a_user_with(a_key(last_use=DENIED)))]).keys()

    assert key["last_used"] == {
        "state": "unknown",
        "at": None,
        "service": None,
        "region": None,
        "reason": "iam:GetAccessKeyLastUsed denied",
    }


def test_a_key_that_was_not_judged_breaks_no_rule(store: SqliteRunStore) -> None:
    store.begin(a_run(), [an_account()])
    store.save("run-1", an_inventory(a_user_with(a_key())))

    [key] = StoredReport(store.connection, "run-1", version="0").keys()

    assert (key["user_class"], key["violations"]) == (None, [])


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        ({"Owner": "payments"}, "payments"),
        ({"owner": " web ", "Team": "x"}, "web"),
        ({"Owner": "web", "OWNER": "data", "owner": "web"}, "data, web"),
        ({"Owner": " "}, None),
        ({"Team": "web"}, None),
        (DENIED, None),
    ],
)
def test_a_key_has_the_owner_that_a_tag_of_its_user_names(
    store: SqliteRunStore, tags: object, owner: str | None
) -> None:
    report = judged(store, [an_inventory(a_user_with(a_key(), tags=tags))])

    assert [key["owner"] for key in report.keys()] == [owner]  # noqa: SIM118 -- no mapping


def test_keys_are_counted_by_age_and_by_time_since_their_last_use(store: SqliteRunStore) -> None:
    undated = replace(a_key("AKIA5"), created_at=None)
    keys = [
        a_key("AKIA1", days_old=90, last_use=used(days=30)),
        a_key("AKIA2", days_old=90.001, last_use=DENIED),
        a_key("AKIA3", days_old=1000, last_use=used(days=731), active=False),
        a_key("AKIA4", days_old=0),
        undated,
    ]
    report = judged(store, [an_inventory(a_user_with(*keys, name="many"))])

    counted = report.ageing()

    assert [(each.active, each.inactive) for each in counted.age.bins] == [
        (1, 0), (0, 0), (0, 0), (1, 0), (1, 0), (0, 0), (0, 0), (0, 1),
    ]  # fmt: skip
    assert counted.age.unknown.total == 1
    assert [each.total for each in counted.idle.bins] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert (counted.idle.never.total, counted.idle.unknown.active) == (2, 1)
