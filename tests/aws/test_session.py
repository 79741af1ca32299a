import logging
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config

from auditor.aws.connection import Connection
from auditor.aws.permissions import PERMITTED
from auditor.aws.region import region_of
from auditor.aws.session import ForbiddenActionError, Transport
from auditor.aws.tls import VerifyingSession
from auditor.demo.emulator import Emulator, Request, Response
from auditor.demo.organization import DemoOrganization
from auditor.engine.tally import Tally
from auditor.errors import AuditError, AwsFailure, FailureKind, NothingAuditedError
from auditor.model.account import AccountId, Via
from tests.aws.connect import an_aws, clients_made, member, members, sent
from tests.builders import an_account


@pytest.fixture(params=["fast", "sdk"])
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


def assumed(emulator: Emulator) -> list[Any]:
    return sent(emulator, "AssumeRole")


async def test_the_caller_is_who_sts_says(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    async with an_aws(emulator).connect() as caller:
        assert caller.account_id == organization.management_account_id
        assert caller.partition == "aws"
        assert caller.arn.endswith(":user/iamaudit")


async def test_members_are_entered_by_their_roles_and_all_read_with_one_client(
    emulator: Emulator, organization: DemoOrganization, transport: Transport
) -> None:
    aws = an_aws(emulator, transport=transport)
    accounts = members(organization)[:3]
    made = clients_made(aws)

    async with aws.connect():
        for account in accounts:
            async with aws.open(account) as opened:
                users = [user async for page in opened.reader.users() for user in page]
                for user in users:
                    await opened.reader.access_keys(user.name)
            assert opened.via is Via.ROLE
            assert opened.role_arn == f"arn:aws:iam::{account.id}:role/iamaudit-read"

    assert made.count("iam") == (1 if transport == "fast" else 3)  # else one for each account
    assert len(assumed(emulator)) == 3
    listed = sent(emulator, "ListAccessKeys")
    assert {each.account_id for each in listed} == {account.id for account in accounts}


async def test_the_callers_own_account_needs_no_role_unless_one_is_given_for_it(
    emulator: Emulator, organization: DemoOrganization, transport: Transport
) -> None:
    own = organization.management_account_id
    arn = f"arn:aws:iam::{own}:role/audit"
    emulator.backend("iam", own).create_role("audit", "{}", "/", None, "", [], "3600")
    aws = an_aws(emulator, transport=transport)

    async with aws.connect():
        async with aws.open(an_account(own)) as opened:
            assert (opened.via, opened.role_arn) == (Via.CALLER, None)
            assert await opened.reader.has_password("nobody") is False
        assert not assumed(emulator)
        async with aws.open(an_account(own, role_arn=arn)) as opened:
            assert (opened.via, opened.role_arn) == (Via.ROLE, arn)


async def test_several_roles_are_tried_in_order(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    account = member(organization)
    aws = an_aws(emulator, role_names=("no-such-role", "iamaudit-read"))

    async with aws.connect(), aws.open(account) as opened:
        assert str(opened.role_arn).endswith("role/iamaudit-read")

    assert len(assumed(emulator)) == 2


async def test_a_session_that_aws_calls_expired_is_renewed_in_the_middle_of_a_scan(
    emulator: Emulator, organization: DemoOrganization, transport: Transport
) -> None:
    tally = Tally()
    aws = an_aws(emulator, transport=transport, progress=tally)
    seen = 0

    def expire(request: Request) -> Response | None:
        nonlocal seen
        seen += request.operation == "ListAccessKeys"
        if request.operation == "ListAccessKeys" and seen == 2:
            return Response(status=403, code="ExpiredToken", message="expired")
        return None

    emulator.hooks.append(expire)
    async with aws.connect(), aws.open(member(organization)) as opened:
        users = [user async for page in opened.reader.users() for user in page]
        for user in users:
            await opened.reader.access_keys(user.name)

    assert len(assumed(emulator)) == 2
    assert len(sent(emulator, "ListAccessKeys")) == len(users) + 1
    assert tally.calls["iam:ListAccessKeys"] == len(users)
    assert tally.calls["sts:AssumeRole"] == 2


async def test_a_throttled_account_is_read_and_each_throttled_answer_counted(
    emulator: Emulator, organization: DemoOrganization, transport: Transport
) -> None:
    tally = Tally()
    aws = an_aws(emulator, transport=transport, progress=tally)
    seen = 0

    def throttle(request: Request) -> Response | None:
        nonlocal seen
        seen += 1
        if request.service != "organizations" and seen in {2, 4, 5}:
            return Response(status=400, code="Throttling", message="Rate exceeded")
        return None

    async with aws.connect():
        emulator.hooks.append(throttle)
        async with aws.open(member(organization)) as opened:
            users = [user async for page in opened.reader.users() for user in page]
            for user in users:
                await opened.reader.access_keys(user.name)

    assert tally.throttles == 3
    assert tally.calls["iam:ListUsers"] == 1
    assert tally.calls["iam:ListAccessKeys"] == len(users)
    assert tally.calls["sts:AssumeRole"] == 1


async def test_a_role_that_nobody_may_assume_is_a_failure_of_that_account(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws = an_aws(emulator)

    async with aws.connect():
        with pytest.raises(AwsFailure, match="sts:AssumeRole") as caught:
            async with aws.open(an_account(organization.unreachable_account_id)):
                pass

    assert caught.value.kind is FailureKind.DENIED


async def test_an_accounts_own_external_id_goes_before_the_general_one(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    account, aws = member(organization), an_aws(emulator, external_id="general")

    special = an_account(account.id, external_id="special")
    async with aws.connect(), aws.open(account), aws.open(special):
        pass

    assert [each.params["ExternalId"] for each in assumed(emulator)] == ["general", "special"]


async def test_the_door_refuses_what_a_scan_has_no_business_with(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws = an_aws(emulator)

    async with aws._clients.client(aws._clients.own, "iam") as client:
        before = len(emulator.requests)
        with pytest.raises(ForbiddenActionError, match="iam:DeleteAccessKey"):
            await client.delete_access_key(UserName="amy", AccessKeyId="AKIAIOSFODNN7EXAMPLE")

    assert len(emulator.requests) == before


@pytest.fixture
def profiles(
    organization: DemoOrganization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile mgmt]\n"
        f"aws_access_key_id = {organization.access_key_id}\n"
        f"aws_secret_access_key = {organization.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))


@pytest.mark.usefixtures("profiles")
async def test_an_account_with_a_profile_is_read_with_its_credentials(
    emulator: Emulator, organization: DemoOrganization, transport: Transport
) -> None:
    aws, other = an_aws(emulator, transport=transport), member(organization).id

    async with aws.connect():
        own = an_account(organization.management_account_id, profile="mgmt")
        async with aws.open(own) as opened:
            assert opened.via is Via.CALLER
        with pytest.raises(AwsFailure, match=r"WrongAccount.*profile mgmt leads to account"):
            async with aws.open(an_account(other, profile="mgmt")):
                pass
        arn = f"arn:aws:iam::{other}:role/iamaudit-read"
        async with aws.open(an_account(other, profile="mgmt", role_arn=arn)) as opened:
            assert opened.via is Via.ROLE
            assert [user async for page in opened.reader.users() for user in page]
        with pytest.raises(AwsFailure, match="nowhere"):
            async with aws.open(an_account(other, profile="nowhere")):
                pass


async def test_endpoints_may_be_given_service_by_service(
    emulator: Emulator,
    organization: DemoOrganization,
    monkeypatch: pytest.MonkeyPatch,
    transport: Transport,
) -> None:
    for service in ("STS", "IAM", "ORGANIZATIONS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", emulator.url)
    aws = an_aws(emulator, endpoint_url=None, transport=transport)

    async with aws.connect(), aws.open(member(organization)) as opened:
        accounts = [account async for account in aws.organizations.accounts(None)]
        assert [user async for page in opened.reader.users() for user in page]

    assert len(accounts) == 16


@pytest.mark.parametrize("service", ["iam", "sts", "organizations"])
async def test_what_could_be_read_on_its_way_is_not_sent(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service.upper()}", "http://192.0.2.7")
    strict = an_aws(emulator, endpoint_url=None)._clients
    lenient = an_aws(emulator, endpoint_url=None, allow_http=True)._clients

    with pytest.raises(AwsFailure, match="not encrypted"):
        async with strict.client(strict.own, service):
            pass

    async with lenient.client(lenient.own, service) as client:
        assert client.meta.endpoint_url == "http://192.0.2.7"


async def test_the_regional_endpoint_of_sts_is_used(
    organization: DemoOrganization, emulator: Emulator
) -> None:
    aws = an_aws(emulator, endpoint_url=None, region="eu-central-1")

    async with aws._clients.client(aws._clients.own, "sts") as client:
        assert client.meta.endpoint_url == "https://sts.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("variable", "option", "region"),
    [
        ("eu-west-3", None, "eu-west-3"),
        ("", None, "eu-north-1"),
        ("eu-west-3", "eu-central-1", "eu-central-1"),
    ],
)
@pytest.mark.usefixtures("organization")
async def test_the_region_comes_from_where_the_cli_takes_it(
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    option: str | None,
    region: str,
) -> None:
    monkeypatch.setenv("AWS_REGION", variable)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    aws = an_aws(emulator, endpoint_url=None, region=option)

    async with aws._clients.client(aws._clients.own, "sts") as client:
        assert client.meta.region_name == region
    assert region_of(Connection(region=option)) == region


async def test_without_credentials_the_mend_is_said(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))

    with pytest.raises(AuditError, match="no AWS credentials") as caught:
        async with an_aws(emulator).connect():
            pass

    assert "aws sso login" in caught.value.hint


async def test_an_unknown_profile_is_named(emulator: Emulator) -> None:
    with pytest.raises(AuditError, match="nowhere"):
        an_aws(emulator, profile="nowhere")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
async def test_credentials_that_aws_does_not_accept_are_said_without_the_request(
    emulator: Emulator, organization: DemoOrganization, code: str
) -> None:
    told = f"not accepted.\n\nThe String-to-Sign was {organization.secret_access_key}"
    emulator.hooks.append(lambda _: Response(status=403, code=code, message=told))

    with pytest.raises(AuditError, match=f"{code}: not accepted.$") as caught:
        async with an_aws(emulator).connect():
            pass

    assert not isinstance(caught.value, NothingAuditedError)
    assert caught.value.__cause__ is None


async def test_an_endpoint_where_nobody_listens_means_nothing_was_audited(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    with pytest.raises(NothingAuditedError, match="can't be reached"):
        async with an_aws(emulator, endpoint_url="http://127.0.0.1:9").connect():
            pass


async def test_an_endpoint_that_is_no_url_is_a_mistake(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    with pytest.raises(AuditError, match="nonsense") as caught:
        async with an_aws(emulator, endpoint_url="nonsense").connect():
            pass

    assert "correct --endpoint-url" in caught.value.hint


async def test_a_role_that_leads_elsewhere_is_refused(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    arn = f"arn:aws:iam::{member(organization).id}:role/iamaudit-read"
    aws = an_aws(emulator)

    async with aws.connect():
        with pytest.raises(AwsFailure, match="WrongAccount"):
            async with aws.open(an_account("4" * 12, role_arn=arn)):
                pass


async def test_the_sdk_may_fetch_the_callers_credentials_by_web_identity(
    emulator: Emulator,
    organization: DemoOrganization,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    own = organization.management_account_id
    emulator.backend("iam", own).create_role("pod", "{}", "/", None, "", [], "3600")
    (tmp_path / "token").write_text("a-token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", f"arn:aws:iam::{own}:role/pod")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)

    async with an_aws(emulator).connect() as caller:
        assert caller.account_id == own
        assert ":assumed-role/pod/" in caller.arn


@pytest.mark.parametrize(
    ("service", "action"),
    [
        ("sso", "awsssoportal:GetRoleCredentials"),
        ("sso-oidc", "sso-oauth:CreateToken"),
        ("sts", "sts:AssumeRoleWithWebIdentity"),
    ],
)
async def test_the_door_knows_the_sdks_own_credential_calls_by_their_names(
    emulator: Emulator, organization: DemoOrganization, service: str, action: str
) -> None:
    aws = an_aws(emulator)

    async with aws._clients.client(aws._clients.own, service) as client:
        model = client.meta.service_model

    name = action.split(":")[1]
    assert f"{model.signing_name}:{model.operation_model(name).name}" == action
    assert action in PERMITTED


async def test_every_client_checks_tls_whole_those_that_the_sdk_makes_for_itself_too(
    emulator: Emulator, organization: DemoOrganization
) -> None:
    aws = an_aws(emulator)
    inner, unsigned = aws._clients.own._session, Config(signature_version=UNSIGNED)

    for made in (
        aws._clients.client(aws._clients.own, "sts"),
        inner.create_client("sts", region_name="us-east-1"),
        inner.create_client("sso", region_name="us-east-1", config=unsigned),
    ):
        async with made as client:
            assert isinstance(client._endpoint.http_session, VerifyingSession)


async def test_nothing_that_is_logged_has_a_secret(
    emulator: Emulator,
    organization: DemoOrganization,
    caplog: pytest.LogCaptureFixture,
    transport: Transport,
) -> None:
    caplog.set_level(logging.DEBUG)
    aws = an_aws(emulator, transport=transport)

    async with aws.connect(), aws.open(member(organization)) as opened:
        await opened.reader.user_details()
        assert organization.secret_access_key not in repr(opened)

    assert organization.secret_access_key not in caplog.text
    assert AccountId(organization.management_account_id) == aws.caller.account_id
