"""What changed between two stored runs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from auditor.engine.judgement import RunJudge
from auditor.formats.stream import Row
from auditor.model.access_key import AccessKey
from auditor.model.account import OutcomeKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, ReadError
from auditor.store.changes import StoredChanges
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import stamps
from tests.builders import (
    DENIED,
    NOW,
    a_key,
    a_policy,
    a_rule,
    a_run,
    a_user_with,
    an_account,
    an_inventory,
    compiled,
    used,
)

OLD = compiled(a_policy(a_rule()))
LATER = NOW + timedelta(days=1)


def stored(
    store: SqliteRunStore,
    run_id: str,
    inventories: Sequence[AccountInventory],
    *,
    policy: str | None = None,
    **values: Any,
) -> None:
    policies = [OLD if policy is None else compiled(policy)]
    run = a_run(
        run_id,
        policies=[each.stamp for each in policies],
        rules=stamps(policies),
        **values,
    )
    store.begin(run, [inventory.account for inventory in inventories])
    for inventory in inventories:
        if inventory.outcome is not OutcomeKind.SKIPPED:
            store.save(run_id, inventory)
    judge = RunJudge(store, run_id, policies, partition="aws", now=run.now)
    store.record(run_id, judge.judged(), judge.results)


def compared(
    store: SqliteRunStore,
    before: Sequence[AccountInventory],
    after: Sequence[AccountInventory],
    *,
    policies: tuple[str | None, str | None] = (None, None),
    still_open: bool = False,
) -> StoredChanges:
    stored(store, "one", before, policy=policies[0])
    stored(store, "two", after, policy=policies[1], now=LATER)
    return StoredChanges(store.connection, "one", "two", still_open=still_open)


def old(id_: str = "AKIA1", **values: object) -> AccessKey:
    return a_key(id_, days_old=200, **values)  # type: ignore[arg-type] # as a_key has it


def told(changes: StoredChanges) -> list[tuple[str, str | None, str | None]]:
    return [(row["change"], row["access_key_id"], row["reason"]) for row in changes.findings()]


def kept(*keys: AccessKey) -> list[AccountInventory]:
    return [an_inventory(a_user_with(*keys))]


def numbers(summary: Row) -> dict[str, int]:
    open_ = {name: sum(summary[name].values()) for name in ("new", "resolved", "still_open")}
    return open_ | {name: summary[name] for name in ("changed", "not_looked_at", "unjudged")}


def test_days_that_pass_change_nothing(store: SqliteRunStore) -> None:
    changes = compared(store, kept(old()), kept(old()))

    assert list(changes.findings()) == list(changes.keys()) == list(changes.accounts()) == []
    assert changes.summary()["still_open"]["medium"] == 1


def test_what_is_still_open_is_told_where_it_is_asked_for(store: SqliteRunStore) -> None:
    changes = compared(store, kept(old()), kept(old()), still_open=True)

    assert told(changes) == [("still_open", "AKIA1", None)]


def test_a_finding_is_new_by_its_key_or_by_a_new_key(store: SqliteRunStore) -> None:
    young = a_key("AKIA1", days_old=89.5)

    changes = compared(store, kept(young), kept(young, old("AKIA2")))

    assert told(changes) == [("new", "AKIA1", None), ("new", "AKIA2", "a new key")]
    assert [(row["change"], row["access_key_id"]) for row in list(changes.keys())] == [
        ("appeared", "AKIA2")
    ]


def test_a_finding_is_resolved_where_its_key_is_gone_or_obeys(store: SqliteRunStore) -> None:
    rule = a_policy(a_rule(when="key.active && key.age > params.max_age"))

    changes = compared(
        store,
        kept(old("AKIA1"), old("AKIA2")),
        kept(old("AKIA2", active=False)),
        policies=(rule, rule),
    )

    assert told(changes) == [
        ("resolved", "AKIA1", "the key is gone"),
        ("resolved", "AKIA2", "the key no longer breaks the rule"),
    ]
    assert [(row["change"], row["access_key_id"]) for row in list(changes.keys())] == [
        ("disappeared", "AKIA1"),
        ("changed", "AKIA2"),
    ]


def cut_off(*users: object, **error: str) -> AccountInventory:
    given = {"operation": "iam:ListUsers", "code": "Throttling", "message": "m"} | error
    return an_inventory(
        *users,  # type: ignore[arg-type]
        outcome=OutcomeKind.PARTIAL,
        errors=(ReadError(**given),),
    )


UNREAD = {"operation": "iam:ListAccessKeys", "subject": "alice"}


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ([], "the account was not in scope"),
        ([an_inventory(account=an_account(skip="excluded"), outcome=OutcomeKind.SKIPPED)],
         "the account was skipped"),
        ([an_inventory(outcome=OutcomeKind.UNREACHABLE)], "the account was not read"),
        ([cut_off()], "the user was not read"),
        ([cut_off(**UNREAD)], "the user was not read"),
    ],
)  # fmt: skip
def test_what_the_later_run_did_not_look_at_is_never_resolved(
    store: SqliteRunStore, after: list[AccountInventory], why: str
) -> None:
    changes = compared(store, kept(old()), after)

    assert told(changes) == [("not_looked_at", "AKIA1", why)]
    assert numbers(changes.summary()) == {
        "new": 0, "resolved": 0, "still_open": 0, "changed": 0, "not_looked_at": 1, "unjudged": 0,
    }  # fmt: skip
    assert list(changes.keys()) == []
    assert [row["worse"] for row in changes.accounts()] == [True]


def test_in_an_account_that_was_read_in_part_what_was_read_counts(store: SqliteRunStore) -> None:
    bob = a_user_with(old("AKIA2"), name="bob")
    read = a_user_with(name="bob")

    changes = compared(store, [an_inventory(a_user_with(old()), bob)], [cut_off(read, **UNREAD)])

    assert told(changes) == [
        ("not_looked_at", "AKIA1", "the user was not read"),
        ("resolved", "AKIA2", "the key is gone"),
    ]


def test_an_account_that_was_not_read_before_has_new_findings_and_says_why(
    store: SqliteRunStore,
) -> None:
    changes = compared(store, [an_inventory(outcome=OutcomeKind.UNREACHABLE)], kept(old()))

    assert told(changes) == [("new", "AKIA1", "the account was not read")]
    assert list(changes.keys()) == []
    assert [(row["before"], row["after"], row["worse"]) for row in changes.accounts()] == [
        ("unreachable", "audited", False)
    ]


@pytest.mark.parametrize(
    "now",
    [[an_inventory(account=an_account(skip="excluded"), outcome=OutcomeKind.SKIPPED)], []],
    ids=["skipped", "not in scope"],
)
def test_an_account_that_was_not_read_before_is_not_read_less_when_it_is_left_out(
    store: SqliteRunStore, now: list[AccountInventory]
) -> None:
    changes = compared(store, [an_inventory(outcome=OutcomeKind.UNREACHABLE)], now)

    assert [row["worse"] for row in changes.accounts()] == [False]


def test_a_root_key_that_may_be_there_is_not_resolved(store: SqliteRunStore) -> None:
    root = AccessKey(id=None, slot=1, status=old().status, created_at=old().created_at,
                     last_use=used())  # fmt: skip
    unknown = an_inventory(root_keys_unknown=DENIED)

    changes = compared(store, [an_inventory(a_user_with(root, name=ROOT_USER_NAME))], [unknown])

    assert told(changes) == [("not_looked_at", None, "the root user's keys could not be read")]


def test_a_rule_that_no_longer_judges_resolves_nothing(store: SqliteRunStore) -> None:
    policies = (a_policy(a_rule()), a_policy(a_rule("other", when="key.age > days(9999)")))

    changes = compared(store, kept(old()), kept(old()), policies=policies)

    assert told(changes) == [("not_looked_at", "AKIA1", "the rule was not in the policies")]
    assert changes.baseline()["same_policies"] is False


def test_another_severity_title_or_exemption_is_a_change(store: SqliteRunStore) -> None:
    harder = a_policy(a_rule().replace("medium", "high").replace("Too old", "Far too old"))

    changes = compared(store, kept(old()), kept(old()), policies=(None, harder))

    [row] = changes.findings()
    assert (row["change"], row["differs"]) == ("changed", ["severity", "title"])
    assert (row["before"]["severity"], row["severity"]) == ("medium", "high")
    assert numbers(changes.summary())["still_open"] == numbers(changes.summary())["changed"] == 1


EXEMPT = a_policy(
    a_rule(),
    head="exemptions:\n  - {user: alice, reason: moves, owner: me, expires: 2027-01-31}",
)


def test_an_exemption_is_a_change_and_its_end_makes_a_finding_new(store: SqliteRunStore) -> None:
    for name, policy in (("open", None), ("exempt", EXEMPT)):
        stored(store, name, kept(old()), policy=policy)

    granted = StoredChanges(store.connection, "open", "exempt")
    ended = StoredChanges(store.connection, "exempt", "open")

    assert told(granted) == [("changed", "AKIA1", None)]
    assert numbers(granted.summary())["resolved"] == 0
    assert told(ended) == [("new", "AKIA1", "it was exempt")]


def test_a_verdict_that_can_no_longer_be_reached_is_counted(store: SqliteRunStore) -> None:
    idle = a_policy(a_rule(when="key.idle > params.max_age"))
    busy, unknown = old(last_use=used()), old(last_use=DENIED)

    changes = compared(store, kept(busy), kept(unknown), policies=(idle, idle))

    assert numbers(changes.summary())["unjudged"] == 1
    assert told(changes) == []


def test_a_first_use_changes_a_key_and_a_later_use_does_not(store: SqliteRunStore) -> None:
    before = kept(a_key("AKIA1"), a_key("AKIA2", last_use=used(days=3)))
    after = kept(a_key("AKIA1", last_use=used()), a_key("AKIA2", last_use=used(service="ec2")))

    [row] = compared(store, before, after).keys()

    assert (row["change"], row["access_key_id"]) == ("changed", "AKIA1")
    assert (row["before"]["last_used"], row["after"]["last_used"]) == ("never", "used")


def test_changes_come_in_order_of_account_user_and_key(store: SqliteRunStore) -> None:
    def organization(*keys: str) -> list[AccountInventory]:
        return [
            an_inventory(
                *(a_user_with(*(old(f"AKIA{key}{name}") for key in keys), name=name)
                  for name in ("Zoe", "amy", "é")),
                account=an_account(digit * 12),
            )
            for digit in "21"
        ]  # fmt: skip

    changes = compared(store, organization("1", "2"), organization("0", "1"))

    rows = [(row["account_id"], row["user_name"], row["access_key_id"])
            for row in changes.findings()]  # fmt: skip
    assert rows == sorted(rows)
    assert numbers(changes.summary()) == {
        "new": 6, "resolved": 6, "still_open": 6, "changed": 0, "not_looked_at": 0, "unjudged": 0,
    }  # fmt: skip


def test_a_run_judged_otherwise_is_compared_as_it_is_judged_now(store: SqliteRunStore) -> None:
    stored(store, "one", kept(old()))
    strict = [compiled(a_policy(a_rule("young", when="key.age > days(1)")))]
    run = a_run("one", rules=stamps(strict), policies=[each.stamp for each in strict])
    judge = RunJudge(store, "one", strict, partition="aws", now=NOW)
    store.rejudge(run, judge.judged(), judge.results)

    changes = StoredChanges(store.connection, "one", "one")

    assert [(row["change"], row["rule_id"]) for row in changes.findings()] == [
        ("not_looked_at", "old"),
        ("new", "young"),
    ]
