"""What a plan, an apply and an undo say, to the letter: people act by these words."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import AuditError, AwsFailure, FailureKind
from auditor.model.access_key import AccessKeyId, KeyStatus
from auditor.model.account import AccountId
from auditor.model.finding import Remedy
from auditor.model.outcome import JournalLine, Outcome, Result, Step
from auditor.model.plan import Action, ActionKind, Expected, Held, Plan, Protection
from auditor.model.run import PolicyStamp
from auditor.remediation import journal as written
from auditor.remediation.actions import CHANGES
from auditor.remediation.actions.change import carry_out
from auditor.remediation.planner import KeyHistory, Planning, Rotation, action_id, plan
from auditor.remediation.rails import Limits, check, check_time
from auditor.remediation.undo import undo_plan
from auditor.remediation.window import parse_window
from auditor.store.journal import SqliteJournal
from auditor.store.runs import SqliteRunStore
from tests.builders import ACCOUNT_ID, DENIED, KEY_ID, NOW, a_key, a_run, ago, used
from tests.fakes import FakeClock, denied, gone
from tests.remediation.fakes import SECRET, TIMEOUT, FakeSink, FakeWriter, failing
from tests.remediation.test_apply import OLD, OTHER, Bench, a_plan, an_action
from tests.remediation.test_planner import a_proposal, because, planned

ARN = f"arn:aws:iam::{ACCOUNT_ID}:user/amy"
INACTIVE = replace(OLD, status=KeyStatus.INACTIVE)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    SqliteRunStore(tmp_path / "iamaudit.db").close()
    journal = SqliteJournal(tmp_path / "iamaudit.db")
    yield Bench(journal)
    journal.close()


@pytest.fixture
def rotating(bench: Bench) -> Bench:
    bench.sink = FakeSink()
    return bench


def lines(bench: Bench) -> list[tuple[str, Mapping[str, object]]]:
    return [(line.step.value, line.detail) for line in bench.journal.lines("plan-1")]


# --- plans ----------------------------------------------------------------------------------


def test_a_plan_says_all_that_an_apply_must_know() -> None:
    stamp = PolicyStamp(id="baseline", title="T", sha256="0" * 64, params={})
    protection = Protection(patterns=("root*",))
    key = a_key(days_old=400, last_use=used(days=90))
    proposal = a_proposal(because("deactivate", "b"), because("deactivate", "a"), key=key)

    made = plan(
        [proposal, a_proposal(because("delete"), because("rotate"), user="bob")],
        id_="plan-7",
        run=a_run("run-9", policies=[stamp], started_at=ago(hours=1), now=ago(hours=2)),
        planning=Planning(protection=protection),
        history=lambda *_: KeyHistory(),
        own_key_ids=frozenset(),
        now=NOW,
    )

    id_ = action_id(
        partition="aws", account_id=ACCOUNT_ID, key_id=KEY_ID, kind=ActionKind.DEACTIVATE
    )
    assert made == Plan(
        id="plan-7",
        run_id="run-9",
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
        judged_at=ago(hours=2),
        scanned_at=ago(hours=1),
        partition="aws",
        policies={"baseline": "0" * 64},
        protection=protection,
        actions=(
            Action(
                id=id_,
                account_id=AccountId(ACCOUNT_ID),
                user_name="amy",
                user_arn=ARN,
                access_key_id=KEY_ID,
                kind=ActionKind.DEACTIVATE,
                because=("a", "b"),
                expected=Expected(
                    status=KeyStatus.ACTIVE, created_at=ago(days=400), last_use=key.last_use
                ),
            ),
        ),
        held=(
            a_held("bob", "delete", "an active key is deactivated first"),
            a_held("bob", "rotate", "rotation needs --allow-rotate and --sink"),
        ),
    )


def a_held(user: str, kind: str, reason: str, rule: str | None = None) -> Held:
    return Held(
        account_id=AccountId(ACCOUNT_ID),
        user_name=user,
        access_key_id=KEY_ID,
        kind=ActionKind(kind),
        because=(rule or f"to-{kind}",),
        reason=reason,
    )


def test_an_action_is_known_by_partition_account_key_and_kind() -> None:
    parts = {"partition": "aws", "account_id": "1", "key_id": "A", "kind": ActionKind.DELETE}
    ids = {
        action_id(**(parts | other))  # type: ignore[arg-type]
        for other in (
            {}, {"partition": "aws-cn"}, {"account_id": "2"}, {"key_id": "B"},
            {"kind": ActionKind.ROTATE},
        )
    }  # fmt: skip

    assert len(ids) == 5
    assert {len(each) for each in ids} == {16}
    assert action_id(**parts) == action_id(**parts)  # type: ignore[arg-type]
    assert action_id(**parts) == "6b2dab60dd3395f8"  # type: ignore[arg-type]


def test_beyond_the_limit_the_whole_action_is_held() -> None:
    made = planned(
        a_proposal(because("deactivate", severity="low"), user="a"),
        a_proposal(because("deactivate", severity="critical"), user="b"),
        a_proposal(because("delete"), user="c"),
        planning=Planning(limit=1),
    )

    assert [action.user_name for action in made.actions] == ["b"]
    assert made.held == (
        a_held("a", "deactivate", "beyond --limit 1"),
        a_held("c", "delete", "an active key is deactivated first"),
    )


def test_a_key_without_id_or_date_is_the_root_users_alone() -> None:
    told = "no IAM user or role can change a root key"
    without_id = planned(a_proposal(because("deactivate"), key=replace(OLD, id=None)))
    without_date = planned(a_proposal(because("deactivate"), key=replace(OLD, created_at=None)))

    assert without_id.held == (replace(a_held("amy", "deactivate", told), access_key_id=None),)
    assert without_date.held == (a_held("amy", "deactivate", told),)


def test_what_is_wanted_of_a_root_key_besides_is_held_for_the_same_reason() -> None:
    root = replace(OLD, id=None, status=KeyStatus.INACTIVE)

    made = planned(a_proposal(because("deactivate"), because("rotate"), key=root))

    assert {held.reason for held in made.held} == {"no IAM user or role can change a root key"}


def test_an_old_key_used_a_week_ago_to_the_second_may_be_retired() -> None:
    def retired(days: float) -> Plan:
        rotation = Rotation(plan_id="p", new_key_id=AccessKeyId("AKIANEW"), finished=True)
        return planned(
            a_proposal(
                because("rotate"),
                key=a_key(days_old=400, last_use=used(days=days)),
                siblings=(a_key("AKIANEW", last_use=used(days=1)),),
            ),
            history={KEY_ID: KeyHistory(rotation=rotation)},
        )

    assert retired(7).actions
    assert [held.reason for held in retired(6.99).held] == ["rotated, but used in the last 7 days"]


def test_only_one_of_several_proposals_is_done_and_each_other_says_which_goes_before() -> None:
    made = planned(
        a_proposal(because("deactivate"), because("rotate", "r"), because("rotate", "q")),
        planning=Planning(allow_rotate=True),
    )

    assert made.held == (
        replace(a_held("amy", "rotate", "deactivate goes before it"), because=("q", "r")),
    )


def test_what_none_proposes_can_not_be_planned() -> None:
    assert {each.value for each in Remedy} == {"none", "rotate", "deactivate", "delete"}


# --- rails ----------------------------------------------------------------------------------


def refused(plan: Plan, **limits: Any) -> tuple[str, str]:
    with pytest.raises(AuditError) as caught:
        check(plan, Limits(**limits), active_keys={ACCOUNT_ID: 10})
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("made", "limits", "told", "hint"),
    [
        (
            replace(a_plan(), judged_at=NOW + timedelta(days=1)),
            {},
            "plan plan-1 was judged at 2026-11-25T12:00:00+00:00, which is not when the keys were"
            " read: it can be looked at, not applied",
            "scan without --now, and plan again",
        ),
        (
            a_plan(an_action("delete"), an_action("delete")),
            {},
            "plan plan-1 would delete 2 keys",
            "that needs --allow-delete",
        ),
        (
            a_plan(an_action("rotate")),
            {"allow_delete": True},
            "plan plan-1 would rotate 1 keys",
            "that needs --allow-rotate and --sink",
        ),
        (
            a_plan(an_action(), an_action()),
            {"max_actions": 1},
            "plan plan-1 has 2 actions, more than the 1 of --max-actions",
            "plan with --limit, or raise --max-actions",
        ),
        (
            a_plan(an_action(), an_action()),
            {"max_share": 0.1},
            "plan plan-1 would deactivate 2 of 10 active keys of 111111111111,"
            " more than --max-share 0.1",
            "plan with --limit or --only, or raise --max-share",
        ),
        (
            a_plan(an_action(account=OTHER)),
            {"max_share": 1.0},
            "plan plan-1 would deactivate 1 of 0 active keys of 222222222222,"
            " more than --max-share 1",
            "plan with --limit or --only, or raise --max-share",
        ),
    ],
)
def test_a_plan_that_goes_too_far_is_refused(
    made: Plan, limits: Mapping[str, Any], told: str, hint: str
) -> None:
    assert refused(made, **limits) == (told, hint)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            replace(a_plan(), scanned_at=ago(hours=24)),
            "plan plan-1 is of a scan that began at 2026-11-23T12:00:00+00:00,"
            " more than 24 hours ago",
        ),
        (replace(a_plan(), expires_at=NOW), "plan plan-1 expired at 2026-11-24T12:00:00+00:00"),
    ],
)
def test_a_plan_that_is_too_old_is_refused(made: Plan, told: str) -> None:
    with pytest.raises(AuditError) as caught:
        check_time(made, NOW)

    assert str(caught.value) == told
    assert caught.value.hint == "scan and plan again: keys may have been used since"


def test_a_window_is_what_was_written() -> None:
    window = parse_window(" fri-Mon 09:00-16:30 Europe/Berlin ")

    assert str(window) == "fri-Mon 09:00-16:30 Europe/Berlin"
    assert window.days == {4, 5, 6, 0}
    assert (window.opens, window.closes) == (time(9), time(16, 30))
    assert window.zone.key == "Europe/Berlin"
    assert parse_window("Tue-Wed 00:00-00:01").days == {1, 2}
    assert parse_window("sun 00:00-00:01").days == {6}
    assert parse_window("mon-sun 00:00-00:01").days == set(range(7))
    assert parse_window("mon 00:00-00:01").zone.key == "UTC"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "'x' is no window"),
        ("abc 09:00-16:00", "'abc 09:00-16:00' is no window"),
        ("mon 09:00-09:00", "'mon 09:00-09:00' closes before it opens"),
    ],
)
def test_what_is_no_window_is_repeated(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_window(text)

    assert str(caught.value) == told


# --- undo -----------------------------------------------------------------------------------


def test_an_undo_is_a_plan_of_its_own() -> None:
    action, deleted = an_action(), an_action("delete", key=a_key("AKIA2", active=False))
    rotated = an_action("rotate", key=a_key("AKIA3"))
    exposed = an_action(key=a_key("AKIA4"), because=["key-quarantined", "x"])
    untouched = an_action(key=a_key("AKIA5"))
    whole = a_plan(
        action,
        deleted,
        rotated,
        exposed,
        untouched,
        created_at=ago(hours=8),
        expires_at=ago(hours=-16),
        scanned_at=ago(hours=9),
        policies={"p": "0"},
    )
    applied = {"result": "applied", "reason": ""}
    kept = {each.id: [a_line(each, "outcome", applied)] for each in whole.actions[:-1]}

    made = undo_plan(
        whole,
        kept,
        id_="undo-1",
        keys=frozenset(),
        quarantine_rules=frozenset({"key-quarantined"}),
        now=NOW,
    )

    def held(of: Action, reason: str) -> Held:
        return Held(
            account_id=of.account_id,
            user_name=of.user_name,
            access_key_id=of.access_key_id,
            kind=ActionKind.ACTIVATE,
            because=of.because,
            reason=reason,
        )

    assert made == replace(
        whole,
        id="undo-1",
        created_at=NOW,
        expires_at=NOW + timedelta(hours=24),
        judged_at=ago(hours=9),
        actions=(
            replace(
                action,
                id=action_id(
                    partition="aws",
                    account_id=ACCOUNT_ID,
                    key_id=KEY_ID,
                    kind=ActionKind.ACTIVATE,
                ),
                kind=ActionKind.ACTIVATE,
                expected=replace(action.expected, status=KeyStatus.INACTIVE),
            ),
        ),
        held=(
            held(deleted, "a deletion can't be undone"),
            held(
                rotated,
                "a rotation left the old key as it was; delete the new one with keys delete",
            ),
            held(exposed, "it was deactivated as exposed: name it with --key to restore it"),
        ),
        undoes="plan-1",
    )
    assert made.applicable


# --- the journal ----------------------------------------------------------------------------


def a_line(action: Action, step: str, detail: Mapping[str, object] | None = None) -> JournalLine:
    return JournalLine(
        sequence=1,
        at=NOW,
        plan_id="plan-1",
        run_id="run-1",
        action_id=action.id,
        account_id=action.account_id,
        user_name=action.user_name,
        access_key_id=action.access_key_id,
        kind=action.kind,
        step=Step(step),
        detail=detail or {},
    )


def test_an_outcome_is_kept_and_read_as_it_was() -> None:
    whole = Outcome(
        result=Result.APPLIED, reason="r", request_id="q", new_key_id="AKIA2", secret_in="s"
    )
    bare = Outcome(result=Result.DRIFTED, reason="gone")

    assert written.parse(written.detail(whole)) == whole
    assert written.detail(bare) == {"result": "drifted", "reason": "gone"}
    assert written.parse(written.detail(bare)) == bare


def test_how_an_action_stands_is_its_last_line() -> None:
    action = an_action()
    intent = a_line(action, "intent")
    ended = a_line(action, "outcome", {"result": "refused", "reason": "no"})
    cut = Outcome(
        result=Result.UNCLEAR, reason="it was cut off: apply the plan with --resume to find out"
    )
    refused_ = Outcome(result=Result.REFUSED, reason="no")

    assert written.state([]) is None
    assert written.state([intent]) == cut
    assert written.state([intent, ended]) == refused_
    assert written.state([intent, ended, intent]) == cut
    assert written.outcome([]) is None
    assert written.outcome([intent, ended, intent]) is None
    assert written.outcome([intent, ended]) == refused_
    assert written.by_action([intent, ended]) == {action.id: [intent, ended]}


def test_what_nobody_knows_the_end_of_is_open() -> None:
    action = an_action()
    intent = a_line(action, "intent")
    ends = {
        result: a_line(action, "outcome", {"result": result, "reason": ""})
        for result in ("applied", "refused", "unclear")
    }

    assert not written.is_open([])
    assert written.is_open([intent])
    assert not written.is_open([intent, ends["applied"]])
    assert not written.is_open([intent, ends["refused"]])
    assert written.is_open([intent, ends["unclear"]])
    assert not written.is_lost([intent, ends["unclear"]])


def test_a_rotation_whose_key_nobody_knows_is_lost_and_not_open() -> None:
    action = an_action("rotate")
    intent, created = a_line(action, "intent"), a_line(action, "created")
    unclear = a_line(action, "outcome", {"result": "unclear", "reason": ""})
    refused_ = a_line(action, "outcome", {"result": "refused", "reason": ""})

    assert written.is_lost([intent, unclear])
    assert written.is_lost([unclear])
    assert not written.is_open([intent, unclear])
    assert not written.is_lost([intent, created, unclear])
    assert written.is_open([intent, created, unclear])
    assert written.is_lost([intent, created, refused_, intent, unclear])
    assert not written.is_lost([intent])
    assert not written.is_lost([intent, refused_])


def test_the_lines_since_the_last_intent_are_one_try() -> None:
    action = an_action("rotate")
    intent, created = a_line(action, "intent"), a_line(action, "created")

    assert written.since_intent([intent, created, intent, created]) == [intent, created]
    assert written.since_intent([created]) == [created]
    assert written.since_intent([]) == []


# --- apply ----------------------------------------------------------------------------------


def refusal(reason: str) -> Outcome:
    return Outcome(result=Result.REFUSED, reason=reason)


def drift(reason: str) -> Outcome:
    return Outcome(result=Result.DRIFTED, reason=reason)


async def test_an_applied_change_keeps_amazons_request_id(bench: Bench) -> None:
    outcome = await bench.one(an_action())

    assert outcome == Outcome(result=Result.APPLIED, reason="", request_id="request-1")
    assert lines(bench) == [
        ("intent", {"status": "Active", "keys": [KEY_ID]}),
        ("outcome", {"result": "applied", "reason": "", "request_id": "request-1"}),
    ]


async def test_a_rotation_is_journaled_step_by_step_without_its_secret(rotating: Bench) -> None:
    outcome = await rotating.one(an_action("rotate"), sink_name="file:/keys")

    where = f"sink/{ACCOUNT_ID}/amy"
    told = {
        "result": "applied",
        "reason": "new key AKIANEW1; the old one stays until the new one is used",
        "request_id": "request-3",
        "new_key_id": "AKIANEW1",
        "secret_in": where,
    }
    assert lines(rotating) == [
        ("intent", {"status": "Active", "keys": [KEY_ID], "sink": "file:/keys"}),
        ("created", {"new_key_id": "AKIANEW1", "request_id": "request-3"}),
        ("stored", {"new_key_id": "AKIANEW1", "secret_in": where}),
        ("outcome", told),
    ]
    assert written.detail(outcome) == told
    assert SECRET not in str(lines(rotating))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([], "the key is gone"),
        ([replace(OLD, created_at=NOW)], "it is another key of the same id"),
        ([INACTIVE], "it is Inactive now"),
        (
            [replace(OLD, last_use=used(days=1))],
            "it was used at 2026-11-23T12:00:00+00:00, for s3",
        ),
    ],
)
async def test_how_a_key_drifted_is_told(bench: Bench, keys: list[Any], told: str) -> None:
    bench.writer.keys["amy"] = keys

    assert await bench.one(an_action()) == drift(told)


async def test_a_plan_that_did_not_know_the_use_deletes_nothing(bench: Bench) -> None:
    unread = replace(INACTIVE, last_use=DENIED)
    bench.writer.keys["amy"] = [unread]

    outcome = await bench.one(an_action("delete", key=unread))

    assert outcome == drift("its last use was not known to the plan")


async def test_a_user_that_is_gone_is_told(bench: Bench) -> None:
    bench.writer.keys = {}

    assert await bench.one(an_action()) == drift("the user is gone")


@pytest.mark.parametrize(
    ("rails", "protection", "told"),
    [
        (
            {"own_key_ids": frozenset({KEY_ID})},
            Protection(),
            "it is in this machine's AWS configuration",
        ),
        ({"caller_arn": ARN}, Protection(), "it is the caller's own"),
        ({}, Protection(patterns=("a*",)), "protected by a*"),
        ({}, Protection(patterns=("*:user/AMY",)), "protected by *:user/AMY"),
        ({}, Protection(tag="keep"), "protected by the tag keep"),
    ],
)
async def test_why_a_key_is_protected_is_told(
    bench: Bench, rails: Mapping[str, Any], protection: Protection, told: str
) -> None:
    bench.writer.tags["amy"] = {"keep": "yes"}

    assert await bench.one(an_action(), protection=protection, **rails) == refusal(told)
    assert bench.writer.count("iam:UpdateAccessKey") == 0


async def test_a_quarantined_user_is_told_with_the_option_that_restores(bench: Bench) -> None:
    bench.writer.keys["amy"] = [INACTIVE]
    bench.writer.quarantined_users.add("amy")

    assert await bench.one(an_action("activate", key=INACTIVE)) == refusal(
        "the user is quarantined by AWS: name the key with --key to restore it"
    )


async def test_a_rotation_without_a_sink_is_refused(bench: Bench) -> None:
    assert await bench.one(an_action("rotate")) == refusal("a rotation needs --sink")
    assert bench.steps() == ["outcome"]


@pytest.mark.parametrize(
    ("rails", "hours", "told"),
    [
        ({"window": parse_window("Wed 09:00-10:00")}, 0, "outside the window Wed 09:00-10:00"),
        ({}, 24, "the plan has expired"),
        ({"settle_only": "only what was begun"}, 0, "only what was begun"),
    ],
)
async def test_what_is_not_begun_now_is_skipped_with_the_reason(
    bench: Bench, rails: Mapping[str, Any], hours: int, told: str
) -> None:
    action = an_action()
    bench.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    bench.clock.at = NOW + timedelta(hours=hours)

    assert await bench.one(action, **rails) == Outcome(result=Result.SKIPPED, reason=told)
    assert bench.writer.count("iam:UpdateAccessKey") == 0


async def test_what_was_not_begun_is_not_even_looked_at_when_only_settling(bench: Bench) -> None:
    action = an_action()

    assert await bench.apply(a_plan(action), settle_only="no") == {}
    assert bench.writer.calls == []


async def test_a_rotation_is_settled_only_with_its_sink(bench: Bench) -> None:
    action = an_action("rotate")
    bench.append(action, Step.INTENT, status="Active", keys=[KEY_ID])

    assert await bench.apply(a_plan(action), settle_only="no") == {}
    bench.sink = FakeSink()
    assert (await bench.one(action, settle_only="no")).result is Result.UNCLEAR


async def test_a_plan_is_open_until_the_very_moment_it_expires(bench: Bench) -> None:
    bench.clock.at = NOW + timedelta(hours=24) - timedelta(microseconds=1)

    assert (await bench.one(an_action())).result is Result.APPLIED


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (gone("iam:ListAccessKeys"), drift("the user is gone")),
        (
            failing("AccessDenied", FailureKind.DENIED),
            Outcome(
                result=Result.UNCLEAR,
                reason="it could not be read again: iam:X: AccessDenied: said AWS",
            ),
        ),
    ],
)
async def test_what_was_cut_off_and_can_not_be_read_is_told(
    bench: Bench, failure: Any, outcome: Outcome
) -> None:
    action = an_action()
    bench.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    bench.writer.before["iam:ListAccessKeys"] = deque([failure])

    assert await bench.one(action) == outcome


async def test_what_was_cut_off_and_is_done_is_told(bench: Bench) -> None:
    action = an_action()
    bench.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    bench.writer.keys["amy"] = [INACTIVE]

    assert await bench.one(action) == Outcome(
        result=Result.APPLIED, reason="found done after the interruption"
    )


async def test_an_activation_that_was_cut_off_is_done_where_the_key_is_active(
    bench: Bench,
) -> None:
    action = an_action("activate", key=INACTIVE)
    bench.append(action, Step.INTENT, status="Inactive", keys=[KEY_ID])

    assert (await bench.one(action)).reason == "found done after the interruption"
    bench.writer.keys["amy"] = []
    bench.append(action, Step.INTENT, status="Inactive", keys=[KEY_ID])
    assert await bench.one(action) == drift("the key is gone")


async def test_without_a_session_each_action_is_refused_but_what_is_open_stays_open(
    bench: Bench,
) -> None:
    begun = an_action(account=OTHER, user="ann")
    fresh = an_action(account=OTHER, key=a_key("AKIA2"))
    bench.append(begun, Step.INTENT, status="Active", keys=[KEY_ID])

    assert await bench.apply(a_plan(begun, fresh)) == {
        fresh.id: refusal("no session in the account: sts:AssumeRole: AccessDenied: not allowed")
    }


async def test_one_user_that_is_too_large_for_a_session_is_refused(bench: Bench) -> None:
    bench.sessions.most_users = 0

    assert await bench.one(an_action()) == refusal(
        "no session in the account: sts:AssumeRole: PackedPolicyTooLarge: said AWS"
    )


async def test_a_denied_session_is_not_tried_with_fewer_users(bench: Bench) -> None:
    actions = [an_action(account=OTHER, user=name, key=a_key(f"AKIA{name}")) for name in "abcd"]
    opened: list[int] = []
    open_for = bench.sessions.open_for

    def counting(account: Any, grant: Any) -> Any:
        opened.append(len(grant.actions["iam:UpdateAccessKey"]))
        return open_for(account, grant)

    bench.sessions.open_for = counting  # type: ignore[method-assign]
    found = await bench.apply(a_plan(*actions))

    assert {outcome.result for outcome in found.values()} == {Result.REFUSED}
    assert opened == [4]


# --- rotations ------------------------------------------------------------------------------


def begun(bench: Bench, *steps: Step) -> Action:
    """A rotation that was cut off after these steps."""
    action = an_action("rotate")
    details: dict[Step, dict[str, object]] = {
        Step.INTENT: {"status": "Active", "keys": [KEY_ID]},
        Step.CREATED: {"new_key_id": "AKIANEW1", "request_id": "request-9"},
        Step.STORED: {"new_key_id": "AKIANEW1", "secret_in": "there"},
    }
    for step in steps:
        bench.append(action, step, **details[step])
    bench.writer.keys["amy"].append(a_key("AKIANEW1"))
    return action


MADE = Outcome(
    result=Result.APPLIED,
    reason="new key AKIANEW1; the old one stays until the new one is used",
    request_id="request-9",
    new_key_id="AKIANEW1",
    secret_in="there",
)


async def test_a_rotation_cut_off_after_storing_is_made(rotating: Bench) -> None:
    action = begun(rotating, Step.INTENT, Step.CREATED, Step.STORED)

    assert await rotating.one(action) == MADE
    assert rotating.writer.count("iam:CreateAccessKey") == 0


async def test_a_rotation_whose_secret_the_sink_has_is_made_and_journaled(rotating: Bench) -> None:
    action = begun(rotating, Step.INTENT, Step.CREATED)
    assert rotating.sink is not None
    rotating.sink.kept["AKIANEW1"] = SECRET
    where = f"sink/{ACCOUNT_ID}/amy"

    assert await rotating.one(action) == replace(MADE, secret_in=where)
    assert lines(rotating)[2] == ("stored", {"new_key_id": "AKIANEW1", "secret_in": where})


async def test_a_new_key_nobody_has_the_secret_of_is_deleted_and_told(rotating: Bench) -> None:
    action = begun(rotating, Step.INTENT, Step.CREATED)

    assert await rotating.one(action) == Outcome(
        result=Result.REFUSED,
        reason="its secret was not stored before the end; the new key AKIANEW1 was deleted,"
        " the old one is as it was",
        new_key_id="AKIANEW1",
    )


@pytest.mark.parametrize("unread", [True, False])
async def test_a_new_key_in_use_or_unread_is_left_and_told(
    rotating: Bench, *, unread: bool
) -> None:
    action = begun(rotating, Step.INTENT, Step.CREATED)
    if unread:
        rotating.writer.before["iam:GetAccessKeyLastUsed"] = deque([denied("iam:X")])
    else:
        rotating.writer.keys["amy"][-1] = a_key("AKIANEW1", last_use=used())

    assert await rotating.one(action) == Outcome(
        result=Result.UNCLEAR,
        reason="its secret was not stored before the end, but the new key AKIANEW1 is in use,"
        " or that could not be read: look at it",
        new_key_id="AKIANEW1",
    )


async def test_a_sink_that_can_not_be_asked_is_told(rotating: Bench) -> None:
    action = begun(rotating, Step.INTENT, Step.CREATED)
    assert rotating.sink is not None
    rotating.sink.failure = AuditError("locked", hint="unlock it")

    assert await rotating.one(action) == Outcome(
        result=Result.UNCLEAR, reason="its secret could not be sought: locked"
    )


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (AuditError("full", hint="free it"), "(full)"),
        (denied("x:Put"), "(x:Put: AccessDenied: not allowed)"),
        (OSError("no such device"), "(OSError)"),
    ],
)
async def test_why_a_secret_was_not_stored_is_told(
    rotating: Bench, failure: Exception, told: str
) -> None:
    assert rotating.sink is not None
    rotating.sink.failure = failure

    assert await rotating.one(an_action("rotate")) == Outcome(
        result=Result.REFUSED,
        reason=f"its secret could not be stored {told}; the new key AKIANEW1 was deleted,"
        " the old one is as it was",
        new_key_id="AKIANEW1",
    )


async def test_a_new_key_that_can_not_be_deleted_either_is_a_persons(rotating: Bench) -> None:
    assert rotating.sink is not None
    rotating.sink.failure = AuditError("full", hint="free it")
    rotating.writer.before["iam:DeleteAccessKey"] = deque([denied("iam:DeleteAccessKey")])

    assert await rotating.one(an_action("rotate")) == Outcome(
        result=Result.UNCLEAR,
        reason="its secret could not be stored (full); the new key AKIANEW1 could not be deleted"
        " (iam:DeleteAccessKey: AccessDenied: not allowed): delete it by hand",
        new_key_id="AKIANEW1",
    )


async def test_a_key_that_could_not_be_created_is_refused(rotating: Bench) -> None:
    throttled = failing("Throttling", FailureKind.THROTTLED)
    rotating.writer.before["iam:CreateAccessKey"] = deque([throttled] * 5)

    assert await rotating.one(an_action("rotate")) == refusal(
        "throttled by AWS, however often it was tried"
    )
    rotating.writer.before["iam:CreateAccessKey"] = deque([denied("iam:CreateAccessKey")])
    assert await rotating.one(an_action("rotate")) == refusal(
        "iam:CreateAccessKey: AccessDenied: not allowed"
    )


async def test_a_new_key_that_was_not_stored_is_deleted_however_slowly(rotating: Bench) -> None:
    assert rotating.sink is not None
    rotating.sink.failure = AuditError("full", hint="free it")
    throttled = failing("Throttling", FailureKind.THROTTLED)
    rotating.writer.before["iam:DeleteAccessKey"] = deque([throttled])

    assert "AKIANEW1 was deleted" in (await rotating.one(an_action("rotate"))).reason
    assert rotating.clock.slept == [1.0]


async def test_an_old_key_that_goes_while_it_is_looked_at_is_told(bench: Bench) -> None:
    class Vanishing(FakeWriter):
        async def access_keys(self, user_name: str) -> Any:
            keys = await super().access_keys(user_name)
            self.keys[user_name] = []
            return keys

    bench.writer = Vanishing(keys={"amy": [OLD]})
    bench.sessions.accounts[ACCOUNT_ID] = bench.writer
    action = an_action()
    rotation = Rotation(plan_id="p", new_key_id=AccessKeyId("AKIANEW"), finished=True)

    outcome = await bench.one(action, rotations={action.id: rotation})

    assert outcome == drift("the key is gone")


async def test_deleting_a_new_key_waits_where_aws_throttles(rotating: Bench) -> None:
    action = begun(rotating, Step.INTENT, Step.CREATED)
    throttled = failing("Throttling", FailureKind.THROTTLED)
    rotating.writer.before["iam:DeleteAccessKey"] = deque([throttled])

    assert "was deleted" in (await rotating.one(action)).reason
    assert rotating.clock.slept == [1.0]


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([], "none shows yet"),
        (["AKIANEW1"], "it may be AKIANEW1"),
        (["AKIANEW1", "AKIANEW2"], "it may be AKIANEW1 or AKIANEW2"),
    ],
)
async def test_what_a_lost_answer_may_have_made_is_named(
    rotating: Bench, others: list[str], told: str
) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.writer.keys["amy"] += [a_key(each) for each in others]

    assert await rotating.one(action) == Outcome(
        result=Result.UNCLEAR,
        reason=f"AWS's answer was lost; if a key was made, {told}: look, and delete it by hand",
    )


async def test_an_intent_that_named_no_keys_makes_every_key_a_candidate(rotating: Bench) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active")

    assert f"it may be {KEY_ID}:" in (await rotating.one(action)).reason


async def test_keys_that_can_not_be_listed_after_a_lost_answer_are_told(rotating: Bench) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.writer.before["iam:ListAccessKeys"] = deque([TIMEOUT])

    assert (await rotating.one(action)).reason == (
        "AWS's answer was lost; if a key was made, the user's keys could not be listed"
        " (ReadTimeoutError): look, and delete it by hand"
    )


# --- changes --------------------------------------------------------------------------------


async def test_a_change_that_is_accepted_and_does_not_show_is_unclear(bench: Bench) -> None:
    bench.writer.lag = 100

    assert await bench.one(an_action()) == Outcome(
        result=Result.UNCLEAR,
        reason="AWS accepted it, but it does not show yet",
        request_id="request-1",
    )
    assert bench.clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0]


@pytest.mark.parametrize(
    ("kind", "failures", "result", "slept"),
    [
        ("delete", [TIMEOUT], Result.APPLIED, [0.5]),
        ("delete", [TIMEOUT] * 7, Result.UNCLEAR, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0]),
        ("delete", [gone("iam:ListAccessKeys")], Result.APPLIED, []),
        ("deactivate", [gone("iam:ListAccessKeys")], Result.UNCLEAR, []),
    ],
)
async def test_what_could_not_be_looked_at_is_not_taken_for_done_but_a_user_that_is_gone_has_no_key(
    kind: str, failures: list[AwsFailure], result: Result, slept: list[float]
) -> None:
    writer = FakeWriter(keys={"amy": [OLD]}, before={"iam:ListAccessKeys": deque(failures)})
    clock = FakeClock()

    outcome = await carry_out(CHANGES[ActionKind(kind)], writer, "amy", KEY_ID, clock)

    assert outcome.result is result
    assert clock.slept == slept


async def test_a_change_whose_answers_were_all_lost_may_still_come(bench: Bench) -> None:
    bench.writer.before["iam:UpdateAccessKey"] = deque([TIMEOUT] * 5)

    assert await bench.one(an_action()) == Outcome(
        result=Result.UNCLEAR,
        reason="it does not show, but AWS's answer was ReadTimeoutError: it may still come",
    )
    assert bench.clock.slept == [0.5, 1.0, 2.0] * 5


async def test_a_change_that_shows_though_its_answer_was_lost_is_applied(bench: Bench) -> None:
    bench.writer.after["iam:UpdateAccessKey"] = deque([TIMEOUT])

    assert await bench.one(an_action()) == Outcome(
        result=Result.APPLIED, reason="seen, though AWS's answer was ReadTimeoutError"
    )
    assert bench.clock.slept == []


async def test_throttling_is_waited_for_longer_each_time_and_told_at_the_end(
    bench: Bench,
) -> None:
    throttled = failing("Throttling", FailureKind.THROTTLED)
    bench.writer.before["iam:UpdateAccessKey"] = deque([throttled] * 5)

    assert await bench.one(an_action()) == refusal("throttled by AWS, however often it was tried")
    assert bench.clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_a_key_that_went_while_it_was_changed_is_told(bench: Bench) -> None:
    bench.writer.before["iam:UpdateAccessKey"] = deque([gone("iam:UpdateAccessKey")])

    assert await bench.one(an_action()) == drift("the key is gone")


async def test_a_denied_change_is_told_as_aws_said_it(bench: Bench) -> None:
    bench.writer.before["iam:UpdateAccessKey"] = deque([denied("iam:UpdateAccessKey")])

    assert await bench.one(an_action()) == refusal("iam:UpdateAccessKey: AccessDenied: not allowed")
