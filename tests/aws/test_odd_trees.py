"""Organizations whose OUs go round, or have no end: one failure that names an OU, and soon."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest

from auditor.aws.organizations import OrganizationsReader
from auditor.errors import AwsFailure
from tests.aws.connect import some_calls
from tests.fakes import FakeClock

UNIT, OTHER = "ou-aaaa-bbbbbbbb", "ou-aaaa-cccccccc"
Tree = Callable[[str], list[str]]


class OddOrganization:
    """An organization without accounts; `below` says which OUs an OU has, or its own parent."""

    def __init__(self, below: Tree, parent: str = "r-root") -> None:
        self.asked: list[str] = []
        self._below = below
        self._parent = parent

    async def list_roots(self) -> Mapping[str, Any]:
        return {"Roots": [{"Id": "r-root", "Name": "Root"}]}

    async def list_accounts_for_parent(self, *, ParentId: str) -> Mapping[str, Any]:  # noqa: N803
        self.asked.append(ParentId)
        return {"Accounts": []}

    async def list_organizational_units_for_parent(
        self,
        *,
        ParentId: str,  # noqa: N803
    ) -> Mapping[str, Any]:
        found = self._below(ParentId)
        return {"OrganizationalUnits": [{"Id": each, "Name": "loop"} for each in found]}

    async def describe_organizational_unit(
        self,
        *,
        OrganizationalUnitId: str,  # noqa: N803
    ) -> Mapping[str, Any]:
        self.asked.append(OrganizationalUnitId)
        return {"OrganizationalUnit": {"Id": OrganizationalUnitId, "Name": "loop"}}

    async def list_parents(self, *, ChildId: str) -> Mapping[str, Any]:  # noqa: N803
        return {"Parents": [{"Id": OTHER if ChildId == UNIT else self._parent}]}


async def read(organization: OddOrganization, parent: str | None = None) -> list[object]:
    async def client() -> OddOrganization:
        return organization

    reader = OrganizationsReader(client, some_calls(), FakeClock())
    return [account async for account in reader.accounts(parent)]


@pytest.mark.parametrize(
    "below",
    [
        lambda parent: [parent],
        lambda _: [UNIT],
        lambda parent: [OTHER if parent == UNIT else UNIT],
        lambda parent: [OTHER, UNIT] if parent == UNIT else [UNIT],
    ],
)
async def test_units_in_a_circle_are_a_failure_that_names_one(below: Tree) -> None:
    organization = OddOrganization(below)

    with pytest.raises(AwsFailure, match=r"(ou-aaaa-|r-root).* leads back to itself") as caught:
        await read(organization)

    assert caught.value.code == "RepeatedUnit"
    assert len(organization.asked) < 10


async def test_units_without_an_end_are_a_failure_that_names_one() -> None:
    numbers = count()
    organization = OddOrganization(lambda _: [f"ou-aaaa-{next(numbers):08}" for _ in range(2)])

    with pytest.raises(AwsFailure, match="ou-aaaa-") as caught:
        await read(organization)

    assert caught.value.code == "EndlessUnits"
    assert len(organization.asked) < 50


async def test_a_unit_that_is_listed_twice_is_read_once() -> None:
    organization = OddOrganization(lambda parent: [UNIT, UNIT] if parent == "r-root" else [])

    assert await read(organization) == []
    assert organization.asked == ["r-root", UNIT]


async def test_a_unit_below_itself_by_its_parents_is_a_failure_that_names_it() -> None:
    organization = OddOrganization(lambda _: [], parent=UNIT)

    with pytest.raises(AwsFailure, match=UNIT) as caught:
        await read(organization, UNIT)

    assert caught.value.code == "RepeatedUnit"
    assert len(organization.asked) < 5
