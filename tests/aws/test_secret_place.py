"""Which secrets that exist may be given the secret of a new key."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from auditor.aws.secret_place import TAG, check_place, place_of
from auditor.aws.secrets import SecretsManagerSink
from auditor.demo.emulator import Emulator, Request, Response
from auditor.errors import AuditError, AwsFailure
from tests.aws.conftest import Estate
from tests.aws.connect import sent
from tests.aws.test_secrets import a_new_key, a_writing_aws, by_hand, owner_of

OURS, THEIRS = "111122223333", "999999999999"
DESCRIBED: dict[str, Any] = {
    "ARN": f"arn:aws:secretsmanager:us-east-1:{OURS}:secret:iamaudit/{OURS}/amy-a1b2c3",
    "Name": f"iamaudit/{OURS}/amy",
    "Tags": [TAG],
}
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"


def a_statement(effect: str, **values: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": "*", "Resource": "*", **values}


def a_policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def key_arn(account: str, name: str = f"key/{KEY}") -> str:
    return f"arn:aws:kms:us-east-1:{account}:{name}"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"Tags": []}, "iamaudit=access-key"),
        ({"Tags": [{"Key": "IamAudit", "Value": "access-key"}]}, "iamaudit=access-key"),
        ({"DeletedDate": 1}, "scheduled for deletion"),
        ({"ReplicationStatus": [{"Region": "eu-west-1"}]}, "replicated to eu-west-1"),
        ({"RotationEnabled": True}, "rotated by a function"),
        ({"OwningService": "rds"}, "managed by a service"),
        ({"KmsKeyId": key_arn(THEIRS)}, THEIRS),
        ({"KmsKeyId": key_arn(THEIRS, "alias/ours")}, THEIRS),
    ],
)
def test_a_secret_that_others_may_read_is_refused_though_no_kms_key_is_asked_for(
    more: dict[str, Any], named: str
) -> None:
    with pytest.raises(AuditError, match=named):
        check_place(place_of(DESCRIBED | more, None), kms_key_id=None)


@pytest.mark.parametrize(
    "policy",
    [
        a_policy(a_statement("Allow")),
        a_policy(a_statement("Deny"), a_statement("Allow")),
        json.dumps({"Statement": a_statement("Allow")}),
        json.dumps({"Statement": "odd"}),
        "[]",
        "not JSON",
    ],
)
def test_a_secret_with_a_resource_policy_that_may_let_others_in_is_refused(policy: str) -> None:
    with pytest.raises(AuditError, match="resource policy"):
        check_place(place_of(DESCRIBED, policy), kms_key_id=None)


@pytest.mark.parametrize("policy", [None, "", a_policy(), a_policy(a_statement("Deny"))])
@pytest.mark.parametrize("rotation", [{}, {"RotationEnabled": False, "ReplicationStatus": []}])
def test_a_secret_that_lets_nobody_else_in_is_used(
    policy: str | None, rotation: dict[str, Any]
) -> None:
    check_place(place_of(DESCRIBED | rotation, policy), kms_key_id=None)


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (KEY, KEY, True),
        (key_arn(OURS), KEY, True),
        (KEY, key_arn(OURS), True),
        (key_arn(OURS, "alias/ours"), "alias/ours", True),
        (key_arn(THEIRS), key_arn(THEIRS), True),
        (None, "alias/aws/secretsmanager", True),
        (None, KEY, False),
        (None, "alias/ours", False),
        ("alias/theirs", "alias/ours", False),
        (key_arn(THEIRS, "alias/ours"), "alias/ours", False),
        (key_arn(THEIRS, "alias/ours"), key_arn(OURS, "alias/ours"), False),
        (key_arn(THEIRS), KEY, False),
    ],
)
def test_a_kms_key_is_the_one_asked_for_by_name_and_account(
    found: str | None, wanted: str, same: bool
) -> None:
    place = place_of(DESCRIBED | ({} if found is None else {"KmsKeyId": found}), None)

    if same:
        check_place(place, kms_key_id=wanted)
        return
    with pytest.raises(AuditError, match="is encrypted with"):
        check_place(place, kms_key_id=wanted)


@pytest.mark.parametrize("prepared", ["a policy", "a replica"])
async def test_a_secret_that_somebody_prepared_with_our_tag_gets_no_value(
    emulator: Emulator, estate: Estate, prepared: str
) -> None:
    aws, owner = a_writing_aws(emulator), owner_of(estate)
    sink = SecretsManagerSink(aws.open_secrets)
    replicas = [{"Region": "eu-west-1"}] if prepared == "a replica" else []
    secret = by_hand(owner, tags=[TAG], replica_regions=replicas)
    if prepared == "a policy":
        secret.policy = a_policy(a_statement("Allow"))

    async with aws.connect():
        with pytest.raises(AuditError, match=r"policy|replica"):
            await sink.check(owner)
        with pytest.raises(AuditError, match=r"policy|replica"):
            await sink.put(owner, a_new_key())

    assert not sent(emulator, "PutSecretValue")


async def test_a_resource_policy_that_can_not_be_read_does_not_pass_for_none(
    emulator: Emulator, estate: Estate
) -> None:
    def deny(request: Request) -> Response | None:
        if request.operation != "GetResourcePolicy":
            return None
        return Response(status=400, code="AccessDeniedException", message="no")

    aws, owner = a_writing_aws(emulator), owner_of(estate)
    by_hand(owner, tags=[TAG])
    emulator.hooks.append(deny)

    async with aws.connect():
        with pytest.raises(AwsFailure, match="GetResourcePolicy: AccessDenied"):
            await SecretsManagerSink(aws.open_secrets).check(owner)
