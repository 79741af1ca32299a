"""The way into accounts for changing them: whose credentials, and what they may do."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.aws.permissions import write_session_policy
from auditor.aws.session import ForbiddenActionError
from auditor.aws.writer import ClientWriter
from auditor.demo.emulator import Emulator, Request, Response
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKeyId, KeyStatus
from auditor.model.account import Via
from auditor.ports import Grant
from tests.aws.conftest import CHANGES, Estate
from tests.aws.connect import an_aws, sent, the_writer
from tests.builders import KEY_ID, an_account


async def test_the_session_may_do_what_is_granted_and_read(
    emulator: Emulator, estate: Estate
) -> None:
    account = an_account(estate.account.id, external_id="special")
    other = estate.user_arn.replace("amy", "bob")
    grant = Grant(
        actions={
            "iam:UpdateAccessKey": (other, estate.user_arn),
            "iam:DeleteAccessKey": (estate.user_arn, other, other),
            "iam:CreateAccessKey": (other,),
            "iam:TagUser": (),
        }
    )
    aws = an_aws(
        emulator, writes=True, write_role_name="ops/iamaudit-write", source_identity="amy.operator"
    )

    async with aws.connect(), aws.open_for(account, grant) as opened:
        assert opened.via is Via.ROLE
        assert opened.role_arn == f"arn:aws:iam::{account.id}:role/ops/iamaudit-write"

    (request,) = sent(emulator, "AssumeRole")
    assert request.params["RoleArn"] == opened.role_arn
    assert request.params["ExternalId"] == "special"
    assert request.params["SourceIdentity"] == "amy.operator"
    assert request.params["RoleSessionName"] == "iamaudit-test"
    assert json.loads(request.params["Policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["iam:CreateAccessKey"], "Resource": [other]},
            {
                "Effect": "Allow",
                "Action": ["iam:DeleteAccessKey", "iam:UpdateAccessKey"],
                "Resource": [estate.user_arn, other],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "iam:GetAccessKeyLastUsed",
                    "iam:GetUser",
                    "iam:ListAccessKeys",
                    "iam:ListAttachedUserPolicies",
                    "iam:ListUserTags",
                ],
                "Resource": "*",
            },
        ],
    }


async def test_a_role_for_reading_is_not_used_to_write(emulator: Emulator, estate: Estate) -> None:
    read = f"arn:aws:iam::{estate.account.id}:role/iamaudit-read"
    account = an_account(estate.account.id, role_arn=read)
    aws = an_aws(emulator, writes=True, write_role_name="ops/iamaudit-write")

    async with aws.connect(), aws.open_for(account, estate.grant()) as opened:
        assert str(opened.role_arn).endswith(":role/ops/iamaudit-write")


def users(count: int) -> Grant:
    arns = tuple(f"arn:aws:iam::222222222222:user/user-{number:04}" for number in range(count))
    return Grant(actions=dict.fromkeys(CHANGES, arns))


async def test_a_grant_too_large_for_one_session_is_never_sent(
    emulator: Emulator, estate: Estate
) -> None:
    most = max(n for n in range(99) if len(write_session_policy(users(n))) <= 2048)
    aws = an_aws(emulator, writes=True, write_role_name="ops/iamaudit-write")

    async with aws.connect():
        async with aws.open_for(estate.account, users(most)):
            pass
        before = len(emulator.requests)
        with pytest.raises(AwsFailure, match=r"2,0\d\d of 2,048 characters") as caught:
            async with aws.open_for(estate.account, users(most + 1)):
                pass

    assert caught.value.code == "PackedPolicyTooLarge"
    assert caught.value.kind is FailureKind.OTHER
    assert len(emulator.requests) == before


async def test_a_grant_that_aws_finds_too_large_has_the_same_code(
    emulator: Emulator, estate: Estate
) -> None:
    def too_large(request: Request) -> Response | None:
        if request.operation != "AssumeRole":
            return None
        return Response(status=400, code="PackedPolicyTooLarge", message="it is 101% of the size")

    emulator.hooks.append(too_large)
    aws = an_aws(emulator, writes=True)

    async with aws.connect():
        with pytest.raises(AwsFailure, match="PackedPolicyTooLarge: it is 101%") as caught:
            async with aws.open_for(estate.account, estate.grant()):
                pass

    assert caught.value.kind is FailureKind.OTHER


async def test_the_callers_own_account_is_entered_directly_and_held_to_the_grant(
    emulator: Emulator, estate: Estate
) -> None:
    aws = an_aws(emulator, writes=True)
    grant = estate.grant("iam:UpdateAccessKey", account=estate.own)

    async with aws.connect(), aws.open_for(estate.own, grant) as opened:
        assert (opened.via, opened.role_arn) == (Via.CALLER, None)
        (key,) = await opened.writer.access_keys("amy")
        assert await opened.writer.set_status("amy", AccessKeyId(str(key.id)), KeyStatus.INACTIVE)
        with pytest.raises(ForbiddenActionError):
            await opened.writer.create_key("amy")
        with pytest.raises(ForbiddenActionError):
            await opened.writer.set_status("operator", KEY_ID, KeyStatus.INACTIVE)

    assert not sent(emulator, "AssumeRole")
    assert not sent(emulator, "CreateAccessKey")


@pytest.fixture
def profiles(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files with keys in several profiles; `mgmt` is the caller's, by both ways."""
    (tmp_path / "config").write_text(
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = x\n"
        "[profile both]\naws_access_key_id = AKIACONFIG\naws_secret_access_key = x\n"
        "[profile sso]\nsso_region = eu-west-1\n[plugins]\n"
        f"[profile mgmt]\naws_access_key_id = {estate.caller_key_id}\n"
        f"aws_secret_access_key = {os.environ['AWS_SECRET_ACCESS_KEY']}\n"
    )
    (tmp_path / "credentials").write_text(
        "[both]\naws_access_key_id = AKIACREDENTIALS\naws_secret_access_key = x\n"
        "[temporary]\naws_access_key_id = ASIATEMPORARY\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def program(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a profile whose credentials a program prints."""
    answer = {
        "Version": 1,
        "AccessKeyId": estate.caller_key_id,
        "SecretAccessKey": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    (tmp_path / "answer").write_text(json.dumps(answer))
    (tmp_path / "config").write_text(
        f"[profile vault]\ncredential_process = cat {tmp_path / 'answer'}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return "vault"


@pytest.mark.usefixtures("profiles")
async def test_an_account_with_a_profile_is_entered_with_its_credentials(
    emulator: Emulator, estate: Estate
) -> None:
    aws = an_aws(emulator, writes=True)
    own = an_account(estate.own.id, profile="mgmt")
    elsewhere = an_account(estate.account.id, profile="mgmt")

    async with aws.connect():
        async with aws.open_for(own, estate.grant(account=own)) as opened:
            assert opened.via is Via.CALLER
        with pytest.raises(AwsFailure, match=r"WrongAccount.*profile mgmt leads to account"):
            async with aws.open_for(elsewhere, estate.grant()):
                pass


@pytest.mark.parametrize(
    "call",
    [
        lambda writer: writer.create_key("amy"),
        lambda writer: writer.delete_key("amy", KEY_ID),
        lambda writer: writer.set_status("amy", KEY_ID, KeyStatus.INACTIVE),
        lambda writer: writer.user_tags("amy"),
        lambda writer: writer.quarantined("amy"),
        lambda writer: writer.user_arn("amy"),
    ],
)
async def test_a_scan_changes_nothing_whatever_is_granted(
    emulator: Emulator, estate: Estate, call: Callable[[ClientWriter], Awaitable[Any]]
) -> None:
    aws = an_aws(emulator)

    async with aws.connect(), aws.open_for(estate.own, estate.grant(account=estate.own)) as opened:
        before = len(emulator.requests)
        with pytest.raises(ForbiddenActionError):
            await call(the_writer(opened))

    assert len(emulator.requests) == before


@pytest.mark.usefixtures("profiles")
async def test_the_keys_that_the_operator_works_with_are_known(
    emulator: Emulator, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = an_aws(emulator, profile="mgmt")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")

    assert aws.known_key_ids() == {
        "AKIAENVIRONMENT",
        estate.caller_key_id,
        "AKIACONFIG",
        "AKIACREDENTIALS",
        "AKIADEFAULT",
    }


async def test_a_key_that_a_program_hands_out_is_known_once_connected(
    emulator: Emulator, estate: Estate, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    aws = an_aws(emulator, profile=program)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    assert estate.caller_key_id not in aws.known_key_ids()
    async with aws.connect():
        assert estate.caller_key_id in aws.known_key_ids()


async def test_a_key_that_signed_on_the_way_to_a_role_is_known_whatever_handed_it_out(
    emulator: Emulator,
    estate: Estate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    with (tmp_path / "config").open("a") as config:
        config.write(
            "[profile audit]\nregion = us-east-1\n"
            f"role_arn = arn:aws:iam::{estate.account.id}:role/ops/iamaudit-write\n"
            "external_id = special\n"
            f"source_profile = {program}\n"
        )
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    aws = an_aws(emulator, profile="audit")

    async with aws.connect() as caller:
        assert ":assumed-role/iamaudit-write/" in caller.arn
        assert estate.caller_key_id in aws.known_key_ids()
        assert aws.long_lived_key_id() is None


async def test_the_long_lived_key_that_signs_is_told_from_a_session(
    emulator: Emulator, estate: Estate
) -> None:
    aws = an_aws(emulator)

    async with aws.connect():
        assert aws.long_lived_key_id() == estate.caller_key_id
