import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator, RootKey

DOCUMENT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a b/%41+é"}],
    }
)
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def test_list_users_gives_pages_of_the_size_asked_for(iam: Any, users: Any) -> None:
    _create(users, 5)

    first = iam.list_users(MaxItems=2)
    second = iam.list_users(MaxItems=2, Marker=first["Marker"])
    third = iam.list_users(MaxItems=2, Marker=second["Marker"])

    assert [len(page["Users"]) for page in (first, second, third)] == [2, 2, 1]
    assert [page["IsTruncated"] for page in (first, second, third)] == [True, True, False]
    assert "Marker" not in third


def test_list_users_gives_a_hundred_by_default(iam: Any, users: Any) -> None:
    _create(users, 101)

    assert len(iam.list_users()["Users"]) == 100


def test_list_users_gives_no_more_than_a_thousand(iam: Any) -> None:
    assert _code(iam.list_users, MaxItems=1001) == "ValidationError"


@pytest.mark.parametrize("marker", ["made up", "TGlzdFJvbGVzOjE=", "é"])
def test_a_marker_of_something_else_is_refused(iam: Any, marker: str) -> None:
    assert _code(iam.list_users, Marker=marker) == "ValidationError"


def test_list_users_is_in_the_order_of_the_names(iam: Any, users: Any) -> None:
    for name in ("bob", "Carol", "alice"):
        users.create_user("us-east-1", name)

    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["alice", "bob", "Carol"]


def test_list_users_filters_by_path(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice", "/eng/")
    users.create_user("us-east-1", "bob")

    assert [user["UserName"] for user in iam.list_users(PathPrefix="/eng/")["Users"]] == ["alice"]


def test_list_users_never_tells_tags(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice", "/", [{"Key": "Owner", "Value": "a"}])

    (user,) = iam.list_users()["Users"]
    assert set(user) == {"Path", "UserName", "UserId", "Arn", "CreateDate"}


def test_list_access_keys_gives_pages(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    keys = {users.create_access_key("alice").access_key_id for _ in range(2)}

    first = iam.list_access_keys(UserName="alice", MaxItems=1)
    second = iam.list_access_keys(UserName="alice", MaxItems=1, Marker=first["Marker"])

    assert [first["IsTruncated"], second["IsTruncated"]] == [True, False]
    pages = first["AccessKeyMetadata"] + second["AccessKeyMetadata"]
    assert {key["AccessKeyId"] for key in pages} == keys


def test_list_access_keys_of_an_unknown_user_is_no_such_entity(iam: Any) -> None:
    assert _code(iam.list_access_keys, UserName="nobody") == "NoSuchEntity"


def test_list_access_keys_without_a_name_is_about_the_user_that_signs(
    connect: Any, users: Any
) -> None:
    users.create_user("us-east-1", "alice")
    key = users.create_access_key("alice")

    (listed,) = connect("iam", key).list_access_keys()["AccessKeyMetadata"]
    assert (listed["UserName"], listed["AccessKeyId"]) == ("alice", key.access_key_id)


def test_list_access_keys_without_a_name_needs_a_user(iam: Any) -> None:
    assert _code(iam.list_access_keys) == "ValidationError"


def test_a_key_has_the_same_date_in_every_answer(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    created = iam.create_access_key(UserName="alice")["AccessKey"]

    (listed,) = iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    assert listed["CreateDate"] == created["CreateDate"].replace(microsecond=0)


def test_the_last_use_of_a_key_that_never_signed_has_no_date(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    key = users.create_access_key("alice")

    answer = iam.get_access_key_last_used(AccessKeyId=key.access_key_id)
    assert answer["UserName"] == "alice"
    assert answer["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}


def test_the_last_use_of_an_unknown_key_is_denied(iam: Any) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: iam:GetAccessKeyLastUsed"):
        iam.get_access_key_last_used(AccessKeyId="AKIA" + "X" * 16)


def test_the_last_use_of_another_accounts_key_is_denied(
    emulator: Emulator, iam: Any, member: str
) -> None:
    others = emulator.backend("iam", member)
    others.create_user("us-east-1", "alice")
    key = others.create_access_key("alice")

    code = _code(iam.get_access_key_last_used, AccessKeyId=key.access_key_id)
    assert code == "AccessDenied"


def test_the_use_of_a_key_is_noted_by_the_emulators_clock_once_in_15_minutes(
    connect: Any, users: Any, watch: SimpleNamespace
) -> None:
    users.create_user("us-east-1", "alice")
    key = users.create_access_key("alice")
    noted = []
    for minutes in (0, 14, 2):
        watch.now += timedelta(minutes=minutes)
        connect("sts", key).get_caller_identity()
        noted.append(key.last_used.timestamp)

    first = datetime(2027, 1, 15, 12, 0)  # noqa: DTZ001 -- as moto keeps it
    assert noted == [first, first, first + timedelta(minutes=16)]
    assert (key.last_used.service, key.last_used.region) == ("sts", "us-east-1")


def test_authorization_details_tell_the_tags_of_users(iam: Any, users: Any) -> None:
    tags = [{"Key": "Owner", "Value": "a <b> & c"}]
    users.create_user("us-east-1", "alice", "/", tags)
    users.create_user("us-east-1", "bob")

    alice, bob = iam.get_account_authorization_details()["UserDetailList"]
    assert (alice["Tags"], bob["Tags"]) == (tags, [])


def test_authorization_details_tell_documents_as_they_were_put(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    users.put_user_policy("alice", "inline", DOCUMENT)
    users.create_policy("", "/", DOCUMENT, "managed", [])
    users.create_role("role", DOCUMENT, "/", None, "", [], "3600")

    details = iam.get_account_authorization_details()
    (user,), (policy,) = details["UserDetailList"], details["Policies"]
    (role,) = details["RoleDetailList"]
    expected = json.loads(DOCUMENT)
    assert user["UserPolicyList"] == [{"PolicyName": "inline", "PolicyDocument": expected}]
    assert policy["PolicyVersionList"][0]["Document"] == expected
    assert role["AssumeRolePolicyDocument"] == expected


def test_authorization_details_tell_groups_and_attachments(iam: Any, users: Any) -> None:
    policy = users.create_policy("", "/", DOCUMENT, "managed", [])
    users.create_user("us-east-1", "alice")
    users.create_group("team")
    users.add_user_to_group("team", "alice")
    users.attach_group_policy(policy.arn, "team")
    users.attach_user_policy(policy.arn, "alice")

    details = iam.get_account_authorization_details()
    attached = [{"PolicyName": "managed", "PolicyArn": policy.arn}]
    assert details["UserDetailList"][0]["GroupList"] == ["team"]
    assert details["UserDetailList"][0]["AttachedManagedPolicies"] == attached
    assert details["GroupDetailList"][0]["AttachedManagedPolicies"] == attached
    assert details["Policies"][0]["AttachmentCount"] == 2


def test_authorization_details_honour_the_filter(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    users.create_group("team")
    users.create_policy("", "/", DOCUMENT, "managed", [])
    users.create_role("role", DOCUMENT, "/", None, "", [], "3600")

    details = iam.get_account_authorization_details(Filter=["Group", "LocalManagedPolicy"])
    found = {name: len(details[name]) for name in details if name.endswith(("List", "Policies"))}
    assert found == {
        "UserDetailList": 0,
        "GroupDetailList": 1,
        "RoleDetailList": 0,
        "Policies": 1,
    }


def test_pages_of_authorization_details_run_over_all_kinds_together(iam: Any, users: Any) -> None:
    _create(users, 3)
    users.create_group("team")

    first = iam.get_account_authorization_details(MaxItems=2)
    second = iam.get_account_authorization_details(MaxItems=2, Marker=first["Marker"])

    assert (len(first["UserDetailList"]), len(first["GroupDetailList"])) == (2, 0)
    assert (len(second["UserDetailList"]), len(second["GroupDetailList"])) == (1, 1)
    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)


def test_entities_of_a_policy_come_in_pages(iam: Any, users: Any) -> None:
    policy = users.create_policy("", "/", DOCUMENT, "managed", [])
    _create(users, 3)
    for name in list(users.users):
        users.attach_user_policy(policy.arn, name)

    first = iam.list_entities_for_policy(PolicyArn=policy.arn, EntityFilter="User", MaxItems=2)
    second = iam.list_entities_for_policy(
        PolicyArn=policy.arn, EntityFilter="User", MaxItems=2, Marker=first["Marker"]
    )

    assert [user["UserName"] for user in first["PolicyUsers"]] == ["user-000", "user-001"]
    assert [user["UserName"] for user in second["PolicyUsers"]] == ["user-002"]
    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)


def test_aws_policies_exist_in_every_account_attached_or_not(iam: Any) -> None:
    answer = iam.list_entities_for_policy(PolicyArn=ADMINISTRATOR)

    assert (answer["PolicyUsers"], answer["PolicyGroups"], answer["PolicyRoles"]) == ([], [], [])


def test_entities_of_an_unknown_policy_of_the_customer_are_no_such_entity(iam: Any) -> None:
    arn = f"arn:aws:iam::{MANAGEMENT_ACCOUNT_ID}:policy/unknown"

    assert _code(iam.list_entities_for_policy, PolicyArn=arn) == "NoSuchEntity"


@pytest.mark.parametrize("active", [True, False])
def test_the_account_summary_tells_whether_the_root_user_has_a_key(
    emulator: Emulator, iam: Any, *, active: bool
) -> None:
    before = iam.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"]
    emulator.root_keys[MANAGEMENT_ACCOUNT_ID] = [
        RootKey(active=active, created_at=datetime(2020, 1, 2, tzinfo=UTC))
    ]
    after = iam.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"]

    assert (before, after) == (0, 1)


def test_what_is_not_corrected_is_moto(iam: Any) -> None:
    iam.create_user(UserName="alice")

    assert iam.get_user(UserName="alice")["User"]["UserName"] == "alice"
    assert _code(iam.get_login_profile, UserName="alice") == "NoSuchEntity"


def _create(users: Any, count: int) -> None:
    for number in range(count):
        users.create_user("us-east-1", f"user-{number:03}")


def _code(operation: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as refused:
        operation(**params)
    return str(refused.value.response["Error"]["Code"])
