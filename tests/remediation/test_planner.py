"""Which keys a plan acts on, and which it holds and why."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, NeverUsed
from auditor.model.account import AccountId
from auditor.model.finding import Remedy, Severity
from auditor.model.plan import ActionKind, Plan, Protection
from auditor.model.unknown import Unknown
from auditor.remediation.planner import (
    KeyHistory,
    Planning,
    Proposal,
    Reason,
    Rotation,
    plan,
)
from tests.builders import ACCOUNT_ID, DENIED, NOW, a_key, a_run, ago, used

NO_TAGS = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")
INACTIVE = a_key(active=False, days_old=400)


def because(
    remedy: str,
    rule: str | None = None,
    *,
    severity: str = "high",
    may_be_exempt: str | None = None,
) -> Reason:
    return Reason(
        rule_id=rule or f"to-{remedy}",
        severity=Severity(severity),
        remedy=Remedy(remedy),
        may_be_exempt=may_be_exempt,
    )


def a_proposal(
    *reasons: Reason, key: AccessKey | None = None, user: str = "amy", **values: Any
) -> Proposal:
    defaults: dict[str, Any] = {
        "account_id": ACCOUNT_ID,
        "user_name": user,
        "user_arn": f"arn:aws:iam::{ACCOUNT_ID}:user/{user}",
        "tags": {},
        "key": key or a_key(days_old=400),
        "siblings": (),
        "reasons": reasons,
    }
    return Proposal(**(defaults | values))


def planned(
    *proposals: Proposal,
    planning: Planning | None = None,
    history: Mapping[str, KeyHistory] | None = None,
    own: frozenset[str] = frozenset(),
) -> Plan:
    def known(account_id: AccountId, key_id: AccessKeyId) -> KeyHistory:
        here = (history or {}) if account_id == ACCOUNT_ID else {}
        return here.get(key_id, KeyHistory())

    return plan(
        proposals,
        id_="plan-1",
        run=a_run(),
        planning=planning or Planning(),
        history=known,
        own_key_ids=own,
        now=NOW,
    )


def kinds(made: Plan) -> list[ActionKind]:
    return [action.kind for action in made.actions]


def reasons(made: Plan) -> list[str]:
    return [held.reason for held in made.held]


def test_a_key_is_deactivated_with_the_state_that_was_seen() -> None:
    key = a_key(days_old=400, last_use=used(days=90))

    [action] = planned(a_proposal(because("deactivate"), key=key)).actions

    assert (action.kind, action.access_key_id) == (ActionKind.DEACTIVATE, key.id)
    assert action.because == ("to-deactivate",)
    assert (action.expected.status, action.expected.last_use) == (key.status, key.last_use)
    assert action.expected.created_at == key.created_at
    assert action.reversible


def test_by_default_nothing_is_rotated_or_deleted() -> None:
    made = planned(
        a_proposal(because("rotate")), a_proposal(because("delete"), key=INACTIVE, user="bob")
    )

    assert made.actions == ()
    assert reasons(made) == [
        "rotation needs --allow-rotate and --sink",
        "deletion needs --allow-delete",
    ]


def test_there_is_one_action_for_a_key_and_deactivation_goes_before_rotation() -> None:
    made = planned(
        a_proposal(because("rotate"), because("deactivate"), because("deactivate", "other")),
        planning=Planning(allow_rotate=True),
    )

    [action] = made.actions
    assert action.because == ("other", "to-deactivate")
    assert reasons(made) == ["deactivate goes before it"]


def test_an_active_key_is_never_deleted_and_an_inactive_one_only_deleted() -> None:
    past = {INACTIVE.id or "": KeyHistory(inactive_since=ago(days=31))}
    made = planned(
        a_proposal(because("delete"), key=a_key("AKIA1", days_old=400)),
        a_proposal(because("deactivate"), because("delete"), key=INACTIVE, user="bob"),
        planning=Planning(allow_delete=True),
        history=past,
    )

    assert kinds(made) == [ActionKind.DELETE]
    assert not made.actions[0].reversible
    assert reasons(made) == ["an active key is deactivated first", "the key is inactive already"]


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (None, "it is not known since when it has been inactive"),
        (ago(days=29), "inactive for 29 of 30 days"),
        (ago(days=30) + timedelta(microseconds=1), "inactive for 29 of 30 days"),
    ],
)
def test_a_key_is_deleted_only_when_it_has_been_inactive_long_enough(since: Any, told: str) -> None:
    made = planned(
        a_proposal(because("delete"), key=INACTIVE),
        planning=Planning(allow_delete=True),
        history={INACTIVE.id or "": KeyHistory(inactive_since=since)},
    )

    assert (made.actions, reasons(made)) == ((), [told])


def test_a_key_is_deleted_from_the_end_of_the_grace_on() -> None:
    made = planned(
        a_proposal(because("delete"), key=INACTIVE),
        planning=Planning(allow_delete=True),
        history={INACTIVE.id or "": KeyHistory(inactive_since=ago(days=30))},
    )

    assert kinds(made) == [ActionKind.DELETE]


def test_a_key_of_unknown_last_use_is_not_deleted() -> None:
    key = a_key(active=False, days_old=400, last_use=DENIED)
    made = planned(
        a_proposal(because("delete"), key=key),
        planning=Planning(allow_delete=True),
        history={key.id or "": KeyHistory(inactive_since=ago(days=99))},
    )

    assert reasons(made) == ["its last use is unknown (iam:GetAccessKeyLastUsed denied)"]


def test_what_may_be_exempt_is_no_reason_but_another_rule_is() -> None:
    doubtful = because("deactivate", "doubtful", may_be_exempt="mail keys")
    alone = planned(a_proposal(doubtful))
    beside = planned(a_proposal(doubtful, because("deactivate", "other")))

    assert (alone.actions, reasons(alone)) == (
        (),
        ["may be exempt (mail keys), which could not be read"],
    )
    assert [action.because for action in beside.actions] == [("other",)]


def test_only_the_named_rules_are_acted_on() -> None:
    made = planned(
        a_proposal(because("deactivate", "a"), because("deactivate", "b")),
        planning=Planning(only=("a",)),
    )

    assert [action.because for action in made.actions] == [("a",)]
    assert [(held.kind, held.because, held.reason) for held in made.held] == [
        (ActionKind.DEACTIVATE, ("b",), "not among --only")
    ]


def test_actions_and_what_is_held_are_in_the_order_of_users_and_keys() -> None:
    places = [("bob", "AKIA2"), ("bob", "AKIA1"), ("amy", "AKIA3")]

    done = planned(*(a_proposal(because("deactivate"), user=u, key=a_key(k)) for u, k in places))
    held = planned(*(a_proposal(because("delete"), user=u, key=a_key(k)) for u, k in places))

    assert [(each.user_name, each.access_key_id) for each in done.actions] == places[::-1]
    assert [(each.user_name, each.access_key_id) for each in held.held] == places[::-1]


def test_a_limit_takes_the_most_severe_then_the_longest_idle_then_the_oldest() -> None:
    unread = Unknown(operation="iam:GetAccessKeyLastUsed", code="AccessDenied")
    in_order = [
        ("999999999999", "critical", a_key("AKIA0", days_old=20, last_use=used(days=10))),
        ("999999999999", "high", a_key("AKIA1", days_old=600, last_use=used(days=401))),
        ("111111111111", "high", a_key("AKIA2", days_old=400, last_use=NeverUsed())),
        ("222222222222", "high", a_key("AKIA3", days_old=700, last_use=used(days=396))),
        ("111111111111", "high", a_key("AKIA4", days_old=500, last_use=used(days=396))),
        ("222222222222", "high", a_key("AKIA5", days_old=500, last_use=used(days=396))),
        ("111111111111", "high", a_key("AKIA6", days_old=900, last_use=unread)),
        ("111111111111", "low", a_key("AKIA7", days_old=900, last_use=used(days=800))),
    ]
    proposals = [
        a_proposal(because("deactivate", severity=severity), account_id=account, key=key)
        for account, severity, key in in_order
    ]

    for limit in range(1, len(in_order)):
        made = planned(*reversed(proposals), planning=Planning(limit=limit))

        assert {each.access_key_id for each in made.actions} == {
            key.id for _, _, key in in_order[:limit]
        }


def test_a_limit_keeps_the_worst() -> None:
    made = planned(
        *(
            a_proposal(
                because("deactivate", severity=severity), user=user, key=a_key(f"AKIA{user}")
            )
            for user, severity in (("a", "low"), ("b", "critical"), ("c", "high"), ("d", "high"))
        ),
        planning=Planning(limit=2),
    )

    assert [action.user_name for action in made.actions] == ["b", "c"]
    assert [(held.user_name, held.reason) for held in made.held] == [
        ("a", "beyond --limit 2"),
        ("d", "beyond --limit 2"),
    ]


def test_a_root_key_is_held() -> None:
    root = AccessKey(
        id=None, slot=1, status=KeyStatus.ACTIVE, created_at=None, last_use=NeverUsed()
    )

    assert reasons(planned(a_proposal(because("deactivate"), key=root))) == [
        "no IAM user or role can change a root key"
    ]


def test_the_callers_own_keys_are_held() -> None:
    caller = planned(
        a_proposal(because("deactivate"), user_arn="arn:aws:iam::999999999999:user/auditor")
    )
    configured = planned(
        a_proposal(because("deactivate"), key=a_key("AKIAMINE")), own=frozenset({"AKIAMINE"})
    )

    assert reasons(caller) == ["it is the caller's own"]
    assert reasons(configured) == ["it is in this machine's AWS configuration"]


@pytest.mark.parametrize(
    ("protection", "told"),
    [
        (Protection(patterns=("a*",)), "protected by a*"),
        (Protection(patterns=("arn:aws:iam::*:user/amy",)), "protected by arn:aws:iam::*:user/amy"),
        (Protection(tag="keep"), "protected by its tag"),
        (Protection(tag="keep=yes"), "protected by its tag"),
    ],
)
def test_protected_users_are_held(protection: Protection, told: str) -> None:
    proposal = a_proposal(because("deactivate"), tags={"keep": "yes"})

    assert reasons(planned(proposal, planning=Planning(protection=protection))) == [told]


@pytest.mark.parametrize(
    "protection", [Protection(patterns=("b*",)), Protection(tag="keep=no"), Protection(tag="k")]
)
def test_other_users_are_not(protection: Protection) -> None:
    proposal = a_proposal(because("deactivate"), tags={"keep": "yes"})

    assert planned(proposal, planning=Planning(protection=protection)).actions


def test_where_tags_are_unknown_nobody_is_taken_for_unprotected() -> None:
    proposal = a_proposal(because("deactivate"), tags=NO_TAGS)

    made = planned(proposal, planning=Planning(protection=Protection(tag="keep")))

    assert reasons(made) == [
        "whether a tag protects it is unknown (iam:GetAccountAuthorizationDetails denied)"
    ]
    assert planned(proposal).actions


def test_a_key_that_undo_restored_rests_for_30_days() -> None:
    key = a_key(days_old=400)

    def made(days: float) -> Plan:
        past = {key.id or "": KeyHistory(restored_at=ago(days=days))}
        return planned(a_proposal(because("deactivate"), key=key), history=past)

    assert reasons(made(29)) == ["undo restored it 29 days ago"]
    assert made(30).actions


ROTATING = Planning(allow_rotate=True)
OLD = a_key("AKIAOLD", days_old=400, last_use=used(days=8))


def rotated(old: AccessKey, *siblings: AccessKey, finished: bool = True) -> Plan:
    past = Rotation(plan_id="plan-0", new_key_id=AccessKeyId("AKIANEW"), finished=finished)
    return planned(
        a_proposal(because("rotate"), key=old, siblings=siblings),
        planning=ROTATING,
        history={"AKIAOLD": KeyHistory(rotation=past)},
    )


def new_key(**values: Any) -> AccessKey:
    return a_key("AKIANEW", days_old=20, **values)


def test_a_rotation_needs_a_free_slot() -> None:
    free = planned(a_proposal(because("rotate")), planning=ROTATING)
    taken = planned(a_proposal(because("rotate"), siblings=(a_key("AKIA2"),)), planning=ROTATING)

    assert kinds(free) == [ActionKind.ROTATE]
    assert reasons(taken) == ["both key slots are taken: delete the other key first"]


def test_the_old_key_is_retired_once_the_new_is_used_and_the_old_idle() -> None:
    assert kinds(rotated(OLD, new_key(last_use=used(days=1)))) == [ActionKind.DEACTIVATE]


@pytest.mark.parametrize(
    ("old", "siblings", "told"),
    [
        (OLD, (new_key(),), "the key AKIANEW of its rotation has not been used yet"),
        (OLD, (new_key(last_use=DENIED),), "the key AKIANEW of its rotation has not been used yet"),
        (
            OLD,
            (a_key("AKIAOTHER"),),
            "the key AKIANEW of its rotation is gone or inactive",
        ),
        (
            OLD,
            (new_key(active=False, last_use=used()),),
            "the key AKIANEW of its rotation is gone or inactive",
        ),
        (
            a_key("AKIAOLD", days_old=400, last_use=used(days=6.9)),
            (new_key(last_use=used()),),
            "rotated, but used in the last 7 days",
        ),
        (
            a_key("AKIAOLD", days_old=400, last_use=DENIED),
            (new_key(last_use=used()),),
            "its last use is unknown (iam:GetAccessKeyLastUsed denied)",
        ),
    ],
)
def test_until_then_it_stays(old: AccessKey, siblings: tuple[AccessKey, ...], told: str) -> None:
    made = rotated(old, *siblings)

    assert (made.actions, reasons(made)) == ((), [told])


def test_a_key_of_an_unfinished_rotation_is_left_alone() -> None:
    assert reasons(rotated(OLD, new_key(), finished=False)) == [
        "its rotation is unfinished: apply plan-0 --resume, or look"
    ]


def test_a_plan_judged_at_another_time_is_only_to_be_looked_at() -> None:
    elsewhen = plan(
        [a_proposal(because("deactivate"))],
        id_="plan-1",
        run=a_run(now=ago(days=-30)),
        planning=Planning(),
        history=lambda account, key: KeyHistory(),
        own_key_ids=frozenset(),
        now=NOW,
    )

    assert not elsewhen.applicable
    assert planned(a_proposal(because("deactivate"))).applicable
    assert elsewhen.expires_at == NOW + timedelta(hours=24)


def test_a_rotation_whose_new_key_is_gone_begins_anew() -> None:
    assert kinds(rotated(OLD)) == [ActionKind.ROTATE]
    assert kinds(rotated(OLD, finished=False)) == [ActionKind.ROTATE]


def test_the_old_key_of_a_rotation_that_undo_restored_rests_too() -> None:
    past = KeyHistory(
        restored_at=ago(days=1),
        rotation=Rotation(plan_id="plan-0", new_key_id=AccessKeyId("AKIANEW"), finished=True),
    )
    made = planned(
        a_proposal(because("rotate"), key=OLD, siblings=(new_key(last_use=used()),)),
        planning=ROTATING,
        history={"AKIAOLD": past},
    )

    assert reasons(made) == ["undo restored it 1 days ago"]


@pytest.mark.parametrize(
    ("days", "told"), [(5, ["it was used since it is known to be inactive"]), (40, [])]
)
def test_a_key_used_since_it_is_known_to_be_inactive_is_not_deleted(
    days: int, told: list[str]
) -> None:
    key = a_key(active=False, days_old=400, last_use=used(days=days))
    made = planned(
        a_proposal(because("delete"), key=key),
        planning=Planning(allow_delete=True),
        history={key.id or "": KeyHistory(inactive_since=ago(days=40))},
    )

    assert reasons(made) == told
    assert kinds(made) == ([] if told else [ActionKind.DELETE])


def test_a_pattern_protects_whatever_its_case() -> None:
    made = planned(
        a_proposal(because("deactivate")),
        planning=Planning(protection=Protection(patterns=("AM*",))),
    )

    assert reasons(made) == ["protected by AM*"]
