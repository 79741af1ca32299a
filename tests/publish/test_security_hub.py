"""Publishing to Security Hub over HTTP: what is sent, archived, and left alone."""

import json
import os
import signal
import time
from typing import Any

import pytest

from auditor.aws.permissions import PUBLISH_ACTIONS, ForbiddenActionError
from auditor.demo.emulator import Drop, Request, Response
from auditor.model.account import OutcomeKind
from auditor.model.finding import Severity
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, ReadError
from auditor.ports import Rejected
from tests.aws.connect import an_aws
from tests.builders import (
    DENIED,
    a_policy,
    a_rule,
    a_user_with,
    an_account,
    an_inventory,
)
from tests.publish.conftest import IMPORT, ONE, READ, THREE, TWO, UPDATE, Hubs, Publish, fates, only
from tests.store.test_changes import old

EXEMPT = a_policy(
    head="exemptions:\n  - {user: alice, reason: moves, owner: me, expires: 2027-01-31}"
)


def keys(*ids: str, account_id: str = ONE, **values: Any) -> AccountInventory:
    user = a_user_with(*map(old, ids))
    return an_inventory(user, account=an_account(account_id, name="prod"), **values)


def unread(outcome: OutcomeKind, account_id: str = ONE) -> AccountInventory:
    error = ReadError(operation="sts:AssumeRole", code="AccessDenied", message="no", subject=None)
    return an_inventory(account=an_account(account_id), outcome=outcome, errors=(error,), via=None)


async def test_findings_are_sent_a_hundred_at_once(hubs: Hubs, publish: Publish) -> None:
    ids = [f"AKIA{number:03}" for number in range(230)]
    hubs.scanned("one", [keys(*ids)])

    assert only(await publish()) == {"new": 230}
    assert [len(asked["Findings"]) for asked in hubs.asked(IMPORT)] == [100, 100, 30]
    assert set(hubs.findings()) == set(ids)


async def test_a_finding_is_of_its_accounts_default_product(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1")])

    await publish()

    (finding,) = hubs.findings().values()
    assert finding["ProductArn"].endswith(f":securityhub:us-east-1:{ONE}:product/{ONE}/default")
    assert finding["AwsAccountId"] == ONE
    assert finding["Workflow"] == {"Status": "NEW"}
    assert finding["FirstObservedAt"] == finding["LastObservedAt"] == "2026-11-24T12:00:00Z"


async def test_the_same_run_again_changes_nothing_but_the_time(
    hubs: Hubs, publish: Publish
) -> None:
    hubs.scanned("one", [keys("AKIA1", "AKIA2")])
    await publish()
    before = hubs.findings()

    assert only(await publish(days=1)) == {"updated": 2}
    after = hubs.findings()
    assert {each.pop("UpdatedAt") for each in before.values()} == {"2026-11-24T13:00:00.000Z"}
    assert {each.pop("UpdatedAt") for each in after.values()} == {"2026-11-25T13:00:00.000Z"}
    assert after == before


async def test_what_is_gone_is_archived_once(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1", "AKIA2")])
    await publish()
    hubs.scanned("two", [an_inventory(a_user_with(old("AKIA1")))], days=1)

    assert only(await publish(days=1)) == {"updated": 1, "archived": 1}
    assert hubs.states() == {"AKIA1": "ACTIVE", "AKIA2": "ARCHIVED"}
    assert only(await publish(days=2)) == {"updated": 1}


async def test_what_comes_back_is_active_again_and_as_old_as_it_is(
    hubs: Hubs, publish: Publish
) -> None:
    for number, ids in enumerate([["AKIA1"], [], ["AKIA1"]]):
        hubs.scanned(f"run-{number}", [keys(*ids)], days=number)
        await publish(days=number)

    finding = hubs.findings()["AKIA1"]
    assert finding["RecordState"] == "ACTIVE"
    assert finding["CreatedAt"] == finding["FirstObservedAt"] == "2026-11-24T12:00:00Z"
    assert finding["LastObservedAt"] == "2026-11-26T12:00:00Z"


UNLISTED = ReadError(
    operation="iam:ListAccessKeys", code="AccessDenied", message="no", subject="alice"
)


@pytest.mark.parametrize(
    ("later", "more"),
    [
        (unread(OutcomeKind.UNREACHABLE), {}),
        (keys(outcome=OutcomeKind.PARTIAL, errors=(UNLISTED,)), {}),
        (an_inventory(outcome=OutcomeKind.PARTIAL, errors=(UNLISTED,)), {}),
        (keys(), {"policy": a_policy(a_rule("another"))}),
    ],
    ids=["unreachable", "the user's keys unread", "the user unread", "another policy"],
)
async def test_what_was_not_looked_at_stays_as_it_is(
    hubs: Hubs, publish: Publish, later: AccountInventory, more: dict[str, Any]
) -> None:
    hubs.scanned("one", [keys("AKIA1")])
    await publish()
    before = hubs.findings()["AKIA1"]
    if later.outcome is OutcomeKind.PARTIAL:
        later = an_inventory(outcome=later.outcome, errors=later.errors)
    hubs.scanned("two", [later], days=1, **more)

    assert only(await publish(days=1))["not looked at"] == 1
    assert hubs.findings()["AKIA1"] == before


async def test_an_account_that_was_skipped_or_not_in_scope_is_not_entered(
    hubs: Hubs, publish: Publish
) -> None:
    hubs.scanned("one", [keys("AKIA1"), keys("AKIA2", account_id=TWO)])
    await publish()
    skipped = an_inventory(
        account=an_account(ONE, skip="excluded"), outcome=OutcomeKind.SKIPPED, via=None
    )
    hubs.scanned("two", [skipped], days=1)
    hubs.emulator.requests.clear()

    found = await publish(days=1)

    assert (found.deliveries, found.expected) == ([], 0)
    assert {each.operation for each in hubs.emulator.requests} == {"GetCallerIdentity"}


async def test_that_an_account_was_not_audited_is_told_until_it_was(
    hubs: Hubs, publish: Publish
) -> None:
    coverage = "iamaudit/account-not-audited"
    hubs.scanned("one", [unread(OutcomeKind.UNREACHABLE)])
    await publish(least=Severity.CRITICAL)
    assert hubs.states() == {coverage: "ACTIVE"}
    hubs.scanned("two", [keys()], days=1)

    await publish(days=1)

    assert hubs.states() == {coverage: "ARCHIVED"}


async def test_a_dry_run_tells_the_same_and_sends_nothing(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1", "AKIA2")])
    await publish()
    before = hubs.findings()
    hubs.scanned("two", [an_inventory(a_user_with(old("AKIA2"), old("AKIA3")))], days=1)
    hubs.emulator.requests.clear()

    told = only(await publish(days=1, dry_run=True))

    assert hubs.findings() == before
    assert not hubs.asked(IMPORT)
    assert not hubs.asked(UPDATE)
    assert told == only(await publish(days=1)) == {"new": 1, "updated": 1, "archived": 1}


async def test_an_earlier_run_undoes_nothing_of_a_later_one(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1", "AKIA2")])
    await publish("one")
    hubs.scanned("two", [an_inventory(a_user_with(old("AKIA1")))], days=1)
    await publish("two", days=1)

    (delivery,) = (await publish("one", days=2)).deliveries

    assert fates(delivery) == {"newer": 2}
    assert hubs.states() == {"AKIA1": "ACTIVE", "AKIA2": "ARCHIVED"}


async def test_less_severe_findings_are_neither_sent_nor_archived(
    hubs: Hubs, publish: Publish
) -> None:
    hubs.scanned("one", [keys("AKIA1")])
    assert only(await publish(least=Severity.HIGH)) == {"below": 1}
    await publish()
    hubs.scanned("two", [keys("AKIA1", "AKIA2")], days=1)

    assert only(await publish(days=1, least=Severity.HIGH)) == {"below": 2}
    assert hubs.states() == {"AKIA1": "ACTIVE"}


async def test_an_exemption_suppresses_and_its_end_reopens(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1")])
    await publish()
    hubs.scanned("two", [keys("AKIA1")], days=1, policy=EXEMPT)
    await publish(days=1)
    exempt = hubs.findings()["AKIA1"]
    hubs.scanned("three", [keys("AKIA1")], days=2)
    await publish(days=2)

    assert exempt["Workflow"] == {"Status": "SUPPRESSED"}
    assert exempt["Note"] == {"Text": "exempt: moves", "UpdatedBy": "iamaudit"}
    assert hubs.findings()["AKIA1"]["Workflow"] == {"Status": "NEW"}


async def test_a_finding_that_is_exempt_from_the_start_is_reopened_likewise(
    hubs: Hubs, publish: Publish
) -> None:
    hubs.scanned("one", [keys("AKIA1")], policy=EXEMPT)
    await publish()
    first = hubs.findings()["AKIA1"]["Workflow"]
    hubs.scanned("two", [keys("AKIA1")], days=1)
    await publish(days=1)

    assert first == {"Status": "SUPPRESSED"}
    assert hubs.findings()["AKIA1"]["Workflow"] == {"Status": "NEW"}


@pytest.mark.parametrize("status", ["NOTIFIED", "RESOLVED", "SUPPRESSED"])
async def test_what_its_readers_said_of_a_finding_stays(
    hubs: Hubs, publish: Publish, status: str
) -> None:
    hubs.scanned("one", [keys("AKIA1")])
    await publish()
    note = {"Text": "seen", "UpdatedBy": "amy"}
    hubs.backend().findings[0].data |= {"Workflow": {"Status": status}, "Note": note}

    await publish(days=1)

    finding = hubs.findings()["AKIA1"]
    assert (finding["Workflow"], finding["Note"]) == ({"Status": status}, note)
    assert not hubs.asked(UPDATE)


async def test_findings_of_others_are_never_touched(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1")])
    await publish()
    (mine,) = (finding.data for finding in hubs.backend().findings)
    others = [
        {"Id": "iamaudit/x", "AwsAccountId": TWO},
        {"Id": "iamaudit/y", "ProductArn": mine["ProductArn"].replace("us-east-1", "eu-west-1")},
        {"Id": "iamaudit/z", "GeneratorId": "iamauditor"},
        {"Id": "another", "GeneratorId": mine["GeneratorId"]},
    ]
    made = type(hubs.backend().findings[0])
    hubs.backend().findings += [made(each["Id"], {**mine, **each}) for each in others]
    hubs.scanned("two", [keys()], days=1)

    assert only(await publish(days=1)) == {"archived": 1}
    states = [finding.data["RecordState"] for finding in hubs.backend().findings]
    assert states == ["ARCHIVED", *["ACTIVE"] * len(others)]


HOSTILE = ["<script>alert(1)</script>", "\u202egnp.exe", "\x1b[31mred\n", "a\\", "🔑"]


async def test_hostile_names_arrive_as_text_and_are_not_mistaken_for_gone(
    hubs: Hubs, publish: Publish
) -> None:
    users = [a_user_with(old(f"AKIA{n}"), name=name) for n, name in enumerate(sorted(HOSTILE))]
    hubs.scanned("one", [an_inventory(*users)])
    await publish()
    errors = [
        ReadError(operation="iam:ListAccessKeys", code="AccessDenied", message="no", subject=name)
        for name in HOSTILE
    ]
    partial = an_inventory(outcome=OutcomeKind.PARTIAL, errors=tuple(errors))
    hubs.scanned("two", [partial], days=1)

    assert only(await publish(days=1)) == {"new": 1, "not looked at": len(HOSTILE)}
    text = json.dumps(list(hubs.findings().values()), ensure_ascii=False)
    assert "<script>alert(1)</script>" in text
    assert "🔑" in text
    assert r"\\u202egnp.exe" in text
    assert not {"\u202e", "\x1b", "\n"} & set(text)
    assert r'"\u001b' not in text


async def test_a_root_user_whose_keys_are_unknown_keeps_its_finding(
    hubs: Hubs, publish: Publish
) -> None:
    root = a_user_with(old("AKIA1"), name=ROOT_USER_NAME)
    hubs.scanned("one", [an_inventory(root)])
    await publish()
    hubs.scanned("two", [an_inventory(root_keys_unknown=DENIED)], days=1)

    told = only(await publish(days=1))

    assert told["not looked at"] == 1


async def test_accounts_fail_alone(hubs: Hubs, publish: Publish) -> None:
    hubs.emulator.security_hubs.remove((TWO, "us-east-1"))
    hubs.scanned(
        "one",
        [keys("AKIA1"), keys("AKIA2", account_id=TWO), keys("AKIA3", account_id=THREE)],
    )

    one, two, three = (await publish()).deliveries

    assert (one.failure, set(hubs.findings())) == (None, {"AKIA1"})
    assert two.failure is not None
    assert (two.failure.operation, two.failure.code) == (
        "securityhub:GetFindings",
        "InvalidAccessException",
    )
    assert three.failure is not None
    assert three.failure.operation == "sts:AssumeRole"


async def test_each_region_has_its_own_findings(hubs: Hubs, publish: Publish) -> None:
    hubs.emulator.security_hubs.add((ONE, "eu-west-1"))
    hubs.scanned("one", [keys("AKIA1")])

    found = await publish(regions=("us-east-1", "eu-west-1"))

    assert [each.region for each in found.deliveries] == ["us-east-1", "eu-west-1"]
    for region in ("us-east-1", "eu-west-1"):
        (finding,) = hubs.findings(region=region).values()
        assert f":securityhub:{region}:" in finding["ProductArn"]


async def test_a_throttled_call_is_made_again(hubs: Hubs, publish: Publish) -> None:
    left = ["TooManyRequestsException", "ThrottlingException", "LimitExceededException"]

    def throttle(request: Request) -> Response | None:
        if request.operation != IMPORT or not left:
            return None
        return Response(status=429, code=left.pop(), message="Rate exceeded")

    hubs.emulator.hooks.append(throttle)
    hubs.scanned("one", [keys("AKIA1")])

    assert only(await publish()) == {"new": 1}
    assert not left


async def test_an_interruption_ends_it_with_what_is_left(hubs: Hubs, publish: Publish) -> None:
    once = iter([signal.SIGINT])

    def interrupt(request: Request) -> Drop | None:
        if request.operation != READ:
            return None
        for signal_ in once:
            os.kill(os.getpid(), signal_)
        time.sleep(0.3)
        return Drop()

    hubs.emulator.hooks.append(interrupt)
    hubs.enter(THREE)
    hubs.scanned("one", [keys(each, account_id=each) for each in (ONE, TWO, THREE)])

    found = await publish(regions=tuple(f"us-east-{number}" for number in range(1, 9)))

    assert (found.interrupted, found.deliveries, found.expected) == (True, [], 24)


async def test_the_session_may_publish_and_nothing_else(hubs: Hubs, publish: Publish) -> None:
    hubs.scanned("one", [keys("AKIA1")])

    await publish()

    (asked,) = hubs.asked("AssumeRole")
    assert json.loads(asked["Policy"])["Statement"] == [
        {"Effect": "Allow", "Action": list(PUBLISH_ACTIONS), "Resource": "*"}
    ]


async def test_who_is_not_there_to_publish_can_not(hubs: Hubs) -> None:
    aws = an_aws(hubs.emulator)

    async with aws.connect(), aws.open_security_hub(an_account(ONE), region="us-east-1") as hub:
        with pytest.raises(ForbiddenActionError):
            await hub.set_workflow(["iamaudit/x"], "NEW", "-")

    assert not hubs.asked(UPDATE)


async def test_a_finding_that_is_not_taken_is_told_with_the_reason(
    hubs: Hubs, publish: Publish
) -> None:
    hubs.scanned("one", [keys("AKIA1")])
    await publish()
    content = hubs.findings()["AKIA1"]
    content["ProductFields"] = {}
    aws = an_aws(hubs.emulator, publishes=True)

    async with aws.connect(), aws.open_security_hub(an_account(ONE), region="us-east-1") as hub:
        rejected = await hub.send([{**content, "Id": "iamaudit/x", "AwsAccountId": TWO}])
        missing = await hub.set_workflow(["iamaudit/y"], "SUPPRESSED", "exempt")

    told = "The account that calls is not that of the finding"
    assert rejected == [Rejected(id="iamaudit/x", code="InvalidAccess", message=told)]
    assert [(each.id, each.code) for each in missing] == [("iamaudit/y", "FindingNotFound")]


async def test_no_secret_is_sent_or_told(
    hubs: Hubs, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs.scanned("one", [keys("AKIA1")])

    found = await publish()

    secret = hubs.emulator.backend("iam", "123456789012").access_keys
    for key in secret.values():
        assert key.secret_access_key not in repr((found, hubs.emulator.requests))
