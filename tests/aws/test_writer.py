"""Changing keys: once, within the grant, and without a word about secrets."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from botocore.parsers import ResponseParserError

from auditor.aws.session import ForbiddenActionError
from auditor.aws.writer import ClientWriter
from auditor.demo.emulator import Drop, Emulator, Response
from auditor.demo.policies import insert_policy
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import KeyStatus, NeverUsed
from auditor.ports import Grant
from tests.aws.conftest import CHANGES, Estate
from tests.aws.connect import an_aws, sent, some_calls, the_writer
from tests.aws.test_readers import SECRET, StubClient
from tests.builders import ACCOUNT_ID, KEY_ID

Change: TypeAlias = Callable[[ClientWriter], Awaitable[Any]]


@asynccontextmanager
async def writing(
    emulator: Emulator, estate: Estate, grant: Grant | None = None, **connection: Any
) -> AsyncIterator[ClientWriter]:
    """A writer in the other account, by its role."""
    aws = an_aws(emulator, writes=True, write_role_name="ops/iamaudit-write", **connection)
    async with aws.connect(), aws.open_for(estate.account, grant or estate.grant()) as opened:
        yield the_writer(opened)


def a_writer(answer: Any, grant: Grant | None = None) -> ClientWriter:
    """A writer whose every call has this answer."""
    return ClientWriter(
        StubClient(answer),
        some_calls(attempts=1),
        partition="aws",
        account_id=ACCOUNT_ID,
        grant=grant or granted(f"arn:aws:iam::{ACCOUNT_ID}:user/amy"),
    )


def granted(*arns: str) -> Grant:
    return Grant(actions=dict.fromkeys(CHANGES, arns))


def change(name: str) -> Change:
    """A change of amy's key, by the name of its operation."""
    changes: dict[str, Change] = {
        "CreateAccessKey": lambda writer: writer.create_key("amy"),
        "DeleteAccessKey": lambda writer: writer.delete_key("amy", KEY_ID),
        "UpdateAccessKey": lambda writer: writer.set_status("amy", KEY_ID, KeyStatus.INACTIVE),
    }
    return changes[name]


async def test_a_status_is_set_and_reads_back(emulator: Emulator, estate: Estate) -> None:
    async with writing(emulator, estate) as writer:
        ids = set()
        for status in (KeyStatus.INACTIVE, KeyStatus.ACTIVE):
            ids.add(await writer.set_status("amy", estate.key_id, status))
            (key,) = await writer.access_keys("amy")
            assert key.status is status

    assert len(ids) == 2
    assert "" not in ids


async def test_a_deleted_key_is_gone_and_was_gone_the_second_time(
    emulator: Emulator, estate: Estate
) -> None:
    async with writing(emulator, estate) as writer:
        assert await writer.delete_key("amy", estate.key_id)
        assert await writer.access_keys("amy") == []
        with pytest.raises(AwsFailure, match="iam:DeleteAccessKey: NoSuchEntity") as caught:
            await writer.delete_key("amy", estate.key_id)

    assert caught.value.kind is FailureKind.GONE


async def test_a_key_is_made_with_its_secret_and_no_third_one(
    emulator: Emulator, estate: Estate
) -> None:
    async with writing(emulator, estate) as writer:
        created = await writer.create_key("amy")
        kept = estate.iam.access_keys[created.id]
        with pytest.raises(AwsFailure, match="iam:CreateAccessKey: LimitExceeded") as caught:
            await writer.create_key("amy")

    assert created.secret == kept.secret_access_key
    assert created.created_at.tzinfo is UTC
    assert created.request_id
    assert caught.value.kind is FailureKind.OTHER


async def test_what_a_change_is_decided_by_is_read(emulator: Emulator, estate: Estate) -> None:
    async with writing(emulator, estate) as writer:
        assert await writer.last_use(estate.key_id) == NeverUsed()
        assert await writer.user_tags("amy") == {"Owner": "it"}
        assert not await writer.quarantined("amy")
        estate.iam.attach_user_policy(
            insert_policy(estate.iam, "AWSCompromisedKeyQuarantineV3"), "amy"
        )
        assert await writer.quarantined("amy")
        assert await writer.user_arn("amy") == estate.user_arn
        with pytest.raises(AwsFailure, match="iam:ListUserTags: NoSuchEntity"):
            await writer.user_tags("nobody")


@pytest.mark.parametrize("operation", ["CreateAccessKey", "DeleteAccessKey", "UpdateAccessKey"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Drop(), FailureKind.UNAVAILABLE),
        (Response(status=500, code="ServiceFailure", message="-"), FailureKind.UNAVAILABLE),
        (Response(status=503, code="ServiceUnavailable", message="-"), FailureKind.UNAVAILABLE),
        (Response(status=400, code="Throttling", message="Rate exceeded"), FailureKind.THROTTLED),
    ],
)
async def test_a_change_is_never_sent_twice(
    emulator: Emulator,
    estate: Estate,
    operation: str,
    answer: Response | Drop,
    kind: FailureKind,
) -> None:
    emulator.hooks.append(lambda request: answer if request.operation == operation else None)

    async with writing(emulator, estate) as writer:
        with pytest.raises(AwsFailure, match=f"^iam:{operation}: ") as caught:
            await change(operation)(writer)

    assert caught.value.kind is kind
    assert len(sent(emulator, operation)) == 1


async def test_a_read_is_repeated(emulator: Emulator, estate: Estate) -> None:
    busy = [Response(status=503, code="ServiceUnavailable", message="-")]
    emulator.hooks.append(
        lambda request: busy.pop() if request.operation == "ListAccessKeys" and busy else None
    )

    async with writing(emulator, estate) as writer:
        assert len(await writer.access_keys("amy")) == 1

    assert len(sent(emulator, "ListAccessKeys")) == 2


@pytest.mark.parametrize("operation", ["CreateAccessKey", "DeleteAccessKey", "UpdateAccessKey"])
@pytest.mark.parametrize(
    "grant",
    [
        Grant(actions={}),
        Grant(actions={"iam:CreateUser": (f"arn:aws:iam::{ACCOUNT_ID}:user/amy",)}),
        granted(),
        granted(f"arn:aws:iam::{ACCOUNT_ID}:user/bob"),
        granted(f"arn:aws:iam::{ACCOUNT_ID}:user/amy/bob"),
        granted(f"arn:aws:iam::{ACCOUNT_ID}:user/team/xamy"),
        granted(f"arn:aws:iam::{ACCOUNT_ID}:user/*"),
        granted("arn:aws:iam::999999999999:user/amy"),
        granted(f"arn:aws-cn:iam::{ACCOUNT_ID}:user/amy"),
        granted(f"arn:aws:iam::{ACCOUNT_ID}:role/amy"),
    ],
)
async def test_what_is_not_granted_is_a_bug(operation: str, grant: Grant) -> None:
    with pytest.raises(ForbiddenActionError, match=f"iam:{operation} on the user amy"):
        await change(operation)(a_writer({}, grant))


async def test_each_granted_action_is_for_its_own_users_whatever_their_path() -> None:
    grant = Grant(
        actions={
            "iam:DeleteAccessKey": (f"arn:aws:iam::{ACCOUNT_ID}:user/a/b/amy",),
            "iam:UpdateAccessKey": (f"arn:aws:iam::{ACCOUNT_ID}:user/bob",),
        }
    )
    writer = a_writer({"ResponseMetadata": {"RequestId": "request-1"}}, grant)

    assert await change("DeleteAccessKey")(writer) == "request-1"
    with pytest.raises(ForbiddenActionError):
        await change("UpdateAccessKey")(writer)


@pytest.mark.parametrize("operation", ["DeleteAccessKey", "UpdateAccessKey"])
async def test_an_answer_without_a_request_id_leaves_open_what_was_done(operation: str) -> None:
    with pytest.raises(AwsFailure, match="MalformedAnswer") as caught:
        await change(operation)(a_writer({}))

    assert caught.value.kind is FailureKind.UNAVAILABLE


@pytest.mark.parametrize(
    "answer",
    [
        ResponseParserError(f"unable to parse <SecretAccessKey>{SECRET}"),
        {"AccessKey": {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}},
        {
            "AccessKey": {
                "AccessKeyId": KEY_ID,
                "SecretAccessKey": SECRET,
                "CreateDate": datetime.now(UTC),
            }
        },
        {"AccessKey": SECRET},
    ],
)
async def test_a_new_key_that_cannot_be_read_is_a_failure_that_repeats_nothing_of_it(
    answer: Any,
) -> None:
    with pytest.raises(AwsFailure, match="MalformedAnswer") as caught:
        await change("CreateAccessKey")(a_writer(answer))

    assert caught.value.kind is FailureKind.UNAVAILABLE
    failure = caught.value
    assert SECRET not in f"{failure!r} {failure.__dict__} {failure.__context__!r}"


async def test_the_secret_of_a_new_key_shows_nowhere(
    emulator: Emulator, estate: Estate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async with writing(emulator, estate) as writer:
        created = await writer.create_key("amy")
        shown = f"{created!r} {created} {writer!r} {writer.__dict__}"

    assert created.secret
    assert created.secret not in shown
    assert created.secret not in caplog.text
