"""Session tags of the caller's leave little room: a shorter session policy, or none, reads then."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest

from auditor.aws.permissions import SHORT_READ_ACTIONS, read_session_policies
from auditor.aws.session import ForbiddenActionError, Transport
from auditor.demo.emulator import Emulator, Request, Response
from auditor.demo.organization import DemoOrganization
from auditor.errors import AwsFailure
from auditor.model.account import Account, Via
from tests.aws.connect import an_aws, members, sent

FULL, SHORT = (policy or "" for _, policy in read_session_policies()[:2])


@pytest.fixture(params=["fast", "sdk"])
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


@pytest.fixture(params=["PackedPolicyTooLarge", "PackedPolicyTooLargeException"])
def code(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def policy_of(request: Request) -> str | None:
    found = request.params.get("Policy")
    return None if found is None else str(found)


def room_for(length: int, code: str) -> Callable[[Request], Response | None]:
    """Refuse every session policy that is longer."""

    def hook(request: Request) -> Response | None:
        if request.operation != "AssumeRole" or len(policy_of(request) or "") <= length:
            return None
        return Response(status=400, code=code, message="Packed size is 104% of the limit")

    return hook


async def vias(aws: Any, accounts: list[Account]) -> list[Via]:
    found = []
    for account in accounts:
        async with aws.open(account) as opened:
            assert [page async for page in opened.reader.users()]
            found.append(opened.via_now)
    return found


@pytest.mark.parametrize(
    ("length", "via", "asked"),
    [
        (len(SHORT), Via.ROLE_SHORT_POLICY, [FULL, SHORT, SHORT, SHORT]),
        (0, Via.ROLE_NO_POLICY, [FULL, SHORT, None, None, None]),
        (len(FULL), Via.ROLE, [FULL, FULL, FULL]),
    ],
)
async def test_what_fits_one_account_is_used_for_the_others_and_said(
    emulator: Emulator,
    organization: DemoOrganization,
    *,
    transport: Transport,
    code: str,
    length: int,
    via: Via,
    asked: list[str | None],
) -> None:
    emulator.hooks.append(room_for(length, code))
    aws = an_aws(emulator, transport=transport)

    async with aws.connect():
        assert await vias(aws, members(organization)[:3]) == [via] * 3

    assert [policy_of(each) for each in sent(emulator, "AssumeRole")] == asked


async def test_where_not_even_none_fits_the_account_is_not_read_and_the_tags_are_named(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    emulator.hooks.append(room_for(-1, "PackedPolicyTooLarge"))
    aws = an_aws(emulator)

    async with aws.connect():
        with pytest.raises(AwsFailure, match="104% of the limit; the caller's session tags"):
            await vias(aws, members(organization)[:1])


def shrinking(lengths: Iterator[int]) -> Callable[[Request], Response | None]:
    """Leave less room with each session, which lasts but a moment."""

    def hook(request: Request) -> Response | None:
        if request.operation != "AssumeRole":
            return None
        return room_for(next(lengths), "PackedPolicyTooLarge")(request)

    return hook


async def test_a_renewal_falls_back_too_and_what_is_said_of_the_account_follows(
    emulator: Emulator, organization: DemoOrganization, transport: Transport
) -> None:
    emulator.hooks.append(shrinking(iter([9999, len(SHORT), len(SHORT)])))
    aws = an_aws(emulator, transport=transport)
    [account] = members(organization)[:1]

    async with aws.connect(), aws.open(account) as opened:
        before = opened.via_now
        emulator.hooks.append(expired_once())
        assert [page async for page in opened.reader.users()]

        assert (before, opened.via_now) == (Via.ROLE, Via.ROLE_SHORT_POLICY)
    assert [policy_of(each) for each in sent(emulator, "AssumeRole")] == [FULL, FULL, SHORT]


def expired_once() -> Callable[[Request], Response | None]:
    left = [Response(status=403, code="ExpiredToken", message="The security token has expired")]

    def hook(request: Request) -> Response | None:
        return left.pop() if request.operation == "ListUsers" and left else None

    return hook


@pytest.mark.parametrize("service", ["iam"])
async def test_without_a_session_policy_the_tool_itself_refuses_what_does_not_read(
    emulator: Emulator, organization: DemoOrganization, service: str
) -> None:
    emulator.hooks.append(room_for(0, "PackedPolicyTooLarge"))
    aws = an_aws(emulator, transport="sdk")
    [account] = members(organization)[:1]

    async with aws.connect(), aws._way.to_read(account) as entry:
        assert entry.via is Via.ROLE_NO_POLICY
        async with aws._client(entry, service) as client:
            with pytest.raises(ForbiddenActionError, match="iam:UpdateAccessKey"):
                await client.update_access_key(AccessKeyId="A" * 16, Status="Inactive")

    assert not sent(emulator, "UpdateAccessKey")


@pytest.mark.parametrize("kind", ["write", "publish"])
async def test_changes_are_never_made_without_their_session_policy(
    emulator: Emulator, organization: DemoOrganization, kind: str
) -> None:
    emulator.hooks.append(room_for(0, "PackedPolicyTooLargeException"))
    aws = an_aws(emulator, writes=True, publishes=True)
    [account] = members(organization)[:1]

    async with aws.connect():
        way = (
            aws.open_secrets(account)
            if kind == "write"
            else aws.open_security_hub(account, region="eu-west-1")
        )
        with pytest.raises(AwsFailure, match="session tags leave no room") as caught:
            async with way:
                pass

    assert caught.value.code == "PackedPolicyTooLarge"
    assert [bool(policy_of(each)) for each in sent(emulator, "AssumeRole")] == [True]


def test_the_short_policy_allows_nothing_but_reading() -> None:
    operations = botocore.session.get_session().get_service_model("iam").operation_names
    prefixes = tuple(each.removeprefix("iam:").removesuffix("*") for each in SHORT_READ_ACTIONS)
    allowed = [name for name in operations if name.startswith(prefixes)]

    assert {"ListUsers", "GetCredentialReport", "GenerateCredentialReport"} <= set(allowed)
    assert all(name.startswith(("Get", "List", "Generate")) for name in allowed)
    assert json.loads(SHORT)["Statement"][0]["Effect"] == "Allow"
    assert len(SHORT) < len(FULL) / 2


def test_the_names_of_the_ways_in_are_short_and_plain() -> None:
    assert [str(each) for each in Via] == ["role", "role-short-policy", "role-no-policy", "caller"]
