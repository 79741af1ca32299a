"""A listing that breaks off, repeats itself or never ends is a failure, never the end of it."""

from itertools import count
from typing import Any

import pytest

from auditor.aws.organizations import OrganizationsReader
from auditor.aws.readers import ClientReader
from auditor.aws.security_hub import SecurityHub
from auditor.errors import AwsFailure, FailureKind
from tests.aws.connect import some_calls
from tests.builders import NOW
from tests.fakes import FakeClock


class Paged:
    """Answers each call with the next of its pages, the last of them for ever."""

    def __init__(self, *pages: Any) -> None:
        self._pages = list(pages)
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        async def call(**_: Any) -> Any:
            self.asked += 1
            page = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
            return page() if callable(page) else page

        return call


def a_reader(*pages: Any) -> ClientReader:
    return ClientReader(Paged(*pages), some_calls(attempts=1), "aws")


def organizations(client: Paged) -> OrganizationsReader:
    async def made() -> Paged:
        return client

    return OrganizationsReader(made, some_calls(attempts=1), FakeClock())


def a_user(name: str) -> dict[str, Any]:
    return {"UserName": name, "Arn": f"arn:aws:iam::1:user/{name}", "Path": "/", "CreateDate": NOW}


def keys(*ids: str, **end: Any) -> dict[str, Any]:
    listed = [{"AccessKeyId": each, "Status": "Active", "CreateDate": NOW} for each in ids]
    return {"AccessKeyMetadata": listed, **end}


@pytest.mark.parametrize("marker", [{}, {"Marker": ""}, {"Marker": None}, {"Marker": ["x"]}])
async def test_more_without_a_marker_is_no_end(marker: dict[str, Any]) -> None:
    reader = a_reader({"Users": [a_user("amy")], "IsTruncated": True, **marker})

    with pytest.raises(AwsFailure, match="iam:ListUsers: MissingToken") as raised:
        _ = [page async for page in reader.users()]

    assert raised.value.kind is FailureKind.UNAVAILABLE


@pytest.mark.parametrize("users", [[], [a_user("amy")]], ids=["empty", "the same"])
async def test_markers_that_never_end_do(users: list[dict[str, Any]]) -> None:
    fresh = count()
    reader = a_reader(lambda: {"Users": users, "IsTruncated": True, "Marker": f"m{next(fresh)}"})

    with pytest.raises(AwsFailure, match="EndlessPages"):
        _ = [page async for page in reader.users()]

    assert next(fresh) < 100


async def test_markers_of_an_organization_that_never_end_do() -> None:
    fresh = count()
    client = Paged(lambda: {"Roots": [], "NextToken": f"t{next(fresh)}"})

    with pytest.raises(AwsFailure, match="EndlessPages"):
        _ = [each async for each in organizations(client).accounts(None)]

    assert client.asked < 100


async def test_markers_of_a_security_hub_that_never_end_do() -> None:
    fresh = count()
    client = Paged(lambda: {"Findings": [], "NextToken": f"t{next(fresh)}"})
    calls = some_calls(attempts=1)
    hub = SecurityHub(client, calls, FakeClock(), account_id="1" * 12, product_arn="arn:x")

    with pytest.raises(AwsFailure, match="EndlessPages"):
        _ = [page async for page in hub.published()]

    assert client.asked < 100


async def test_a_user_on_two_pages_is_one() -> None:
    reader = a_reader(
        {"Users": [a_user("amy"), a_user("bob")], "IsTruncated": True, "Marker": "m"},
        {"Users": [a_user("bob"), a_user("eve")], "IsTruncated": False},
    )

    pages = [[user.name for user in page] async for page in reader.users()]

    assert pages == [["amy", "bob"], ["eve"]]


async def test_a_key_on_two_pages_is_one() -> None:
    reader = a_reader(
        keys("AKIAIOSFODNN7EXAMPL1", IsTruncated=True, Marker="m"),
        keys("AKIAIOSFODNN7EXAMPL1", "AKIAIOSFODNN7EXAMPL2"),
    )

    read = await reader.access_keys("amy")

    assert [key.id for key in read] == ["AKIAIOSFODNN7EXAMPL1", "AKIAIOSFODNN7EXAMPL2"]


@pytest.mark.parametrize(
    ("pages", "operation"),
    [
        ([{"Roots": [{"Id": "r-1"}]}], "ListRoots"),
        ([{"Roots": [{"Id": "r-1", "Name": "Root"}]}, {}], "ListAccountsForParent"),
        (
            [{"Roots": [{"Id": "r-1", "Name": "Root"}]}, {"Accounts": []},
             {"OrganizationalUnits": [{"Id": "ou-1"}]}],
            "ListOrganizationalUnitsForParent",
        ),
    ],
)  # fmt: skip
async def test_an_organization_that_answers_nonsense_is_a_failure(
    pages: list[Any], operation: str
) -> None:
    with pytest.raises(AwsFailure, match=f"organizations:{operation}: MalformedAnswer"):
        _ = [each async for each in organizations(Paged(*pages)).accounts(None)]


@pytest.mark.parametrize(
    ("pages", "operation"),
    [
        ([{"message": "<html>"}], "DescribeOrganizationalUnit"),
        ([{"OrganizationalUnit": {"Name": "Prod"}}, {"Parents": []}], "ListParents"),
    ],
)
async def test_a_unit_that_is_answered_by_nonsense_is_a_failure(
    pages: list[Any], operation: str
) -> None:
    with pytest.raises(AwsFailure, match=f"organizations:{operation}: MalformedAnswer"):
        _ = [each async for each in organizations(Paged(*pages)).accounts("ou-abcd-12345678")]


async def test_tags_that_are_nonsense_are_a_failure() -> None:
    with pytest.raises(AwsFailure, match="organizations:ListTagsForResource: MalformedAnswer"):
        await organizations(Paged({"Tags": [{"Key": "team"}]})).tags("111111111111")


@pytest.mark.parametrize("flag", [{}, {"IsTruncated": False}, {"IsTruncated": None}])
async def test_a_marker_is_proof_of_more_whatever_the_flag_says(flag: dict[str, Any]) -> None:
    reader = a_reader(keys("AKIA1", Marker="more", **flag), keys("AKIA2"))

    assert [key.id for key in await reader.access_keys("amy")] == ["AKIA1", "AKIA2"]


@pytest.mark.parametrize("version", ["", "V2", "V4", "V5", "V12"])
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
async def test_users_of_every_version_of_the_quarantine_are_found(
    version: str, partition: str
) -> None:
    arn = f"arn:{partition}:iam::aws:policy/AWSCompromisedKeyQuarantine{version}"
    attached = [{"Arn": f"arn:{partition}:iam::aws:policy/ReadOnlyAccess"}, {"Arn": arn}]
    reader = a_reader({"Policies": attached}, {"PolicyUsers": [{"UserName": "amy"}]})

    assert await reader.quarantined_users() == frozenset({"amy"})
