"""What AWS itself would refuse: roles, session policies and keys, by a server that checks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from auditor.aws.permissions import read_session_policies
from auditor.aws.secrets import SecretsManagerSink, secret_name
from auditor.aws.session import Aws, Connection
from auditor.aws.writer import ClientWriter
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import KeyStatus
from auditor.model.account import Account, Via
from auditor.ports import CreatedKey, Grant, IamWriter, Owner
from auditor.wiring.clock import SystemClock
from tests.ministack.seed import Estate, SeededKey

UPDATE, DELETE = "iam:UpdateAccessKey", "iam:DeleteAccessKey"


def an_aws(estate: Estate, **connection: Any) -> Aws:
    defaults = {"external_id": estate.external_id, "endpoint_url": estate.url}
    return Aws(
        Connection(**(defaults | connection)),
        session_name="iamaudit-test",
        concurrency=4,
        progress=Tally(),
        clock=SystemClock(),
        attempts=2,
        writes=True,
    )


def a_grant(*actions: str, on: SeededKey) -> Grant:
    return Grant(actions=dict.fromkeys(actions, (on.user_arn,)))


@asynccontextmanager
async def writing(
    estate: Estate, grant: Grant, *, account: Account | None = None, **connection: Any
) -> AsyncIterator[IamWriter]:
    """A writer in the member, unless another account is named."""
    aws = an_aws(estate, **connection)
    async with aws.connect(), aws.open_for(account or estate.member, grant) as opened:
        yield opened.writer


def without_own_check(writer: IamWriter, estate: Estate, *users: SeededKey) -> ClientWriter:
    """The same session, by a writer that believes everything is granted on these users."""
    assert isinstance(writer, ClientWriter)
    arns = tuple(user.user_arn for user in users)
    return ClientWriter(
        writer._client,
        writer._reader._calls,
        partition="aws",
        account_id=estate.member_id,
        grant=Grant(actions=dict.fromkeys((UPDATE, DELETE, "iam:CreateAccessKey"), arns)),
    )


async def test_what_is_granted_is_done(estate: Estate) -> None:
    amy = estate.add_user("amy")

    async with writing(estate, a_grant(UPDATE, DELETE, on=amy)) as writer:
        assert await writer.set_status(amy.user_name, amy.id, KeyStatus.INACTIVE)
        (key,) = await writer.access_keys(amy.user_name)
        assert key.status is KeyStatus.INACTIVE
        assert (await writer.user_arn(amy.user_name)).endswith(f"user/{amy.user_name}")
        assert await writer.user_tags(amy.user_name) == {}
        assert not await writer.quarantined(amy.user_name)
        await writer.last_use(amy.id)
        assert await writer.delete_key(amy.user_name, amy.id)

    assert estate.status(amy) is None


@pytest.mark.parametrize(
    "attempt",
    [
        lambda writer, amy, bob: writer.set_status(bob.user_name, bob.id, KeyStatus.INACTIVE),
        lambda writer, amy, bob: writer.delete_key(bob.user_name, bob.id),
        lambda writer, amy, bob: writer.delete_key(amy.user_name, amy.id),
        lambda writer, amy, bob: writer.create_key(amy.user_name),
    ],
    ids=["another user", "another user and action", "another action", "a new key"],
)
async def test_the_session_can_do_nothing_beyond_the_grant_whatever_the_role_may(
    estate: Estate,
    attempt: Callable[[ClientWriter, SeededKey, SeededKey], Awaitable[Any]],
) -> None:
    amy, bob = estate.add_user("amy"), estate.add_user("bob")

    async with writing(estate, a_grant(UPDATE, on=amy)) as writer:
        unchecked = without_own_check(writer, estate, amy, bob)
        with pytest.raises(AwsFailure, match="AccessDenied") as caught:
            await attempt(unchecked, amy, bob)
        assert await unchecked.set_status(amy.user_name, amy.id, KeyStatus.INACTIVE)

    assert caught.value.kind is FailureKind.DENIED
    assert estate.keys(bob) == {bob.id: KeyStatus.ACTIVE}
    assert estate.keys(amy) == {amy.id: KeyStatus.INACTIVE}


@pytest.mark.parametrize(("_", "policy"), read_session_policies()[:2])
async def test_a_session_for_reading_changes_nothing_whatever_the_role_may(
    estate: Estate, _: Via, policy: str
) -> None:
    amy = estate.add_user("amy")
    writer = f"arn:aws:iam::{estate.member_id}:role/iamaudit-write"
    aws = an_aws(estate)

    async with (
        aws.connect(),
        aws._way.to_read(replace(estate.member, role_arn=writer), policy) as entry,
        aws._client(entry, "iam") as client,
    ):
        listed = await client.list_access_keys(UserName=amy.user_name)
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.update_access_key(
                UserName=amy.user_name, AccessKeyId=amy.id, Status="Inactive"
            )

    assert [each["AccessKeyId"] for each in listed["AccessKeyMetadata"]] == [amy.id]
    assert estate.status(amy) is KeyStatus.ACTIVE


@pytest.mark.parametrize("external_id", ["wrong", None])
async def test_nobody_enters_without_the_external_id(
    estate: Estate, external_id: str | None
) -> None:
    amy = estate.add_user("amy")

    with pytest.raises(AwsFailure, match="sts:AssumeRole: AccessDenied") as caught:
        async with writing(estate, a_grant(UPDATE, on=amy), external_id=external_id):
            pass

    assert caught.value.kind is FailureKind.DENIED


async def test_a_role_that_is_not_there_is_denied(estate: Estate) -> None:
    amy = estate.add_user("amy")

    with pytest.raises(AwsFailure, match="sts:AssumeRole: AccessDenied"):
        async with writing(estate, a_grant(UPDATE, on=amy), write_role_name="nobody"):
            pass


async def test_an_inactive_key_can_not_sign_until_it_is_active_again(estate: Estate) -> None:
    amy = estate.add_user("amy")
    assert estate.why_not(amy) is None

    async with writing(estate, a_grant(UPDATE, on=amy)) as writer:
        await writer.set_status(amy.user_name, amy.id, KeyStatus.INACTIVE)
        assert estate.why_not(amy) == "InvalidClientTokenId"
        await writer.set_status(amy.user_name, amy.id, KeyStatus.ACTIVE)
        assert estate.why_not(amy) is None


async def test_a_new_key_signs(estate: Estate) -> None:
    amy = estate.add_user("amy")

    async with writing(estate, a_grant("iam:CreateAccessKey", on=amy)) as writer:
        created = await writer.create_key(amy.user_name)

    new = SeededKey(user_name="amy", user_arn=amy.user_arn, id=created.id, secret=created.secret)
    assert estate.why_not(new) is None


async def test_in_the_callers_own_account_the_callers_own_rights_decide(estate: Estate) -> None:
    own = Account(id=estate.management_id)
    amy = estate.add_user("amy", account_id=own.id)
    aws = an_aws(estate)

    async with aws.connect(), aws.open_for(own, a_grant(UPDATE, on=amy)) as opened:
        assert opened.via is Via.CALLER
        with pytest.raises(AwsFailure, match="AccessDenied"):
            await opened.writer.set_status("amy", amy.id, KeyStatus.INACTIVE)
        estate.allow(estate.caller, UPDATE)
        assert await opened.writer.set_status("amy", amy.id, KeyStatus.INACTIVE)

    assert estate.status(amy) is KeyStatus.INACTIVE


async def test_secrets_are_stored_under_the_tools_prefix_and_nowhere_else(estate: Estate) -> None:
    owner = Owner(account=estate.member, user_name="amy")
    aws = an_aws(estate)
    keys = [
        CreatedKey(id=id_, created_at=datetime.now(UTC), secret="s", request_id="r")
        for id_ in (estate.caller.id, estate.add_user("amy").id)
    ]

    async with aws.connect(), aws.open_secrets(estate.member) as secrets:
        sink = SecretsManagerSink(aws.open_secrets)
        for key in keys:
            arn = await sink.put(owner, key)
            assert await sink.find(owner, key.id) == arn
        assert await secrets.get(secret_name(owner))
        with pytest.raises(AwsFailure, match="AccessDenied"):
            await secrets.create("prod/database", "s", token="t" * 32, kms_key_id=None)
        with pytest.raises(AwsFailure, match="AccessDenied"):
            await secrets.get("prod/database")


@pytest.mark.parametrize("transport", ["fast", "sdk"])
async def test_both_transports_read_a_server_that_checks_signatures(
    estate: Estate, transport: Any
) -> None:
    names = ("amy", "o'neil+=,.@-_")
    for name in names:
        estate.add_user(name)
    aws = Aws(
        Connection(
            external_id=estate.external_id,
            endpoint_url=estate.url,
            role_names=("iamaudit-write",),
        ),
        session_name="iamaudit-test",
        concurrency=4,
        progress=Tally(),
        clock=SystemClock(),
        transport=transport,
    )

    async with aws.connect(), aws.open(estate.member) as opened:
        users = {user.name async for page in opened.reader.users() for user in page}
        keys = [key for name in names for key in await opened.reader.access_keys(name)]
        uses = [await opened.reader.last_use(key.id) for key in keys if key.id]

    assert users >= set(names)
    assert len(uses) == 2
