"""What each kind of answer tells of a permission."""

from collections.abc import Mapping
from typing import Any

import pytest

from auditor.engine.doctor import NOBODY, Arguments, Check, State, check_of, examine
from auditor.errors import AwsFailure, FailureKind
from auditor.model.permission import SCAN_ACTIONS

NEEDED = frozenset(SCAN_ACTIONS)


def a_failure(
    operation: str = "iam:ListUsers",
    code: str = "AccessDenied",
    message: str = "not authorized",
    kind: FailureKind = FailureKind.DENIED,
) -> AwsFailure:
    return AwsFailure(operation=operation, code=code, message=message, kind=kind)


class Account:
    """Answers as IAM would, but for the failures it was given."""

    def __init__(self, *users: str, keys: Mapping[str, str] = {}, **failures: AwsFailure) -> None:
        self.users, self.keys, self.failures = users, keys, failures
        self.asked: list[tuple[str, Arguments]] = []

    async def ask(self, operation: str, arguments: Arguments) -> Mapping[str, Any]:
        self.asked.append((operation, arguments))
        if operation in self.failures:
            raise self.failures[operation]
        if operation == "ListUsers":
            return {"Users": [{"UserName": name} for name in self.users]}
        if operation == "ListAccessKeys":
            key = self.keys.get(str(arguments["UserName"]))
            return {"AccessKeyMetadata": [{"AccessKeyId": key}] if key else []}
        return {}


def states(checks: tuple[Check, ...]) -> dict[str, State]:
    return {check.operation: check.state for check in checks}


async def test_each_operation_is_told_once() -> None:
    account = Account("amy", "bob", keys={"bob": "AKIA"})

    checks = await examine(account, NEEDED, partition="aws")

    assert states(checks) == dict.fromkeys(SCAN_ACTIONS, State.ALLOWED)
    assert len(checks) == len(SCAN_ACTIONS)


async def test_nothing_is_asked_but_what_a_scan_may_ask() -> None:
    account = Account("amy", keys={"amy": "AKIA"})

    await examine(account, NEEDED, partition="aws")

    assert {f"iam:{operation}" for operation, _ in account.asked} == NEEDED


async def test_where_nobody_is_listed_nobody_is_asked_for() -> None:
    account = Account()

    checks = await examine(account, NEEDED, partition="aws")

    assert ("ListAccessKeys", {"UserName": NOBODY}) in account.asked
    assert states(checks)["iam:GetAccessKeyLastUsed"] is State.UNTOLD


async def test_an_account_that_does_not_answer_is_asked_once() -> None:
    silent = a_failure(code="ConnectTimeoutError", kind=FailureKind.UNAVAILABLE)
    account = Account(ListUsers=silent)

    checks = await examine(account, NEEDED, partition="aws")

    assert len(account.asked) == 1
    assert states(checks).pop("iam:ListUsers") is State.FAILED
    assert {check.state for check in checks[1:]} == {State.UNTOLD}
    assert checks[1].detail == "not asked, since iam:ListUsers failed"


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (a_failure(), State.MISSING),
        (a_failure(code="NoSuchEntity", kind=FailureKind.GONE), State.ALLOWED),
        (a_failure(code="ReportNotPresent", kind=FailureKind.OTHER), State.ALLOWED),
        (a_failure(code="ParentNotFoundException", kind=FailureKind.OTHER), State.ALLOWED),
        (a_failure(code="ValidationError", kind=FailureKind.OTHER), State.UNTOLD),
        (a_failure(code="Throttling", kind=FailureKind.THROTTLED), State.FAILED),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_failure_tells_what_it_can(failure: AwsFailure, state: State) -> None:
    assert check_of(failure).state is state


@pytest.mark.parametrize(
    ("message", "mend"),
    [
        ("because no identity-based policy allows the iam:ListUsers action", "grant it"),
        (
            "because no permissions boundary allows the iam:ListUsers action",
            "grant it in the permissions boundary, too",
        ),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:p",
            "lift the explicit deny in the service control policy, and have this granted",
        ),
    ],
)
def test_the_mend_is_where_aws_says_it_refused(message: str, mend: str) -> None:
    assert check_of(a_failure(message=message)).mend == mend
