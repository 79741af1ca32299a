import pytest

from auditor.aws.session import Aws, Connection
from auditor.demo.emulator import Emulator, Request, Response
from auditor.demo.organization import DemoOrganization
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure
from auditor.model.account import AccountState
from auditor.wiring.clock import SystemClock


def an_aws(emulator: Emulator) -> Aws:
    return Aws(
        Connection(endpoint_url=emulator.url),
        session_name="iamaudit-test",
        concurrency=4,
        progress=Tally(),
        clock=SystemClock(),
        attempts=1,
    )


async def test_the_whole_organization_is_read_with_state_and_path(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws = an_aws(emulator)

    async with aws.connect():
        accounts = [account async for account in aws.organizations.accounts(None)]

    by_name = {account.name: account for account in accounts}
    assert len(accounts) == 1 + len(organization.member_account_ids)
    assert by_name["payments-prod"].ou == "Root/Workloads/Prod/Payments"
    assert by_name["billing-legacy"].state is AccountState.SUSPENDED
    assert by_name["harbour-management"].ou == "Root"
    read = {each.operation for each in emulator.requests if each.service == "organizations"}
    assert read == {"ListRoots", "ListAccountsForParent", "ListOrganizationalUnitsForParent"}


async def test_a_subtree_has_the_same_paths_as_the_whole(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws, backend = an_aws(emulator), emulator.backend("organizations", "123456789012")
    prod = next(unit.id for unit in backend.ou if unit.name == "Prod")

    async with aws.connect():
        whole = [account async for account in aws.organizations.accounts(None)]
        below = [account async for account in aws.organizations.accounts(prod)]
        root = [account async for account in aws.organizations.accounts(backend.org.root_id)]

    assert len(root) == len(whole)
    assert below == [each for each in whole if str(each.ou).startswith("Root/Workloads/Prod")]
    assert below


@pytest.mark.parametrize(
    ("parent", "code"),
    [
        ("ou-abcd-12345678", "OrganizationalUnitNotFoundException"),
        ("r-zzzz", "ParentNotFoundException"),
    ],
)
async def test_a_parent_that_is_none_is_a_failure_of_its_own(
    emulator: Emulator, organization: DemoOrganization, parent: str, code: str
) -> None:
    aws = an_aws(emulator)

    async with aws.connect():
        with pytest.raises(AwsFailure) as caught:
            [account async for account in aws.organizations.accounts(parent)]

    assert caught.value.code == code


async def test_an_organization_that_is_none_is_a_failure(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws = an_aws(emulator)

    def refuse(request: Request) -> Response | None:
        answer = Response(status=400, code="AWSOrganizationsNotInUseException", message="no")
        return answer if request.service == "organizations" else None

    emulator.hooks.append(refuse)
    async with aws.connect():
        with pytest.raises(AwsFailure, match="AWSOrganizationsNotInUseException"):
            [account async for account in aws.organizations.accounts(None)]


async def test_the_tags_of_an_account_are_read(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws, account = an_aws(emulator), organization.member_account_ids[0]
    backend = emulator.backend("organizations", "123456789012")
    backend.tag_resource(ResourceId=account, Tags=[{"Key": "stage", "Value": "prod"}])

    async with aws.connect():
        tags = await aws.organizations.tags(account)

    assert tags == {"stage": "prod"}
