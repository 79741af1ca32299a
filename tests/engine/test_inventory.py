from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from auditor import fanout
from auditor.engine.inventory import AccountReading
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, NeverUsed
from auditor.model.account import OutcomeKind, Via
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory
from auditor.model.unknown import Unknown
from auditor.ports import OpenAccount
from tests.builders import a_key, an_account, used
from tests.fakes import FakeClock, FakeIam, denied, gone, unavailable

USED = used(days=3)


async def read(
    iam: FakeIam,
    *,
    clock: FakeClock | None = None,
    workers: int = 4,
    from_report: bool = False,
) -> AccountInventory:
    async with fanout.Bound(8).share() as share:
        reading = AccountReading(
            an_account(),
            OpenAccount(reader=iam, via=Via.ROLE, role_arn="arn:aws:iam::1:role/iamaudit-read"),
            share=share,
            workers=workers,
            tally=Tally(),
            clock=clock or FakeClock(),
            from_report=from_report,
        )
        await reading.read()
        return reading.conclude()


def throttled(operation: str) -> AwsFailure:
    return AwsFailure(
        operation=operation, code="Throttling", message="Rate", kind=FailureKind.THROTTLED
    )


def failing(
    operation: str, how: Callable[[str], AwsFailure], *, only: str = ""
) -> Callable[[str, str], None]:
    def fail(called: str, subject: str) -> None:
        if called == operation and only in subject:
            raise how(operation)

    return fail


async def test_every_user_and_key_is_read_with_its_last_use_by_one_call_each() -> None:
    iam = FakeIam({"bob": [a_key("AKIAB", last_use=USED)], "amy": [], "cid": [a_key("AKIAC")]})

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.AUDITED
    assert [user.identity.name for user in inventory.users] == ["amy", "bob", "cid"]
    assert inventory.users[1].keys == (a_key("AKIAB", last_use=USED),)
    assert iam.count("iam:ListUsers") == 1
    assert iam.count("iam:ListAccessKeys") == 3
    assert iam.count("iam:GetAccessKeyLastUsed") == 2
    assert inventory.errors == ()


async def test_more_than_two_keys_of_a_user_survive() -> None:
    iam = FakeIam({"bob": [a_key(f"AKIA{number}") for number in range(8)]})

    inventory = await read(iam)

    assert len(inventory.users[0].keys) == 8


async def test_users_start_while_pages_still_come_in() -> None:
    iam = FakeIam({f"user-{number}": [] for number in range(6)}, page_size=2)

    await read(iam, workers=1)

    order = [name for name, _ in iam.calls if name in {"iam:ListUsers", "iam:ListAccessKeys"}]
    assert order.index("iam:ListAccessKeys") < len(order) - 1 - order[::-1].index("iam:ListUsers")


def vanish(iam: FakeIam, name: str, *, then: str | None = None) -> None:
    """Delete a user between the listing and its keys, or rename it."""

    def fail(operation: str, subject: str) -> None:
        if (operation, subject) == ("iam:ListAccessKeys", name) and name in iam.keys:
            keys = iam.keys.pop(name)
            if then is not None:
                iam.keys[then] = keys
                iam.ids[then] = name

    iam.fail = fail


async def test_a_user_deleted_between_two_calls_is_no_error() -> None:
    iam = FakeIam({"bob": [a_key()], "eve": []})
    vanish(iam, "eve")

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.AUDITED
    assert [user.identity.name for user in inventory.users] == ["bob"]
    assert inventory.errors == ()
    assert iam.count("iam:ListUsers") == 2  # once more, to know


async def test_a_user_renamed_between_two_calls_is_read_under_its_new_name() -> None:
    iam = FakeIam({"bob": [a_key()], "eve": [a_key("AKIAE")]})
    vanish(iam, "eve", then="eva")

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.AUDITED
    assert [(user.identity.name, len(user.keys)) for user in inventory.users] == [
        ("bob", 1),
        ("eva", 1),
    ]


async def test_a_user_listed_under_two_names_has_its_keys_once() -> None:
    keys = [a_key("AKIAE")]
    iam = FakeIam({"bob": [a_key()], "eva": keys, "eve": keys}, ids={"eva": "eve"})

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.AUDITED
    names = [user.identity.name for user in inventory.users if user.keys]
    assert names in (["bob", "eva"], ["bob", "eve"])


async def test_a_user_that_is_listed_and_not_known_makes_the_account_partial() -> None:
    iam = FakeIam({"bob": [a_key()], "eve": [a_key("AKIAE")]})
    iam.fail = failing("iam:ListAccessKeys", gone, only="eve")

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert [error.subject for error in inventory.errors] == ["eve"]


async def test_users_are_listed_once_more_for_all_that_are_missing() -> None:
    iam = FakeIam({f"user-{number}": [] for number in range(5)})
    iam.fail = failing("iam:ListAccessKeys", gone)

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert iam.count("iam:ListUsers") == 2


async def test_a_vanished_user_with_active_keys_in_the_report_makes_the_account_partial() -> None:
    iam = FakeIam({"bob": [a_key()], "eve": [a_key("AKIAE")]})
    vanish(iam, "eve")

    inventory = await read(iam, from_report=True)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert [error.subject for error in inventory.errors] == ["eve"]


async def test_a_user_whose_keys_are_denied_makes_the_account_partial() -> None:
    iam = FakeIam({"bob": [a_key()], "eve": [a_key("AKIAE")]})
    iam.fail = failing("iam:ListAccessKeys", denied, only="eve")

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert [user.identity.name for user in inventory.users] == ["bob"]
    [error] = inventory.errors
    assert (error.operation, error.code, error.subject) == (
        "iam:ListAccessKeys",
        "AccessDenied",
        "eve",
    )


async def test_a_key_deleted_between_listing_and_last_use_is_gone_not_unknown() -> None:
    iam = FakeIam({"bob": [a_key("AKIA1"), a_key("AKIA2", last_use=USED)]})

    def fail(operation: str, subject: str) -> None:
        if (operation, subject) == ("iam:GetAccessKeyLastUsed", "AKIA1"):
            iam.keys["bob"] = [a_key("AKIA2", last_use=USED)]

    iam.fail = fail

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.AUDITED
    assert [key.id for key in inventory.users[0].keys] == ["AKIA2"]


async def test_a_user_deleted_with_its_key_before_the_last_use_leaves_no_error() -> None:
    iam = FakeIam({"bob": [a_key("AKIA1")]})

    def fail(operation: str, subject: str) -> None:
        if operation == "iam:GetAccessKeyLastUsed":
            iam.keys.clear()

    iam.fail = fail

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.AUDITED
    assert inventory.errors == ()


async def test_a_denied_last_use_is_unknown_and_looked_up_again_only_once() -> None:
    iam = FakeIam({f"user-{number}": [a_key(f"AKIA{number}")] for number in range(10)})
    iam.fail = failing("iam:GetAccessKeyLastUsed", denied)

    inventory = await read(iam, workers=1)

    unknown = Unknown(operation="iam:GetAccessKeyLastUsed", code="AccessDenied")
    assert inventory.outcome is OutcomeKind.PARTIAL
    assert {key.last_use for user in inventory.users for key in user.keys} == {unknown}
    assert iam.count("iam:ListAccessKeys") == 10 + 1
    assert len(inventory.errors) == 10


async def test_a_throttled_last_use_is_unknown_never_never() -> None:
    iam = FakeIam({"bob": [a_key()]})
    iam.fail = failing("iam:GetAccessKeyLastUsed", throttled)

    inventory = await read(iam)

    assert isinstance(inventory.users[0].keys[0].last_use, Unknown)
    assert inventory.outcome is OutcomeKind.PARTIAL


async def test_denied_enrichment_leaves_the_account_audited_and_its_facts_unknown() -> None:
    iam = FakeIam({"bob": [a_key()], "leaked": [a_key("AKIAL")]})
    iam.fail = failing("iam:GetAccountAuthorizationDetails", denied)

    inventory = await read(iam)

    bob, leaked = (user.identity for user in inventory.users)
    unknown = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")
    assert inventory.outcome is OutcomeKind.AUDITED
    assert bob.admin == bob.tags == bob.groups == bob.policies == unknown
    assert (bob.quarantined, leaked.quarantined) == (False, True)
    assert iam.count("iam:ListEntitiesForPolicy") == 1
    assert [error.operation for error in inventory.errors] == ["iam:GetAccountAuthorizationDetails"]


async def test_quarantine_is_unknown_only_where_both_ways_are_denied() -> None:
    iam = FakeIam({"bob": [a_key()]})

    def fail(operation: str, subject: str) -> None:
        if operation in {"iam:GetAccountAuthorizationDetails", "iam:ListEntitiesForPolicy"}:
            raise denied(operation)

    iam.fail = fail

    [bob] = (await read(iam)).users

    assert bob.identity.quarantined == Unknown(
        operation="iam:ListEntitiesForPolicy", code="AccessDenied"
    )


async def test_the_root_users_keys_come_from_the_credential_report() -> None:
    root_key = a_key("", days_old=500)
    iam = FakeIam({"bob": []}, root_keys=(root_key,))

    inventory = await read(iam)

    root = inventory.users[0]
    assert root.identity.name == ROOT_USER_NAME
    assert root.identity.root
    assert root.identity.admin is True
    assert root.keys == (root_key,)
    assert inventory.root_keys_unknown is None


@pytest.mark.parametrize("present", [False, True])
async def test_without_the_report_the_summary_tells_whether_root_has_a_key(present: bool) -> None:
    iam = FakeIam({"bob": []}, root_keys_now=present)
    iam.fail = failing("iam:GetCredentialReport", denied)

    inventory = await read(iam)

    root = [key.status for user in inventory.users if user.identity.root for key in user.keys]
    assert inventory.outcome is OutcomeKind.AUDITED
    assert root == ([KeyStatus.UNKNOWN] if present else [])
    assert (inventory.root_keys_unknown is None) is not present
    assert inventory.credential_report_at is None


@pytest.mark.parametrize("failure", [denied, unavailable, throttled])
@pytest.mark.parametrize("operation", ["iam:GenerateCredentialReport", "iam:GetCredentialReport"])
async def test_the_summary_is_asked_whatever_became_of_the_report(
    operation: str, failure: Callable[[str], AwsFailure]
) -> None:
    iam = FakeIam({"bob": []}, root_keys_now=True)
    iam.fail = failing(operation, failure)

    inventory = await read(iam)

    assert iam.count("iam:GetAccountSummary") == 1
    assert any(user.identity.root for user in inventory.users)


async def test_an_existing_report_is_read_where_generating_one_is_denied() -> None:
    iam = FakeIam({"bob": []})
    iam.fail = failing("iam:GenerateCredentialReport", denied)

    inventory = await read(iam)

    assert inventory.credential_report_at is not None
    assert inventory.users[0].identity.mfa is False
    assert [error.operation for error in inventory.errors] == ["iam:GenerateCredentialReport"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("iam:GenerateCredentialReport", "LimitExceeded"),
        ("iam:GenerateCredentialReport", "LimitExceededException"),
        ("iam:GetCredentialReport", "ReportInProgress"),
        ("iam:GetCredentialReport", "ReportExpired"),
        ("iam:GetCredentialReport", "ReportNotPresent"),
        ("iam:GetCredentialReport", "CredentialReportNotReadyException"),
        ("iam:GetCredentialReport", "CredentialReportExpiredException"),
        ("iam:GetCredentialReport", "CredentialReportNotPresentException"),
    ],
)
async def test_every_passing_state_of_the_report_is_waited_for_and_not_for_ever(
    operation: str, code: str
) -> None:
    def not_yet(_: str) -> AwsFailure:
        return AwsFailure(operation=operation, code=code, message="-", kind=FailureKind.OTHER)

    clock, iam = FakeClock(), FakeIam({"bob": []})

    def fail(called: str, subject: str) -> None:
        if called == operation and iam.count(operation) < 3:
            raise not_yet(operation)
        if called == "iam:GetCredentialReport" and iam.count("iam:GenerateCredentialReport") < 3:
            raise AwsFailure(
                operation=called, code="ReportNotPresent", message="-", kind=FailureKind.OTHER
            )

    iam.fail = fail
    inventory = await read(iam, clock=clock)

    assert inventory.credential_report_at is not None
    assert inventory.errors == ()

    clock, iam = FakeClock(), FakeIam({"bob": []})

    def fail_always(called: str, subject: str) -> None:
        if called == operation:
            raise not_yet(operation)
        if called == "iam:GetCredentialReport":
            raise AwsFailure(
                operation=called, code="ReportNotPresent", message="-", kind=FailureKind.OTHER
            )

    iam.fail = fail_always
    inventory = await read(iam, clock=clock)

    assert 0 < sum(clock.slept) < 90
    assert inventory.credential_report_at is None
    assert inventory.outcome is OutcomeKind.AUDITED


async def test_without_report_and_summary_it_is_not_known_whether_root_has_keys() -> None:
    iam = FakeIam({"bob": []})

    def fail(operation: str, subject: str) -> None:
        if operation in {"iam:GetCredentialReport", "iam:GetAccountSummary"}:
            raise denied(operation)

    iam.fail = fail

    inventory = await read(iam)

    assert inventory.root_keys_unknown is not None
    assert {error.operation for error in inventory.errors} == {
        "iam:GetCredentialReport",
        "iam:GetAccountSummary",
    }


async def test_only_users_newer_than_the_report_are_asked_for_a_password() -> None:
    iam = FakeIam({"human": [], "human-new": [], "svc-new": []}, newer={"human-new", "svc-new"})

    human, human_new, svc_new = (user.identity for user in (await read(iam)).users)

    assert (human.password_enabled, human.mfa) == (False, False)
    assert (human_new.password_enabled, svc_new.password_enabled) == (True, False)
    assert isinstance(human_new.mfa, Unknown)
    assert iam.count("iam:GetLoginProfile") == 2


async def test_a_slow_report_is_polled_ever_less_often_and_not_for_ever() -> None:
    clock, iam = FakeClock(), FakeIam({"bob": []}, polls=4)

    inventory = await read(iam, clock=clock)

    assert clock.slept == [0.5, 1, 2]
    assert inventory.credential_report_at == datetime(2026, 11, 24, 12, tzinfo=UTC)

    clock, iam = FakeClock(), FakeIam({"bob": []}, polls=10**9)

    inventory = await read(iam, clock=clock)

    assert sum(clock.slept) < 90
    assert inventory.outcome is OutcomeKind.AUDITED
    assert inventory.users[0].identity.mfa == Unknown(
        operation="iam:GenerateCredentialReport", code="ReportInProgress"
    )


async def test_a_page_that_fails_after_others_leaves_what_was_read() -> None:
    iam = FakeIam({"amy": [a_key()], "bob": []}, page_size=1)
    iam.fail = failing("iam:ListUsers", unavailable, only="1")

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert [user.identity.name for user in inventory.users] == ["amy"]


async def test_an_account_of_which_nothing_could_be_read_is_unreachable() -> None:
    def fail(operation: str, subject: str) -> None:
        raise denied(operation)

    inventory = await read(FakeIam({"amy": []}, fail=fail))

    assert inventory.outcome is OutcomeKind.UNREACHABLE
    assert "iam:ListUsers" in {error.operation for error in inventory.errors}


async def test_an_account_that_no_longer_answers_is_given_up_with_what_was_read() -> None:
    iam = FakeIam({f"user-{number:03}": [] for number in range(300)})

    def fail(operation: str, subject: str) -> None:
        if operation == "iam:ListAccessKeys" and iam.count(operation) > 10:
            raise unavailable(operation)

    iam.fail = fail

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert len(inventory.users) == 10
    assert iam.count("iam:ListAccessKeys") < 25
    assert "GaveUp" in {error.code for error in inventory.errors}


async def test_an_account_that_throttles_whatever_it_is_asked_is_not_given_up() -> None:
    iam = FakeIam({f"user-{number:03}": [] for number in range(30)})
    iam.fail = failing("iam:ListAccessKeys", throttled)

    inventory = await read(iam)

    assert inventory.outcome is OutcomeKind.PARTIAL
    assert iam.count("iam:ListAccessKeys") == 30
    assert {error.code for error in inventory.errors} == {"Throttling"}


# --- from the credential report ----------------------------------------------------------------

SILENT = Unknown(operation="iam:GetCredentialReport", code="NotInAnswer")
OLD, NEW = a_key("AKIA1", days_old=90, last_use=USED), a_key("AKIA2", days_old=3)


async def by_report(**values: Any) -> tuple[AccountInventory, FakeIam]:
    iam = FakeIam({"amy": [OLD, NEW], "bob": []}, **values)
    return await read(iam, from_report=True), iam


async def test_the_report_tells_the_last_use_and_who_has_keys_at_all() -> None:
    inventory, iam = await by_report()

    assert inventory == await read(FakeIam({"amy": [OLD, NEW], "bob": []}))
    assert iam.count("iam:GetAccessKeyLastUsed") == 0
    assert [name for operation, name in iam.calls if operation == "iam:ListAccessKeys"] == ["amy"]
    assert len(iam.calls) <= 6 + 1


@pytest.mark.parametrize(
    ("slots", "asked"),
    [
        ((replace(OLD, id=None),), {"AKIA2"}),
        ((replace(OLD, id=None), replace(NEW, id=None, last_use=SILENT)), {"AKIA2"}),
        (
            (replace(OLD, id=None), replace(OLD, id=None), replace(NEW, id=None)),
            {"AKIA1"},
        ),
        (SILENT, {"AKIA1", "AKIA2"}),
    ],
)
async def test_what_the_report_leaves_open_is_asked_live(slots: Any, asked: set[str]) -> None:
    inventory, iam = await by_report(reported={"amy": slots})

    assert inventory.users[0].keys == (OLD, NEW)
    calls = {name for operation, name in iam.calls if operation == "iam:GetAccessKeyLastUsed"}
    assert calls == asked


async def test_two_keys_of_one_instant_are_asked_live() -> None:
    twins = [OLD, replace(OLD, id=AccessKeyId("AKIA9"), last_use=NeverUsed())]
    iam = FakeIam({"amy": twins})

    inventory = await read(iam, from_report=True)

    assert inventory.users[0].keys == tuple(twins)
    assert iam.count("iam:GetAccessKeyLastUsed") == 2


async def test_a_user_newer_than_the_report_is_read_live() -> None:
    inventory, iam = await by_report(newer={"amy"})

    assert inventory.users[0].keys == (OLD, NEW)
    assert iam.count("iam:GetAccessKeyLastUsed") == 2


async def test_without_a_report_all_is_read_live() -> None:
    inventory, iam = await by_report(fail=failing("iam:GetCredentialReport", denied))

    assert inventory.users[0].keys == (OLD, NEW)
    assert iam.count("iam:ListAccessKeys") == 2


async def test_a_key_that_is_inactive_by_now_is_taken_as_it_is_listed() -> None:
    inactive = replace(OLD, status=KeyStatus.INACTIVE)
    iam = FakeIam({"amy": [inactive]}, reported={"amy": (replace(OLD, id=None),)})

    inventory = await read(iam, from_report=True)

    assert inventory.users[0].keys == (inactive,)


@pytest.mark.parametrize(("workers", "times"), [(3, 0), (4, 1)])
async def test_room_is_made_once_no_user_waits_for_somebody_to_read_it(
    workers: int, times: int
) -> None:
    iam, told = FakeIam({name: [a_key()] for name in ("amy", "bob", "eve")}), list[str]()

    async def never(user_name: str) -> list[AccessKey]:
        await anyio.sleep_forever()
        return []

    iam.access_keys = never  # type: ignore[method-assign]
    async with fanout.Bound(8).share() as share, anyio.create_task_group() as group:
        reading = AccountReading(
            an_account(),
            OpenAccount(reader=iam, via=Via.CALLER, role_arn=None),
            share=share,
            workers=workers,
            tally=Tally(),
            clock=FakeClock(),
            all_begun=lambda: told.append("all begun"),
        )
        group.start_soon(reading.read)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert len(told) == times
