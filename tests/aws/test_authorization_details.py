import json
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from auditor.aws.authorization_details import allows_everything, digest
from auditor.model.unknown import Unknown
from auditor.ports import UserDetails

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
LOCAL = "arn:aws:iam::1:policy/local"


def read(pages: list[Any], name: str = "amy") -> UserDetails:
    found = digest(pages)[name]
    assert not isinstance(found, Unknown)
    return found


def a_document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("statement", "everything"),
    [
        (ALL, True),
        (ALL | {"Action": ["s3:*", "*:*"]}, True),
        (ALL | {"Resource": ["*"]}, True),
        (ALL | {"Effect": "Deny"}, False),
        (ALL | {"Action": "iam:*"}, False),
        (ALL | {"Resource": "arn:aws:s3:::b/*"}, False),
        (ALL | {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}, False),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, False),
    ],
)
def test_only_all_actions_on_all_resources_without_a_condition_are_everything(
    statement: dict[str, Any], everything: bool
) -> None:
    assert allows_everything(a_document(statement)) is everything
    assert allows_everything({"Statement": statement}) is everything


def test_a_document_that_could_not_be_decoded_is_unknown() -> None:
    assert isinstance(allows_everything("%7B"), Unknown)


def test_administrator_access_is_the_one_policy_of_aws_that_allows_everything() -> None:
    found = {
        name
        for name, policy in json.loads(aws_managed_policies_data).items()
        if allows_everything(policy["Document"]) is True
    }

    assert found == {"AdministratorAccess"}


def a_detail(name: str = "amy", **members: Any) -> dict[str, Any]:
    return {"UserName": name, **members}


def attached(*arns: str) -> list[dict[str, str]]:
    return [{"PolicyArn": arn, "PolicyName": arn.rsplit("/", 1)[-1]} for arn in arns]


def a_policy(document: Any, *, default: bool = True) -> dict[str, Any]:
    version = {"IsDefaultVersion": default, "Document": document}
    return {"Arn": LOCAL, "PolicyVersionList": [version]}


def with_policy(arn: str) -> dict[str, Any]:
    return {"AttachedManagedPolicies": attached(arn)}


INLINE = [{"PolicyName": "p", "PolicyDocument": a_document(ALL)}]
IN_OPS = {"GroupList": ["ops"]}


@pytest.mark.parametrize(
    ("members", "policies", "groups", "admin"),
    [
        ({}, [], [], False),
        (with_policy("arn:aws:iam::aws:policy/AdministratorAccess"), [], [], True),
        (with_policy("arn:aws-cn:iam::aws:policy/AdministratorAccess"), [], [], True),
        (with_policy("arn:aws:iam::aws:policy/PowerUserAccess"), [], [], False),
        (with_policy("arn:aws:iam::1:policy/AdministratorAccess"), [], [], None),
        (with_policy(LOCAL), [a_policy(a_document(ALL))], [], True),
        (with_policy(LOCAL), [a_policy(a_document(ALL), default=False)], [], None),
        ({"UserPolicyList": INLINE}, [], [], True),
        (IN_OPS, [], [{"GroupName": "ops", "GroupPolicyList": INLINE}], True),
        (IN_OPS, [], [{"GroupName": "ops"}], False),
        (IN_OPS, [], [], None),
    ],
)
def test_administrators_are_found_directly_and_through_groups(
    members: dict[str, Any], policies: list[Any], groups: list[Any], admin: bool | None
) -> None:
    """None: it can't be told."""
    pages = [
        {"UserDetailList": [a_detail(**members)]},
        {"GroupDetailList": groups, "Policies": policies},
    ]

    told = read(pages).admin

    assert isinstance(told, Unknown) if admin is None else told is admin


@pytest.mark.parametrize(
    ("arn", "quarantined"),
    [
        ("arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantine", True),
        ("arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2", True),
        ("arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3", True),
        ("arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV4", True),
        ("arn:aws-us-gov:iam::aws:policy/AWSCompromisedKeyQuarantineV5", True),
        ("arn:aws-cn:iam::aws:policy/AWSCompromisedKeyQuarantineStrict", True),
        ("arn:aws:iam::1:policy/AWSCompromisedKeyQuarantineV3", False),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", False),
    ],
)
def test_a_quarantine_policy_counts_only_where_it_is_awss_own(arn: str, quarantined: bool) -> None:
    page = {"UserDetailList": [a_detail(AttachedManagedPolicies=attached(arn))]}

    assert read([page]).quarantined is quarantined


def test_tags_groups_and_policies_are_told() -> None:
    page = {
        "UserDetailList": [
            a_detail(
                Tags=[{"Key": "team", "Value": "a"}],
                GroupList=["ops"],
                AttachedManagedPolicies=attached(LOCAL),
            )
        ],
        "GroupDetailList": [
            {"GroupName": "ops", "GroupPolicyList": [{"PolicyName": "p", "PolicyDocument": {}}]}
        ],
    }

    amy = read([page])

    assert amy.tags == {"team": "a"}
    assert amy.groups == ("ops",)
    assert amy.policies == (LOCAL, "p")


@pytest.mark.parametrize(
    "broken", [{"Tags": [{"Value": "x"}]}, {"GroupList": [None]}, {"UserPolicyList": [{}]}]
)
def test_a_user_that_cannot_be_read_costs_no_other_user(broken: dict[str, Any]) -> None:
    page = {"UserDetailList": [a_detail(**broken), a_detail() | {"UserName": "bob"}]}

    assert isinstance(digest([page])["amy"], Unknown)
    assert read([page], "bob").admin is False


@pytest.mark.parametrize("absent", [{"Tags": None}, {"GroupList": None}, {"UserPolicyList": None}])
def test_a_list_that_is_null_is_empty(absent: dict[str, Any]) -> None:
    assert read([{"UserDetailList": [a_detail(**absent)]}]).groups == ()


def test_a_tag_without_a_value_has_an_empty_one() -> None:
    assert read([{"UserDetailList": [a_detail(Tags=[{"Key": "team"}])]}]).tags == {"team": ""}
