"""What must hold before the first call, and when keys may be changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId, KeyStatus
from auditor.model.outcome import JournalLine, Step
from auditor.model.plan import ActionKind, Plan
from auditor.remediation.rails import Limits, check, check_time
from auditor.remediation.undo import undo_plan
from auditor.remediation.window import parse_window
from tests.builders import ACCOUNT_ID, NOW, a_key
from tests.remediation.test_apply import a_plan, an_action

ALL = Limits(allow_delete=True, allow_rotate=True)


def keys(number: int, kind: str = "deactivate") -> Plan:
    made = (a_key(f"AKIA{each:04}", active=kind != "delete") for each in range(number))
    return a_plan(*(an_action(kind, key=key) for key in made))


def refused(plan: Plan, limits: Limits, active: int = 100) -> str:
    with pytest.raises(AuditError) as caught:
        check(plan, limits, active_keys={ACCOUNT_ID: active})
    return str(caught.value)


def test_fifty_actions_pass_and_one_more_does_not() -> None:
    check(keys(50), Limits(), active_keys={ACCOUNT_ID: 100})

    assert "51 actions, more than the 50" in refused(keys(51), Limits())


@pytest.mark.parametrize("kind", ["delete", "rotate"])
def test_what_goes_further_needs_leave(kind: str) -> None:
    check(keys(1, kind), ALL, active_keys={})

    assert f"would {kind} 1 keys" in refused(keys(1, kind), Limits())


def test_the_share_is_of_the_active_keys_of_each_account() -> None:
    half = Limits(max_share=0.5)
    check(keys(5), half, active_keys={ACCOUNT_ID: 10})

    assert "6 of 10 active keys of 111111111111" in refused(keys(6), half, active=10)
    check(keys(6, "delete"), replace(ALL, max_share=0.1), active_keys={ACCOUNT_ID: 10})


def test_a_plan_judged_at_another_time_is_refused() -> None:
    elsewhen = replace(keys(1), judged_at=NOW + timedelta(days=30))

    assert "it can be looked at, not applied" in refused(elsewhen, ALL)


def test_a_plan_holds_for_a_day() -> None:
    plan = keys(1)
    check_time(plan, plan.expires_at - timedelta(microseconds=1))

    with pytest.raises(AuditError, match="more than 24 hours ago"):
        check_time(plan, plan.expires_at)
    fresh = replace(plan, scanned_at=plan.expires_at)
    with pytest.raises(AuditError, match="expired"):
        check_time(fresh, plan.expires_at)


def test_a_plan_is_refused_by_a_clock_that_was_set_back() -> None:
    plan = a_plan(an_action())
    check_time(plan, plan.created_at - timedelta(minutes=5))

    with pytest.raises(AuditError, match="clock"):
        check_time(plan, plan.created_at - timedelta(minutes=6))


def test_a_plan_of_an_old_scan_is_refused_however_fresh_it_is() -> None:
    old = NOW - timedelta(days=3)

    with pytest.raises(AuditError, match="is of a scan that began at 2026-11-21"):
        check_time(replace(keys(1), scanned_at=old, judged_at=old), NOW)


@pytest.mark.parametrize(
    ("text", "at", "open_"),
    [
        ("Tue 12:00-13:00", NOW, True),
        ("Tue 12:00-13:00", NOW + timedelta(minutes=59, seconds=59), True),
        ("Tue 12:00-13:00", NOW + timedelta(hours=1), False),
        ("Tue 12:00-13:00", NOW - timedelta(microseconds=1), False),
        ("Mon-Thu 09:00-16:00", NOW, True),
        ("wed-fri 09:00-16:00", NOW, False),
        ("Fri-Tue 09:00-16:00", NOW, True),
        ("Tue 13:00-13:01 Europe/Berlin", NOW, True),
        ("Tue 12:00-12:01 Europe/Berlin", NOW, False),
        ("Sat 00:00-23:59 Asia/Tokyo", datetime(2026, 11, 27, 15, tzinfo=UTC), True),
    ],
)
def test_a_window_is_days_and_hours_in_a_zone(text: str, at: datetime, open_: bool) -> None:
    assert parse_window(text).open_at(at) is open_


@pytest.mark.parametrize(
    "text",
    ["", "Tue", "Tue 9-16", "Tue 16:00-09:00", "Tue 09:00-09:00", "Tue 25:00-26:00",
     "Xyz 09:00-16:00", "Tue 09:00-16:00 Mars/Base", "Tue 09:00-16:00 ../etc/passwd"],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no window|closes before"):
        parse_window(text)


def undone(
    plan: Plan,
    *,
    keys: frozenset[str] = frozenset(),
    result: str = "applied",
    restored: frozenset[AccessKeyId] = frozenset(),
) -> Plan:
    lines = {
        action.id: [
            JournalLine(
                sequence=1,
                at=NOW,
                plan_id=plan.id,
                run_id=plan.run_id,
                action_id=action.id,
                account_id=action.account_id,
                user_name=action.user_name,
                access_key_id=action.access_key_id,
                kind=action.kind,
                step=Step.OUTCOME,
                detail={"result": result, "reason": ""},
            )
        ]
        for action in plan.actions
    }
    return undo_plan(
        plan,
        lines,
        id_="undo-1",
        keys=frozenset(map(AccessKeyId, keys)),
        quarantine_rules=frozenset({"key-quarantined"}),
        restored=restored,
        now=NOW,
    )


def test_undo_activates_what_was_deactivated_and_expects_it_inactive() -> None:
    plan = keys(2)

    made = undone(plan)

    assert made.undoes == plan.id
    assert [action.kind for action in made.actions] == [ActionKind.ACTIVATE] * 2
    assert {action.expected.status for action in made.actions} == {KeyStatus.INACTIVE}


@pytest.mark.parametrize("result", ["drifted", "refused", "unclear", "skipped"])
def test_undo_leaves_alone_what_was_not_applied(result: str) -> None:
    assert undone(keys(2), result=result).actions == ()


def test_undo_takes_the_named_keys_alone() -> None:
    made = undone(keys(3), keys=frozenset({"AKIA0001"}))

    assert [action.access_key_id for action in made.actions] == ["AKIA0001"]


def test_a_key_that_was_seen_active_since_is_restored_only_if_named() -> None:
    plan = a_plan(an_action())
    restored = frozenset({plan.actions[0].access_key_id})

    held = undone(plan, restored=restored)
    named = undone(plan, restored=restored, keys=frozenset(restored))

    assert (held.actions, len(held.held)) == ((), 1)
    assert len(named.actions) == 1


def test_an_exposed_key_is_restored_only_if_named() -> None:
    exposed = a_plan(an_action(because=["key-quarantined"]))
    key = exposed.actions[0].access_key_id

    assert "as exposed" in undone(exposed).held[0].reason
    assert undone(exposed, keys=frozenset({key})).actions


@pytest.mark.parametrize(("kind", "told"), [("delete", "can't be undone"), ("rotate", "old key")])
def test_what_can_not_be_taken_back_is_held(kind: str, told: str) -> None:
    made = undone(keys(1, kind))

    assert made.actions == ()
    assert told in made.held[0].reason
