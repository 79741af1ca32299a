from typing import Any

import pytest
from botocore.exceptions import ClientError

from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator
from auditor.model.account import AccountState


@pytest.fixture
def organizations(connect: Any, organization: Any) -> Any:
    return connect("organizations")


def test_a_page_has_twenty_accounts_at_most(organizations: Any, organization: Any) -> None:
    _create_accounts(organization, 24)

    first = organizations.list_accounts()
    second = organizations.list_accounts(NextToken=first["NextToken"])

    assert (len(first["Accounts"]), len(second["Accounts"])) == (20, 5)
    assert "NextToken" not in second


def test_pages_can_be_smaller(organizations: Any, organization: Any) -> None:
    _create_accounts(organization, 4)
    pages = organizations.get_paginator("list_accounts_for_parent").paginate(
        ParentId=organization.org.root_id, PaginationConfig={"PageSize": 2}
    )

    assert [len(page["Accounts"]) for page in pages] == [2, 2, 1]


def test_more_than_twenty_a_page_is_refused(organizations: Any) -> None:
    assert _code(organizations.list_accounts, MaxResults=21) == "InvalidInputException"


def test_a_token_of_something_else_is_refused(organizations: Any) -> None:
    assert _code(organizations.list_accounts, NextToken="made up") == "InvalidInputException"


def test_each_third_list_begins_with_an_empty_page_and_a_token(organizations: Any) -> None:
    first, second, third = (organizations.list_roots() for _ in range(3))
    after = organizations.list_roots(NextToken=third["NextToken"])

    assert [len(page["Roots"]) for page in (first, second, third, after)] == [1, 1, 0, 1]
    assert "NextToken" not in after


def test_ous_are_listed_under_their_parent(organizations: Any, organization: Any) -> None:
    root = organization.org.root_id
    created = organizations.create_organizational_unit(ParentId=root, Name="Workloads")
    workloads = created["OrganizationalUnit"]
    organizations.create_organizational_unit(ParentId=workloads["Id"], Name="Prod")

    listed = organizations.list_organizational_units_for_parent(ParentId=root)
    assert listed["OrganizationalUnits"] == [workloads]


def test_an_unknown_parent_is_not_found(organizations: Any) -> None:
    operation = organizations.list_accounts_for_parent

    assert _code(operation, ParentId="ou-abcd-12345678") == "ParentNotFoundException"


def test_accounts_have_a_state_beside_the_status(organizations: Any) -> None:
    (account,) = organizations.list_accounts()["Accounts"]

    assert (account["State"], account["Status"]) == ("ACTIVE", "ACTIVE")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (AccountState.SUSPENDED, "SUSPENDED"),
        (AccountState.CLOSED, "SUSPENDED"),
        (AccountState.PENDING_CLOSURE, "PENDING_CLOSURE"),
    ],
)
def test_the_state_of_an_account_can_be_set(
    emulator: Emulator, organizations: Any, member: str, state: AccountState, status: str
) -> None:
    emulator.set_account_state(member, state)

    account = organizations.describe_account(AccountId=member)["Account"]
    assert (account["State"], account["Status"]) == (state, status)


def test_the_state_of_a_stranger_cannot_be_set(emulator: Emulator, organization: Any) -> None:
    with pytest.raises(LookupError):
        emulator.set_account_state("210987654321", AccountState.CLOSED)


def test_without_an_organization_there_is_nothing_to_list(connect: Any) -> None:
    code = _code(connect("organizations").list_accounts)

    assert code == "AWSOrganizationsNotInUseException"


def test_a_member_may_not_list_accounts(emulator: Emulator, connect: Any, member: str) -> None:
    client = connect("organizations", _key_in(emulator, member))

    assert _code(client.list_accounts) == "AccessDeniedException"


def test_a_delegated_administrator_lists_the_whole_organization(
    emulator: Emulator, connect: Any, organization: Any, member: str
) -> None:
    organization.register_delegated_administrator(
        AccountId=member, ServicePrincipal="config-multiaccountsetup.amazonaws.com"
    )
    client = connect("organizations", _key_in(emulator, member))

    listed = [account["Id"] for account in client.list_accounts()["Accounts"]]
    assert listed == [MANAGEMENT_ACCOUNT_ID, member]


def _create_accounts(organization: Any, count: int) -> None:
    for number in range(count):
        organization.create_account(AccountName=f"n{number}", Email=f"n{number}@example.com")


def _key_in(emulator: Emulator, account_id: str) -> Any:
    backend = emulator.backend("iam", account_id)
    backend.create_user("us-east-1", "alice")
    return backend.create_access_key("alice")


def _code(operation: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as refused:
        operation(**params)
    return str(refused.value.response["Error"]["Code"])
