"""An apply does exactly its plan, on keys that are still as the plan saw them."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import AuditError, AwsFailure, FailureKind
from auditor.model.access_key import (
    AccessKey,
    AccessKeyId,
    KeyStatus,
    LastUse,
    NeverUsed,
    Used,
)
from auditor.model.account import AccountId
from auditor.model.outcome import Outcome, Result, Step
from auditor.model.plan import Action, ActionKind, Expected, Plan, Protection
from auditor.remediation import journal as written
from auditor.remediation.apply import Apply, Rails, grant
from auditor.remediation.planner import Rotation, action_id
from auditor.remediation.window import parse_window
from auditor.store.journal import SqliteJournal
from auditor.store.runs import SqliteRunStore
from tests.builders import ACCOUNT_ID, KEY_ID, NOW, a_key, ago, an_account, used
from tests.fakes import FakeClock, denied
from tests.remediation.fakes import (
    SECRET,
    THROTTLED,
    TIMEOUT,
    FakeSink,
    FakeWriter,
    FakeWriteSessions,
    failing,
)

OTHER = "222222222222"
OLD = a_key(days_old=400, last_use=used(days=90))
DONE = {
    ActionKind.DEACTIVATE: "iam:UpdateAccessKey",
    ActionKind.DELETE: "iam:DeleteAccessKey",
}


def an_action(
    kind: str = "deactivate",
    *,
    key: AccessKey = OLD,
    user: str = "amy",
    account: str = ACCOUNT_ID,
    because: Sequence[str] = ("key-unused",),
) -> Action:
    assert key.id is not None
    assert key.created_at is not None
    return Action(
        id=action_id(partition="aws", account_id=account, key_id=key.id, kind=ActionKind(kind)),
        account_id=AccountId(account),
        user_name=user,
        user_arn=f"arn:aws:iam::{account}:user/{user}",
        access_key_id=key.id,
        kind=ActionKind(kind),
        because=tuple(because),
        expected=Expected(status=key.status, created_at=key.created_at, last_use=key.last_use),
    )


def a_plan(*actions: Action, **values: Any) -> Plan:
    defaults: dict[str, Any] = {
        "id": "plan-1",
        "run_id": "run-1",
        "created_at": NOW,
        "expires_at": NOW + timedelta(hours=24),
        "judged_at": NOW,
        "scanned_at": NOW,
        "partition": "aws",
        "policies": {},
        "protection": Protection(),
        "held": (),
    }
    return Plan(actions=actions, **(defaults | values))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    SqliteRunStore(tmp_path / "iamaudit.db").close()
    journal = SqliteJournal(tmp_path / "iamaudit.db")
    yield journal
    journal.close()


@dataclass
class Bench:
    """Applies plans against fakes and a real journal."""

    journal: SqliteJournal
    writer: FakeWriter = field(default_factory=lambda: FakeWriter(keys={"amy": [OLD]}))
    sink: FakeSink | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    sessions: FakeWriteSessions = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = FakeWriteSessions({ACCOUNT_ID: self.writer})

    async def apply(self, plan: Plan, **rails: Any) -> Mapping[str, Outcome]:
        defaults: dict[str, Any] = {
            "caller_arn": "arn:aws:iam::999999999999:user/auditor",
            "own_key_ids": frozenset(),
            "use_matters": frozenset({"key-unused"}),
            "window": None,
        }
        await Apply(
            plan,
            accounts={each: an_account(each) for each in (ACCOUNT_ID, OTHER)},
            sessions=self.sessions,
            journal=self.journal,
            sink=self.sink,
            rails=Rails(**(defaults | rails)),
            clock=self.clock,
        ).run()
        found = {
            name: written.outcome(lines)
            for name, lines in written.by_action(self.journal.lines(plan.id)).items()
        }
        return {name: outcome for name, outcome in found.items() if outcome is not None}

    async def one(self, action: Action, **values: Any) -> Outcome:
        plan_values = {"protection": values.pop("protection")} if "protection" in values else {}
        if "rails_protection" in values:
            values["protection"] = values.pop("rails_protection")
        return (await self.apply(a_plan(action, **plan_values), **values))[action.id]

    def append(self, action: Action, step: Step, **detail: object) -> None:
        self.journal.append(at=NOW, plan=a_plan(action), action=action, step=step, detail=detail)

    def steps(self) -> list[str]:
        return [line.step.value for line in self.journal.lines("plan-1")]


@pytest.fixture
def bench(journal: SqliteJournal) -> Bench:
    return Bench(journal)


def status(bench: Bench, user: str = "amy") -> list[str]:
    return [key.status.value for key in bench.writer.keys[user]]


async def test_a_key_is_deactivated_and_seen_to_be(bench: Bench) -> None:
    outcome = await bench.one(an_action())

    assert outcome == Outcome(result=Result.APPLIED, reason="", request_id="request-1")
    assert status(bench) == ["Inactive"]
    assert bench.steps() == ["intent", "outcome"]


async def test_the_session_is_granted_the_actions_of_the_plan_on_its_users_only(
    bench: Bench,
) -> None:
    bench.writer.keys["bob"] = [replace(OLD, id=AccessKeyId("AKIA2"), status=KeyStatus.INACTIVE)]

    await bench.apply(
        a_plan(an_action(), an_action("delete", key=bench.writer.keys["bob"][0], user="bob"))
    )

    [grant] = bench.sessions.grants
    assert grant.actions == {
        "iam:DeleteAccessKey": (f"arn:aws:iam::{ACCOUNT_ID}:user/bob",),
        "iam:UpdateAccessKey": (f"arn:aws:iam::{ACCOUNT_ID}:user/amy",),
    }


@pytest.mark.parametrize(
    ("path", "literally"),
    [("*", "${*}"), ("a?b", "a${?}b"), ("${aws:username}", "${$}{aws:username}")],
)
def test_a_path_with_wildcards_grants_nothing_on_other_users(path: str, literally: str) -> None:
    action = replace(an_action(), user_arn=f"arn:aws:iam::{ACCOUNT_ID}:user/{path}/amy")

    [(resource,)] = grant([action]).actions.values()

    assert resource == f"arn:aws:iam::{ACCOUNT_ID}:user/{literally}/amy"


@pytest.mark.parametrize(("most", "sessions"), [(2, 4), (1, 7)])
async def test_what_is_too_large_for_one_session_is_done_in_several(
    bench: Bench, most: int, sessions: int
) -> None:
    users = [f"user-{number}" for number in range(7)]
    keys = {user: a_key(f"AKIA{user}", days_old=400) for user in users}
    bench.writer.keys = {user: [key] for user, key in keys.items()}
    bench.sessions.most_users = most

    outcomes = await bench.apply(a_plan(*(an_action(key=keys[u], user=u) for u in users)))

    assert [each.result for each in outcomes.values()] == [Result.APPLIED] * 7
    assert len(bench.sessions.grants) == sessions


# --- drift -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (replace(OLD, last_use=used(days=1)), "it was used at 2026-11-23T12:00:00+00:00, for s3"),
        (replace(OLD, status=KeyStatus.INACTIVE), "it is Inactive now"),
        (replace(OLD, created_at=ago(days=3)), "it is another key of the same id"),
        (None, "the key is gone"),
    ],
)
async def test_a_key_that_is_not_as_the_plan_saw_it_is_left_alone(
    bench: Bench, now: AccessKey | None, told: str
) -> None:
    bench.writer.keys["amy"] = [] if now is None else [now]

    outcome = await bench.one(an_action())

    assert outcome == Outcome(result=Result.DRIFTED, reason=told)
    assert bench.writer.count("iam:UpdateAccessKey") == 0
    assert bench.steps() == ["outcome"]


async def test_a_user_that_is_gone_is_drifted(bench: Bench) -> None:
    bench.writer.keys.clear()

    outcome = await bench.one(an_action())

    assert outcome == Outcome(result=Result.DRIFTED, reason="the user is gone")


async def test_a_key_that_was_never_used_and_is_now_is_left_alone(bench: Bench) -> None:
    never = a_key(days_old=400)
    bench.writer.keys["amy"] = [replace(never, last_use=used(days=0))]

    assert (await bench.one(an_action(key=never))).result is Result.DRIFTED


async def test_use_since_does_not_hold_a_rule_that_never_looked_at_it(bench: Bench) -> None:
    bench.writer.keys["amy"] = [replace(OLD, last_use=used(days=0))]

    outcome = await bench.one(an_action(because=["key-quarantined"]))

    assert outcome.result is Result.APPLIED
    assert bench.writer.count("iam:GetAccessKeyLastUsed") == 0


async def test_a_deletion_always_looks_at_the_use(bench: Bench) -> None:
    key = replace(OLD, status=KeyStatus.INACTIVE)
    bench.writer.keys["amy"] = [replace(key, last_use=used(days=0))]

    outcome = await bench.one(an_action("delete", key=key, because=["inactive-key-lingering"]))

    assert outcome.result is Result.DRIFTED
    assert status(bench) == ["Inactive"]


@pytest.mark.parametrize("operation", ["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"])
async def test_what_can_not_be_read_again_is_not_touched(bench: Bench, operation: str) -> None:
    bench.writer.before[operation] = deque([denied(operation)])

    outcome = await bench.one(an_action())

    assert outcome.result is Result.REFUSED
    assert "it could not be read again" in outcome.reason
    assert status(bench) == ["Active"]


async def test_a_reason_beside_the_use_is_enough(bench: Bench) -> None:
    bench.writer.keys["amy"] = [replace(OLD, last_use=used(days=0))]

    outcome = await bench.one(an_action(because=["key-quarantined", "key-unused"]))

    assert outcome.result is Result.APPLIED


async def test_a_plan_that_expires_meanwhile_begins_nothing_more(bench: Bench) -> None:
    bench.clock.at = NOW + timedelta(hours=24)

    outcome = await bench.one(an_action())

    assert outcome == Outcome(result=Result.SKIPPED, reason="the plan has expired")
    assert status(bench) == ["Active"]


ROTATION = Rotation(plan_id="plan-0", new_key_id=AccessKeyId("AKIANEW"), finished=True)
NEW = a_key("AKIANEW", days_old=20, last_use=used(days=1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (replace(OLD, last_use=used(days=6)), NEW, "used in the last 7 days"),
        (OLD, replace(NEW, last_use=a_key().last_use), "has not been used yet"),
        (OLD, replace(NEW, status=KeyStatus.INACTIVE), "gone or inactive"),
        (OLD, replace(NEW, id=AccessKeyId("AKIA7")), "gone or inactive"),
    ],
)
async def test_the_old_key_of_a_rotation_is_looked_at_again_before_it_is_retired(
    bench: Bench, old: AccessKey, new: AccessKey, told: str
) -> None:
    bench.writer.keys["amy"] = [old, new]
    action = an_action(because=["key-too-old"])

    outcome = await bench.one(action, rotations={action.id: ROTATION})

    assert outcome.result is Result.DRIFTED
    assert told in outcome.reason
    assert status(bench)[0] == "Active"


async def test_the_old_key_of_a_rotation_is_retired_where_both_are_as_they_must(
    bench: Bench,
) -> None:
    bench.writer.keys["amy"] = [OLD, NEW]
    action = an_action(because=["key-too-old"])

    outcome = await bench.one(action, rotations={action.id: ROTATION})

    assert outcome.result is Result.APPLIED
    assert status(bench) == ["Inactive", "Active"]


# --- rails -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"own_key_ids": frozenset({KEY_ID})}, "this machine's AWS configuration"),
        ({"caller_arn": f"arn:aws:iam::{ACCOUNT_ID}:user/amy"}, "it is the caller's own"),
        ({"protection": Protection(patterns=("am*",))}, "protected by am*"),
        ({"protection": Protection(tag="keep")}, "protected by the tag keep"),
    ],
)
async def test_protected_keys_are_refused_whatever_the_plan_says(
    bench: Bench, values: dict[str, Any], told: str
) -> None:
    bench.writer.tags["amy"] = {"keep": ""}

    outcome = await bench.one(an_action(), **values)

    assert outcome.result is Result.REFUSED
    assert told in outcome.reason
    assert status(bench) == ["Active"]


async def test_who_lacks_the_tag_is_not_protected_and_without_one_no_tags_are_read(
    bench: Bench,
) -> None:
    bench.writer.tags["amy"] = {"team": "keep"}
    other = a_key("AKIA2")
    bench.writer.keys["bob"] = [other]

    assert (await bench.one(an_action(user="bob", key=other))).result is Result.APPLIED
    assert bench.writer.count("iam:ListUserTags") == 0
    outcome = await bench.one(an_action(), protection=Protection(tag="keep"))
    assert outcome.result is Result.APPLIED


@pytest.mark.parametrize("by", ["plan", "now"])
@pytest.mark.parametrize(
    ("protection", "arn"),
    [
        (Protection(patterns=("am*",)), None),
        (Protection(patterns=("arn:aws:iam::*:user/breakglass/*",)), "breakglass/amy"),
        (Protection(patterns=("arn:aws:iam::*:user/amy",)), "moved/amy"),
        (Protection(tag="keep"), None),
        (Protection(tag="keep=yes"), None),
    ],
    ids=["by name", "by the path it has now", "by the path of the plan", "by tag", "by value"],
)
async def test_what_the_plan_or_the_operator_protects_is_refused(
    bench: Bench, protection: Protection, arn: str | None, by: str
) -> None:
    bench.writer.tags["amy"] = {"keep": "yes"}
    if arn is not None:
        bench.writer.arns["amy"] = f"arn:aws:iam::{ACCOUNT_ID}:user/{arn}"
    plan = protection if by == "plan" else Protection()
    now = protection if by == "now" else Protection()

    outcome = await bench.one(an_action(), protection=plan, rails_protection=now)

    assert outcome.result is Result.REFUSED
    assert "protected" in outcome.reason
    assert status(bench) == ["Active"]


async def test_a_user_that_moved_since_the_plan_is_drifted(bench: Bench) -> None:
    bench.writer.arns["amy"] = f"arn:aws:iam::{ACCOUNT_ID}:user/team/amy"

    outcome = await bench.one(an_action())

    assert outcome.result is Result.DRIFTED
    assert "team/amy" in outcome.reason
    assert status(bench) == ["Active"]


@pytest.mark.parametrize(
    ("patterns", "result"), [((), Result.APPLIED), (("svc-*",), Result.REFUSED)]
)
async def test_a_path_that_can_not_be_read_matters_only_where_a_pattern_may_look_at_it(
    bench: Bench, patterns: tuple[str, ...], result: Result
) -> None:
    bench.writer.before["iam:GetUser"] = deque([denied("iam:GetUser")])

    outcome = await bench.one(an_action(), rails_protection=Protection(patterns=patterns))

    assert outcome.result is result


@pytest.mark.parametrize("kind", ["deactivate", "delete"])
@pytest.mark.parametrize("now", [NeverUsed(), used(days=91)], ids=["never", "earlier"])
async def test_a_last_use_that_contradicts_the_plan_is_drifted(
    bench: Bench, now: LastUse, kind: str
) -> None:
    planned = a_key(days_old=400, last_use=used(days=90), active=kind == "deactivate")
    bench.writer.keys["amy"] = [replace(planned, last_use=now)]

    outcome = await bench.one(an_action(kind, key=planned))

    assert outcome.result is Result.DRIFTED
    assert len(bench.writer.keys["amy"]) == 1


async def test_the_old_key_of_a_rotation_whose_use_contradicts_the_plan_stays(
    bench: Bench,
) -> None:
    new = a_key("AKIANEW", days_old=20, last_use=used(days=1))
    bench.writer.keys["amy"] = [replace(OLD, last_use=NeverUsed()), new]
    action = an_action()
    rotation = Rotation(plan_id="plan-0", new_key_id=AccessKeyId("AKIANEW"), finished=True)

    outcome = await bench.one(action, rotations={action.id: rotation})

    assert outcome.result is Result.DRIFTED
    assert status(bench) == ["Active", "Active"]


@pytest.mark.parametrize(
    ("since", "result"),
    [
        (timedelta(seconds=-1), Result.APPLIED),
        (timedelta(0), Result.REFUSED),
        (timedelta(days=1), Result.REFUSED),
    ],
)
async def test_a_key_that_was_used_after_its_end_is_restored_only_if_named(
    bench: Bench, since: timedelta, result: Result
) -> None:
    inactive = a_key(days_old=400, active=False, last_use=used(days=90))
    ended = ago(days=2) + timedelta(milliseconds=500)  # AWS tells whole seconds
    used_at = Used(at=ago(days=2) + since, service="s3", region="eu-west-1")
    bench.writer.keys["amy"] = [replace(inactive, last_use=used_at)]
    action = an_action("activate", key=inactive)

    held = await bench.one(action, ended_at={action.id: ended})
    named = await bench.one(action, ended_at={action.id: ended}, named=frozenset({KEY_ID}))

    assert held.result is result
    assert named.result is Result.APPLIED


async def test_a_last_use_that_can_not_be_read_holds_a_key_back(bench: Bench) -> None:
    inactive = a_key(days_old=400, active=False, last_use=used(days=90))
    bench.writer.keys["amy"] = [inactive]
    bench.writer.before["iam:GetAccessKeyLastUsed"] = deque([denied("iam:GetAccessKeyLastUsed")])
    action = an_action("activate", key=inactive)

    outcome = await bench.one(action, ended_at={action.id: ago(days=2)})

    assert outcome.result is Result.REFUSED


async def test_what_is_protected_since_is_no_reason_to_keep_what_was_taken(bench: Bench) -> None:
    inactive = a_key(days_old=400, active=False, last_use=used(days=90))
    bench.writer.keys["amy"] = [inactive]

    outcome = await bench.one(
        an_action("activate", key=inactive), rails_protection=Protection(patterns=("amy",))
    )

    assert outcome.result is Result.APPLIED


async def test_tags_that_can_not_be_read_protect(bench: Bench) -> None:
    bench.writer.before["iam:ListUserTags"] = deque([denied("iam:ListUserTags")])

    outcome = await bench.one(an_action(), protection=Protection(tag="keep"))

    assert outcome.result is Result.REFUSED
    assert status(bench) == ["Active"]


async def test_outside_the_window_nothing_is_done_and_later_it_is(bench: Bench) -> None:
    action, window = an_action(), parse_window("Tue 13:00-14:00")

    assert (await bench.one(action, window=window)).result is Result.SKIPPED
    assert status(bench) == ["Active"]
    bench.clock.at += timedelta(hours=1)
    assert (await bench.one(action, window=window)).result is Result.APPLIED


async def test_an_account_without_a_session_costs_only_its_own_actions(bench: Bench) -> None:
    there, not_there = an_action(), an_action(account=OTHER)

    outcomes = await bench.apply(a_plan(there, not_there))

    assert outcomes[there.id].result is Result.APPLIED
    assert outcomes[not_there.id].result is Result.REFUSED
    assert "no session in the account" in outcomes[not_there.id].reason


# --- what AWS answers --------------------------------------------------------------------------

KINDS = ["deactivate", "delete"]


def prepared(bench: Bench, kind: str) -> tuple[Action, str]:
    """An action of this kind, and the operation that it calls."""
    key = replace(OLD, status=KeyStatus.INACTIVE) if kind == "delete" else OLD
    bench.writer.keys["amy"] = [key]
    return an_action(kind, key=key), DONE[ActionKind(kind)]


def changed(bench: Bench, kind: str) -> bool:
    return status(bench) == ([] if kind == "delete" else ["Inactive"])


@pytest.mark.parametrize("kind", KINDS)
async def test_throttling_is_waited_for(bench: Bench, kind: str) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([THROTTLED, THROTTLED])

    assert (await bench.one(action)).result is Result.APPLIED
    assert changed(bench, kind)
    assert bench.clock.slept[:2] == [1.0, 2.0]


@pytest.mark.parametrize("kind", KINDS)
async def test_throttled_to_the_end_it_is_refused_and_nothing_was_done(
    bench: Bench, kind: str
) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([THROTTLED] * 9)

    assert (await bench.one(action)).result is Result.REFUSED
    assert not changed(bench, kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_was_lost_after_the_change_is_found_out(
    bench: Bench, kind: str
) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.after[operation] = deque([TIMEOUT])

    outcome = await bench.one(action)

    assert outcome.result is Result.APPLIED
    assert outcome.reason == "seen, though AWS's answer was ReadTimeoutError"
    assert bench.writer.count(operation) == 1


# A filter's page, and answers without a code of AWS's: the change may have been made.
NO_ANSWERS_OF_AWS = [
    failing("AnswerNotFromAws", FailureKind.OTHER),
    failing("Unknown", FailureKind.OTHER),
    failing("400", FailureKind.OTHER),
]


@pytest.mark.parametrize("answer", NO_ANSWERS_OF_AWS, ids=lambda answer: answer.code)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_that_is_not_by_aws_is_not_believed(
    bench: Bench, kind: str, answer: AwsFailure
) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([answer])
    lost = await bench.one(action)
    bench.writer.after[operation] = deque([answer])
    done = await bench.one(action)

    assert (lost.result, done.result) == (Result.UNCLEAR, Result.APPLIED)
    assert answer.code in done.reason
    assert changed(bench, kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_was_lost_before_the_change_is_made_again(
    bench: Bench, kind: str
) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([TIMEOUT])

    assert (await bench.one(action)).result is Result.APPLIED
    assert changed(bench, kind)
    assert bench.writer.count(operation) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_that_never_shows_is_unclear(bench: Bench, kind: str) -> None:
    action, _ = prepared(bench, kind)
    bench.writer.lag = 99

    outcome = await bench.one(action)

    assert (outcome.result, outcome.request_id is None) == (Result.UNCLEAR, False)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_that_shows_late_is_applied(bench: Bench, kind: str) -> None:
    action, _ = prepared(bench, kind)
    bench.writer.lag = 4

    assert (await bench.one(action)).result is Result.APPLIED
    assert bench.clock.slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("kind", KINDS)
async def test_no_answer_however_often_is_unclear(bench: Bench, kind: str) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([TIMEOUT] * 9)

    outcome = await bench.one(action)

    assert outcome.result is Result.UNCLEAR
    assert "ReadTimeoutError" in outcome.reason


@pytest.mark.parametrize("kind", KINDS)
async def test_a_denial_is_refused(bench: Bench, kind: str) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([denied(operation)])

    outcome = await bench.one(action)

    assert outcome.result is Result.REFUSED
    assert "AccessDenied" in outcome.reason
    assert not changed(bench, kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_denial_after_a_lost_answer_is_no_refusal(bench: Bench, kind: str) -> None:
    action, operation = prepared(bench, kind)
    bench.writer.before[operation] = deque([TIMEOUT, denied(operation)])

    assert (await bench.one(action)).result is Result.UNCLEAR


async def test_a_key_deleted_by_somebody_meanwhile_is_drifted(bench: Bench) -> None:
    action, operation = prepared(bench, "deactivate")
    bench.writer.before[operation] = deque([failing("NoSuchEntity", FailureKind.GONE)])

    assert (await bench.one(action)).result is Result.DRIFTED


# --- going on ----------------------------------------------------------------------------------


async def test_what_is_done_is_not_done_again(bench: Bench) -> None:
    action = an_action()
    await bench.one(action)
    bench.writer.keys["amy"] = [OLD]  # somebody made it active since

    assert (await bench.one(action)).result is Result.APPLIED
    assert bench.writer.count("iam:UpdateAccessKey") == 1
    assert status(bench) == ["Active"]


async def test_an_open_intent_that_was_carried_out_is_found_done(bench: Bench) -> None:
    action = an_action()
    bench.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    bench.writer.keys["amy"] = [replace(OLD, status=KeyStatus.INACTIVE)]

    outcome = await bench.one(action)

    assert outcome == Outcome(result=Result.APPLIED, reason="found done after the interruption")
    assert bench.writer.count("iam:UpdateAccessKey") == 0


async def test_an_open_intent_that_did_nothing_is_carried_out_now(bench: Bench) -> None:
    action = an_action()
    bench.append(action, Step.INTENT, status="Active", keys=[KEY_ID])

    assert (await bench.one(action)).result is Result.APPLIED
    assert bench.steps() == ["intent", "intent", "outcome"]


async def test_when_the_plan_has_expired_only_what_was_begun_is_settled(bench: Bench) -> None:
    begun, other = an_action(), an_action(key=a_key("AKIA2", days_old=400), user="bob")
    bench.writer.keys = {
        "amy": [replace(OLD, status=KeyStatus.INACTIVE)],
        "bob": [a_key("AKIA2", days_old=400)],
    }
    bench.append(begun, Step.INTENT, status="Active", keys=[KEY_ID])

    outcomes = await bench.apply(a_plan(begun, other), settle_only="the plan has expired")

    assert outcomes[begun.id].result is Result.APPLIED
    assert other.id not in outcomes
    assert status(bench, "bob") == ["Active"]


async def test_a_refused_action_is_tried_again(bench: Bench) -> None:
    action = an_action()
    bench.writer.before["iam:UpdateAccessKey"] = deque([denied("iam:UpdateAccessKey")])
    assert (await bench.one(action)).result is Result.REFUSED

    assert (await bench.one(action)).result is Result.APPLIED


# --- rotation ----------------------------------------------------------------------------------


@pytest.fixture
def rotating(bench: Bench) -> Bench:
    bench.sink = FakeSink()
    return bench


def sink(bench: Bench) -> FakeSink:
    assert bench.sink is not None
    return bench.sink


def ids(bench: Bench) -> list[str | None]:
    return [key.id for key in bench.writer.keys["amy"]]


async def test_a_rotation_brings_the_new_secret_to_the_sink_and_keeps_the_old_key(
    rotating: Bench,
) -> None:
    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.APPLIED
    assert (outcome.new_key_id, outcome.secret_in) == ("AKIANEW1", f"sink/{ACCOUNT_ID}/amy")
    assert sink(rotating).kept == {"AKIANEW1": SECRET}
    assert status(rotating) == ["Active", "Active"]
    assert rotating.steps() == ["intent", "created", "stored", "outcome"]
    assert SECRET not in str(rotating.journal.lines("plan-1"))


async def test_with_both_slots_taken_it_is_refused(rotating: Bench) -> None:
    rotating.writer.keys["amy"].append(a_key("AKIA2"))

    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.REFUSED
    assert "both key slots are taken" in outcome.reason
    assert rotating.writer.count("iam:CreateAccessKey") == 0


@pytest.mark.parametrize(
    "failure", [denied("secretsmanager:PutSecretValue"), AuditError("full", hint="free it")]
)
async def test_where_the_secret_can_not_be_stored_the_new_key_is_deleted(
    rotating: Bench, failure: Exception
) -> None:
    sink(rotating).failure = failure

    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.REFUSED
    assert "the new key AKIANEW1 was deleted" in outcome.reason
    assert ids(rotating) == [KEY_ID]


async def test_a_new_key_that_can_be_neither_stored_nor_deleted_is_named(rotating: Bench) -> None:
    sink(rotating).failure = denied("secretsmanager:PutSecretValue")
    rotating.writer.before["iam:DeleteAccessKey"] = deque([denied("iam:DeleteAccessKey")])

    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.UNCLEAR
    assert outcome.new_key_id == "AKIANEW1"
    assert "could not be deleted" in outcome.reason
    sink(rotating).failure = None
    again = await rotating.one(an_action("rotate"))
    assert again.result is Result.REFUSED
    assert ids(rotating) == [KEY_ID]


@pytest.mark.parametrize(
    "answer",
    [TIMEOUT, *NO_ANSWERS_OF_AWS, failing("429", FailureKind.THROTTLED)],
    ids=lambda answer: answer.code,
)
async def test_a_creation_is_never_repeated_where_the_answer_was_lost(
    rotating: Bench, answer: AwsFailure
) -> None:
    rotating.writer.after["iam:CreateAccessKey"] = deque([answer])

    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.UNCLEAR
    assert "it may be AKIANEW1: look, and delete it by hand" in outcome.reason
    assert ids(rotating) == [KEY_ID, "AKIANEW1"]
    rotating.writer.keys["amy"] = [OLD]  # as if none had been made, or somebody had looked
    again = await rotating.one(an_action("rotate"))
    assert again.result is Result.UNCLEAR
    assert "none shows yet" in again.reason
    assert rotating.writer.count("iam:CreateAccessKey") == 1


async def test_what_a_lost_answer_made_is_named_once_it_shows(rotating: Bench) -> None:
    rotating.writer.after["iam:CreateAccessKey"] = deque([TIMEOUT])
    rotating.writer.lag = 1
    first = await rotating.one(an_action("rotate"))

    again = await rotating.one(an_action("rotate"))
    await rotating.one(an_action("rotate"))

    assert rotating.steps() == ["intent", "outcome", "outcome"]
    assert "none shows yet" in first.reason
    assert again.result is Result.UNCLEAR
    assert "it may be AKIANEW1: look, and delete it by hand" in again.reason
    assert rotating.writer.count("iam:DeleteAccessKey") == 0


async def test_what_is_named_stays_named_where_it_can_not_be_looked_at_again(
    rotating: Bench,
) -> None:
    rotating.writer.after["iam:CreateAccessKey"] = deque([TIMEOUT])
    first = await rotating.one(an_action("rotate"))
    rotating.writer.before["iam:ListAccessKeys"] = deque([TIMEOUT])

    again = await rotating.one(an_action("rotate"))

    assert "it may be AKIANEW1" in first.reason
    assert again == first


async def test_an_interruption_before_the_answer_names_the_candidates(rotating: Bench) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.writer.keys["amy"].append(a_key("AKIA2"))

    outcome = await rotating.one(action)

    assert outcome.result is Result.UNCLEAR
    assert "it may be AKIA2" in outcome.reason
    assert rotating.writer.count("iam:DeleteAccessKey") == 0


async def test_an_interruption_before_the_secret_was_stored_deletes_that_key_alone(
    rotating: Bench,
) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.append(action, Step.CREATED, new_key_id="AKIANEW1", request_id="r")
    rotating.writer.keys["amy"].append(a_key("AKIANEW1"))

    outcome = await rotating.one(action)

    assert outcome.result is Result.REFUSED
    assert ids(rotating) == [KEY_ID]


async def test_an_interruption_after_the_secret_was_stored_loses_nothing(rotating: Bench) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.append(action, Step.CREATED, new_key_id="AKIANEW1", request_id="r")
    rotating.writer.keys["amy"].append(a_key("AKIANEW1"))
    sink(rotating).kept["AKIANEW1"] = SECRET

    outcome = await rotating.one(action)

    assert (outcome.result, outcome.new_key_id) == (Result.APPLIED, "AKIANEW1")
    assert ids(rotating) == [KEY_ID, "AKIANEW1"]


@pytest.mark.parametrize("user_is_gone", [False, True])
async def test_a_new_key_that_is_gone_by_now_is_settled(
    rotating: Bench, *, user_is_gone: bool
) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.append(action, Step.CREATED, new_key_id="AKIANEW1", request_id="r")
    if user_is_gone:
        del rotating.writer.keys["amy"]

    outcome = await rotating.one(action)

    assert outcome.result is Result.REFUSED
    assert outcome.new_key_id == "AKIANEW1"


async def test_a_new_key_that_can_not_be_looked_at_is_left_alone(rotating: Bench) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.append(action, Step.CREATED, new_key_id="AKIANEW1", request_id="r")
    rotating.writer.keys["amy"].append(a_key("AKIANEW1"))
    rotating.writer.before["iam:GetAccessKeyLastUsed"] = deque([denied("iam:X")])
    rotating.writer.before["iam:ListAccessKeys"] = deque([denied("iam:X")])

    outcome = await rotating.one(action)

    assert outcome.result is Result.UNCLEAR
    assert ids(rotating) == [KEY_ID, "AKIANEW1"]


async def test_a_new_key_that_is_used_is_not_deleted_though_its_secret_is_not_found(
    rotating: Bench,
) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.append(action, Step.CREATED, new_key_id="AKIANEW1", request_id="r")
    rotating.writer.keys["amy"].append(a_key("AKIANEW1", last_use=used(days=0)))

    outcome = await rotating.one(action)

    assert outcome.result is Result.UNCLEAR
    assert "AKIANEW1 is in use" in outcome.reason
    assert ids(rotating) == [KEY_ID, "AKIANEW1"]


async def test_whatever_the_sink_raises_the_new_key_is_deleted(rotating: Bench) -> None:
    sink(rotating).failure = OSError("no such device")

    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.REFUSED
    assert "(OSError)" in outcome.reason
    assert ids(rotating) == [KEY_ID]


async def test_a_sink_that_is_not_fit_is_found_out_before_a_key_is_made(rotating: Bench) -> None:
    sink(rotating).unfit = AuditError("the secret was made by somebody else", hint="rename it")

    outcome = await rotating.one(an_action("rotate"))

    assert outcome.result is Result.REFUSED
    assert "made by somebody else" in outcome.reason
    assert rotating.writer.count("iam:CreateAccessKey") == 0
    assert ids(rotating) == [KEY_ID]


async def test_a_key_that_can_not_be_journaled_is_deleted(
    rotating: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = rotating.journal.append

    def full(**line: Any) -> None:
        if line["step"] is Step.CREATED:
            raise AuditError("the disk is full", hint="free it")
        append(**line)

    monkeypatch.setattr(rotating.journal, "append", full)
    rotating.writer.before["iam:DeleteAccessKey"] = deque([THROTTLED])

    with pytest.raises(AuditError) as caught:
        await rotating.apply(a_plan(an_action("rotate")))
    assert str(caught.value) == (
        "not journaled (the disk is full); the new key AKIANEW1 was deleted,"
        " the old one is as it was"
    )
    assert caught.value.hint == "free it"
    assert ids(rotating) == [KEY_ID]
    assert rotating.clock.slept == [1.0]


async def test_a_sink_that_can_not_be_asked_leaves_the_key_for_another_try(
    rotating: Bench,
) -> None:
    action = an_action("rotate")
    rotating.append(action, Step.INTENT, status="Active", keys=[KEY_ID])
    rotating.append(action, Step.CREATED, new_key_id="AKIANEW1", request_id="r")
    rotating.writer.keys["amy"].append(a_key("AKIANEW1"))
    sink(rotating).failure = denied("secretsmanager:GetSecretValue")

    assert (await rotating.one(action)).result is Result.UNCLEAR
    assert ids(rotating) == [KEY_ID, "AKIANEW1"]
    sink(rotating).failure = None
    assert (await rotating.one(action)).result is Result.REFUSED
    assert ids(rotating) == [KEY_ID]


# --- undoing -----------------------------------------------------------------------------------

INACTIVE = replace(OLD, status=KeyStatus.INACTIVE)


async def test_a_key_is_activated_again_though_it_was_used(bench: Bench) -> None:
    bench.writer.keys["amy"] = [replace(INACTIVE, last_use=used(days=1))]

    assert (await bench.one(an_action("activate", key=INACTIVE))).result is Result.APPLIED
    assert status(bench) == ["Active"]


async def test_a_key_that_aws_has_quarantined_is_restored_only_if_named(bench: Bench) -> None:
    bench.writer.keys["amy"] = [INACTIVE]
    bench.writer.quarantined_users = {"amy"}
    action = an_action("activate", key=INACTIVE)

    refused = await bench.one(action)
    assert refused.result is Result.REFUSED
    assert "quarantined" in refused.reason
    assert (await bench.one(action, named=frozenset({KEY_ID}))).result is Result.APPLIED


# --- the journal -------------------------------------------------------------------------------


def a_line(journal: SqliteJournal, at: datetime, kind: str, result: str) -> None:
    action = an_action(kind, key=INACTIVE if kind == "activate" else OLD)
    journal.append(
        at=at,
        plan=a_plan(action),
        action=action,
        step=Step.OUTCOME,
        detail={"result": result, "reason": ""},
    )


def test_the_journal_is_append_only(journal: SqliteJournal) -> None:
    a_line(journal, NOW, "deactivate", "applied")

    for statement in ("UPDATE journal SET step = 'x'", "DELETE FROM journal"):
        with pytest.raises(Exception, match="append-only"):
            journal._connection.execute(statement)
    assert len(journal.lines("plan-1")) == 1


def test_it_knows_since_when_a_key_is_inactive_and_when_it_was_restored(
    journal: SqliteJournal,
) -> None:
    a_line(journal, ago(days=40), "deactivate", "applied")
    assert journal.history(ACCOUNT_ID, KEY_ID).inactive_since == ago(days=40)
    a_line(journal, ago(days=30), "activate", "applied")
    assert journal.history(ACCOUNT_ID, KEY_ID).inactive_since is None
    assert journal.history(ACCOUNT_ID, KEY_ID).restored_at == ago(days=30)
    a_line(journal, ago(days=20), "deactivate", "applied")
    a_line(journal, ago(days=10), "deactivate", "drifted")
    assert journal.history(ACCOUNT_ID, KEY_ID).inactive_since == ago(days=20)


async def test_it_knows_a_rotation(rotating: Bench) -> None:
    await rotating.one(an_action("rotate"))

    rotation = rotating.journal.history(ACCOUNT_ID, KEY_ID).rotation
    assert rotation is not None
    assert (rotation.new_key_id, rotation.finished) == ("AKIANEW1", True)


async def test_a_refused_rotation_is_none(rotating: Bench) -> None:
    sink(rotating).failure = denied("secretsmanager:PutSecretValue")
    await rotating.one(an_action("rotate"))

    assert rotating.journal.history(ACCOUNT_ID, KEY_ID).rotation is None


async def test_a_refused_rotation_does_not_hide_the_one_before(rotating: Bench) -> None:
    await rotating.one(an_action("rotate"))
    second = an_action("rotate")
    for step, detail in (
        (Step.INTENT, {"keys": [KEY_ID, "AKIANEW1"]}),
        (Step.OUTCOME, {"result": "refused", "reason": "both key slots are taken"}),
    ):
        rotating.append(second, step, **detail)

    rotation = rotating.journal.history(ACCOUNT_ID, KEY_ID).rotation
    assert rotation is not None
    assert (rotation.new_key_id, rotation.finished) == ("AKIANEW1", True)


async def test_a_rotation_that_was_cut_off_is_unfinished(rotating: Bench) -> None:
    rotating.append(an_action("rotate"), Step.INTENT, status="Active", keys=[KEY_ID])

    rotation = rotating.journal.history(ACCOUNT_ID, KEY_ID).rotation
    assert rotation is not None
    assert (rotation.new_key_id, rotation.finished) == (None, False)


def test_a_plan_is_leased_to_one_process_at_a_time(journal: SqliteJournal, tmp_path: Path) -> None:
    plan = a_plan(an_action())
    with journal.lease(plan, now=NOW):
        other = SqliteJournal(tmp_path / "iamaudit.db")
        with (
            pytest.raises(AuditError, match="applied by another process"),
            other.lease(plan, now=NOW),
        ):
            pass
        other.close()
    with journal.lease(plan, now=NOW):
        pass
