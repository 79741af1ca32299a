"""Secrets Manager as a sink: what it keeps, and what it lets slip (nothing)."""

import json
import logging
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends

from auditor.aws.errors import failures
from auditor.aws.permissions import SECRET_ACTIONS, secret_grant
from auditor.aws.secret_place import TAG
from auditor.aws.secrets import SecretsManagerSink, secret_name
from auditor.aws.session import Aws, ForbiddenActionError
from auditor.demo.emulator import Drop, Emulator, Request, Response
from auditor.errors import AuditError, AwsFailure, FailureKind
from auditor.model.access_key import AccessKeyId
from auditor.ports import CreatedKey, Owner
from tests.aws.conftest import Estate
from tests.aws.connect import an_aws, sent
from tests.aws.test_readers import SECRET
from tests.builders import KEY_ID, an_account

OTHER_KEY = AccessKeyId("AKIAI44QH8DHBEXAMPLE")


def a_new_key(id_: AccessKeyId = KEY_ID, *, secret: str = SECRET) -> CreatedKey:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return CreatedKey(id=id_, created_at=at, secret=secret, request_id="request-1")


def a_writing_aws(emulator: Emulator, **options: Any) -> Aws:
    return an_aws(emulator, writes=True, write_role_name="ops/iamaudit-write", **options)


def owner_of(estate: Estate) -> Owner:
    return Owner(account=estate.account, user_name="amy")


async def current(aws: Aws, owner: Owner) -> Any:
    async with aws.open_secrets(owner.account) as secrets:
        stored = await secrets.get(secret_name(owner))
    return json.loads(stored.text) if stored else None


async def test_id_and_secret_are_kept_in_the_users_account(
    emulator: Emulator, estate: Estate
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        arn = await sink.put(owner, a_new_key())
        assert await current(aws, owner) == {
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
            "user_name": "amy",
            "account_id": estate.account.id,
        }
        assert await sink.find(owner, KEY_ID) == arn

    prefix = f"arn:aws:secretsmanager:us-east-1:{estate.account.id}:secret:iamaudit/"
    assert arn.startswith(f"{prefix}{estate.account.id}/amy-")


async def test_the_next_key_is_the_current_version_and_the_one_before_is_still_found(
    emulator: Emulator, estate: Estate
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        first = await sink.put(owner, a_new_key())
        assert await sink.put(owner, a_new_key(OTHER_KEY, secret="another")) == first
        assert (await current(aws, owner))["access_key_id"] == OTHER_KEY
        assert await sink.find(owner, KEY_ID) == first
        assert await sink.find(owner, OTHER_KEY) == first


async def test_a_repeat_makes_no_further_version(emulator: Emulator, estate: Estate) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        assert await sink.put(owner, a_new_key()) == await sink.put(owner, a_new_key())

    tokens = {
        request.params["ClientRequestToken"]
        for operation in ("CreateSecret", "PutSecretValue")
        for request in sent(emulator, operation)
    }
    assert [len(token) for token in tokens] == [64]


async def test_a_key_that_is_not_there_is_not_found(emulator: Emulator, estate: Estate) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        assert await sink.find(owner, KEY_ID) is None
        await sink.put(owner, a_new_key())
        assert await sink.find(owner, OTHER_KEY) is None


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "[]",
        json.dumps({"access_key_id": KEY_ID}),
        json.dumps({"access_key_id": KEY_ID, "secret_access_key": ""}),
    ],
)
async def test_a_secret_that_is_not_whole_is_not_found(
    emulator: Emulator, estate: Estate, text: str
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)

    async with aws.connect():
        async with aws.open_secrets(estate.account) as secrets:
            await secrets.create(secret_name(owner), text, token="t" * 32, kms_key_id=None)
        assert await SecretsManagerSink(aws.open_secrets).find(owner, KEY_ID) is None


async def test_what_somebody_else_wrote_by_the_key_is_found(
    emulator: Emulator, estate: Estate
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    text = json.dumps({"access_key_id": KEY_ID, "secret_access_key": SECRET, "note": "by hand"})

    async with aws.connect():
        async with aws.open_secrets(estate.account) as secrets:
            await secrets.create(secret_name(owner), text, token="t" * 32, kms_key_id=None)
        assert await SecretsManagerSink(aws.open_secrets).find(owner, KEY_ID)


async def test_all_secrets_may_go_to_one_account_region_and_key(
    emulator: Emulator, estate: Estate
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(
        partial(aws.open_secrets, region="eu-central-1"),
        central=estate.own,
        kms_key_id="alias/keys",
    )

    async with aws.connect():
        arn = await sink.put(owner, a_new_key())

    central = f"arn:aws:secretsmanager:eu-central-1:{estate.own.id}:secret:"
    assert arn.startswith(f"{central}iamaudit/{estate.account.id}/amy-")
    assert sent(emulator, "CreateSecret")[0].params["KmsKeyId"] == "alias/keys"
    assert not sent(emulator, "AssumeRole")


async def test_the_session_may_touch_this_tools_secrets_only(
    emulator: Emulator, estate: Estate
) -> None:
    aws = a_writing_aws(emulator, external_id="general")

    async with aws.connect():
        await SecretsManagerSink(aws.open_secrets).find(owner_of(estate), KEY_ID)

    (request,) = sent(emulator, "AssumeRole")
    arn = f"arn:aws:secretsmanager:*:{estate.account.id}:secret:iamaudit/*"
    assert request.params["ExternalId"] == "general"
    assert request.params["RoleArn"].endswith(":role/ops/iamaudit-write")
    assert secret_grant("aws", estate.account.id).actions == dict.fromkeys(SECRET_ACTIONS, (arn,))
    assert json.loads(request.params["Policy"])["Statement"] == [
        {"Effect": "Allow", "Action": list(SECRET_ACTIONS), "Resource": [arn]},
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*"}},
        },
    ]


async def test_a_scan_has_no_business_with_secrets(emulator: Emulator, estate: Estate) -> None:
    aws = an_aws(emulator)

    async with aws.connect():
        sink = SecretsManagerSink(aws.open_secrets, central=estate.own)
        with pytest.raises(ForbiddenActionError, match="secretsmanager:GetSecretValue"):
            await sink.find(owner_of(estate), KEY_ID)
        with pytest.raises(ForbiddenActionError, match="secretsmanager:DescribeSecret"):
            await sink.put(owner_of(estate), a_new_key())

    assert not [each for each in emulator.requests if each.service == "secretsmanager"]


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", "GetSecretValue"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Response(status=400, code="AccessDeniedException", message="no"), FailureKind.DENIED),
        (Response(status=400, code="DecryptionFailure", message="no"), FailureKind.OTHER),
        (Drop(), FailureKind.UNAVAILABLE),
    ],
)
async def test_a_secret_that_could_not_be_stored_is_a_failure_that_does_not_repeat_it(
    emulator: Emulator, estate: Estate, operation: str, answer: Response | Drop, kind: FailureKind
) -> None:
    def refuse(request: Request) -> Response | Drop | None:
        return answer if request.operation == operation else None

    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        await sink.put(owner, a_new_key(OTHER_KEY, secret="another"))
        emulator.hooks.append(refuse)
        with pytest.raises(AwsFailure, match=f"^secretsmanager:{operation}: ") as caught:
            await sink.put(owner, a_new_key())

    assert caught.value.kind is kind
    assert SECRET not in f"{caught.value!r} {caught.value.__dict__} {a_new_key()!r}"


async def test_nothing_that_is_logged_has_the_secret(
    emulator: Emulator, estate: Estate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        await sink.put(owner, a_new_key())
        async with aws.open_secrets(estate.account) as secrets:
            assert SECRET not in repr(await secrets.get(secret_name(owner)))

    assert SECRET not in caplog.text


async def test_a_secret_that_reads_back_otherwise_is_a_failure(
    emulator: Emulator, estate: Estate
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        await sink.put(owner, a_new_key())
        await sink.put(owner, a_new_key(OTHER_KEY, secret="another"))
        # The version of the first key is there already, and no longer the current one.
        with pytest.raises(AwsFailure, match="does not read as it was written") as caught:
            await sink.put(owner, a_new_key())

    assert caught.value.code == "NotAsStored"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("user_name", "name"),
    [
        ("a-b_c+d.e@f", "a-b_c+d.e@f"),
        ("a,b", "a=2Cb"),
        ("a=2Cb", "a=3D2Cb"),
        ("a/b c", "a=2Fb=20c"),
        ("é", "=C3=A9"),
    ],
)
def test_each_user_has_a_name_that_a_secret_can_have(user_name: str, name: str) -> None:
    owner = Owner(account=an_account(), user_name=user_name)

    assert secret_name(owner) == f"iamaudit/{owner.account.id}/{name}"


def by_hand(owner: Owner, **options: Any) -> FakeSecret:
    """Make a secret in the name of the owner's, as somebody else would."""
    backend, name = secretsmanager_backends[owner.account.id]["us-east-1"], secret_name(owner)
    backend.create_secret(
        name,
        **{
            "secret_string": "theirs",
            "secret_binary": None,
            "description": None,
            "tags": None,
            "kms_key_id": None,
            "client_request_token": None,
            "replica_regions": [],
            "force_overwrite": False,
        }
        | options,
    )
    secret = backend.secrets[name]
    assert isinstance(secret, FakeSecret)
    return secret


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tags": []}, "iamaudit=access-key"),
        ({"tags": [{"Key": "iamaudit", "Value": "other"}]}, "iamaudit=access-key"),
        ({"tags": [TAG], "kms_key_id": "alias/theirs"}, "alias/theirs"),
        ({"tags": [TAG]}, "aws/secretsmanager"),
    ],
    ids=["no tag", "another tag", "another key", "the default key"],
)
async def test_a_secret_that_somebody_else_prepared_is_refused_before_a_key_is_made(
    emulator: Emulator, estate: Estate, options: dict[str, Any], named: str
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets, kms_key_id="alias/ours")
    by_hand(owner, **options)

    async with aws.connect():
        with pytest.raises(AuditError, match=named):
            await sink.check(owner)
        with pytest.raises(AuditError, match=named):
            await sink.put(owner, a_new_key())

    assert not sent(emulator, "PutSecretValue")


@pytest.mark.parametrize(
    "wanted", [None, "alias/ours", "arn:aws:kms:us-east-1:222222222222:alias/ours"]
)
async def test_a_secret_of_ours_with_the_same_key_is_used_again(
    emulator: Emulator, estate: Estate, wanted: str | None
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    first = SecretsManagerSink(aws.open_secrets, kms_key_id="alias/ours")
    again = SecretsManagerSink(aws.open_secrets, kms_key_id=wanted)

    async with aws.connect():
        await first.check(owner)
        await first.put(owner, a_new_key())
        await again.check(owner)
        await again.put(owner, a_new_key(OTHER_KEY, secret="another"))
        assert (await current(aws, owner))["access_key_id"] == OTHER_KEY


async def test_a_secret_that_is_about_to_be_deleted_is_refused(
    emulator: Emulator, estate: Estate
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        await sink.put(owner, a_new_key())
        secretsmanager_backends[owner.account.id]["us-east-1"].delete_secret(
            secret_name(owner), 30, force_delete_without_recovery=False
        )
        with pytest.raises(AuditError, match="scheduled for deletion"):
            await sink.check(owner)


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue"])
@pytest.mark.parametrize(
    "answer",
    [
        Response(status=400, code="InvalidRequestException", message=f"value {SECRET} is bad"),
        Response(status=400, code=SECRET, message="no"),
        Response(status=500, code="InternalServiceError", message=SECRET),
        Response(status=403, code=f"Access {SECRET}", message=""),
    ],
    ids=["in the message", "as the code", "of a server's error", "in the code"],
)
async def test_an_error_that_repeats_the_secret_is_told_without_it(
    emulator: Emulator, estate: Estate, operation: str, answer: Response
) -> None:
    def repeat(request: Request) -> Response | None:
        return answer if request.operation == operation else None

    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)

    async with aws.connect():
        if operation == "PutSecretValue":
            await sink.put(owner, a_new_key(OTHER_KEY, secret="another"))
        emulator.hooks.append(repeat)
        with pytest.raises(AwsFailure) as caught:
            await sink.put(owner, a_new_key())

    failure = caught.value
    told = f"{failure!r} {failure.__dict__} {failure.args} {failure.__context__!r}"
    assert operation in told
    assert SECRET not in told


async def test_a_parameter_that_the_sdk_refuses_is_told_without_its_value() -> None:
    refused = ParamValidationError(report=f"SecretString, value: {SECRET}")

    with pytest.raises(AwsFailure) as caught, failures("secretsmanager:CreateSecret"):
        raise refused

    assert SECRET not in f"{caught.value!r} {caught.value.__dict__}"
