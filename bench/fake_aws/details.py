"""GetAccountAuthorizationDetails: users with tags, groups and policies, in pages."""

import json
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from bench.fake_aws.answers import members
from bench.fake_aws.paging import LONG_ANSWERS, page, token
from bench.fake_aws.world import World, account_id

_TEAMS = ("payments", "search", "platform")
_READ_ONLY = ("ReadOnlyAccess", "arn:aws:iam::aws:policy/ReadOnlyAccess")
_ADMINISTRATOR = ("AdministratorAccess", "arn:aws:iam::aws:policy/AdministratorAccess")
_QUARANTINE = (
    "AWSCompromisedKeyQuarantineV2",
    "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2",
)
_STATEMENT = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
_DOCUMENT = quote(json.dumps({"Version": "2012-10-17", "Statement": [_STATEMENT]}))
_MADE = "<CreateDate>2024-01-02T03:04:05Z</CreateDate>"


def authorization_details(world: World, account: int, form: Mapping[str, str]) -> str:
    """Answer GetAccountAuthorizationDetails; groups and policies are on the first page."""
    wanted = {value for name, value in form.items() if name.startswith("Filter.")}
    numbers, following = page(form, world.users)
    users = _users(world, account, numbers) if _in("User", wanted) else ""
    first = "Marker" not in form
    groups = _groups(account) if first and _in("Group", wanted) else ""
    policies = _policy(account) if first and _in("LocalManagedPolicy", wanted) else ""
    return (
        f"<UserDetailList>{users}</UserDetailList>"
        f"<GroupDetailList>{groups}</GroupDetailList><RoleDetailList/>"
        f"<Policies>{policies}</Policies>{token(following)}"
    )


def _in(kind: str, wanted: set[str]) -> bool:
    return not wanted or kind in wanted


@lru_cache(maxsize=LONG_ANSWERS)
def _users(world: World, account: int, numbers: range) -> str:
    return members([_user(world, account, number) for number in numbers])


def _user(world: World, account: int, number: int) -> str:
    person = world.person(account, number)
    owner = account_id(account)
    groups = ["developers", *(["operators"] if number % 10 == 0 else [])]
    policies = [
        _READ_ONLY,
        *([("deploy", f"arn:aws:iam::{owner}:policy/deploy")] if number % 4 == 0 else []),
        *([_ADMINISTRATOR] if person.admin else []),
        *([_QUARANTINE] if person.quarantined else []),
    ]
    return (
        f"<Path>/</Path><UserName>{person.name}</UserName>"
        f"<UserId>AIDAFAKE{account:06}{number:07}</UserId>"
        f"<Arn>arn:aws:iam::{owner}:user/{person.name}</Arn>"
        f"<CreateDate>{person.created}</CreateDate><UserPolicyList/>"
        f"<GroupList>{members(groups)}</GroupList>"
        f"<AttachedManagedPolicies>{_attached(*policies)}</AttachedManagedPolicies>"
        f"<Tags><member><Key>team</Key><Value>{_TEAMS[number % 3]}</Value></member></Tags>"
    )


def _attached(*policies: tuple[str, str]) -> str:
    return members(
        [f"<PolicyName>{name}</PolicyName><PolicyArn>{arn}</PolicyArn>" for name, arn in policies]
    )


def _groups(account: int) -> str:
    inline = members([f"<PolicyName>own</PolicyName><PolicyDocument>{_DOCUMENT}</PolicyDocument>"])
    return members(
        [
            f"<Path>/</Path><GroupName>{name}</GroupName><GroupId>AGPAFAKE{name.upper()}</GroupId>"
            f"<Arn>arn:aws:iam::{account_id(account)}:group/{name}</Arn>{_MADE}"
            f"<GroupPolicyList>{inline}</GroupPolicyList>"
            f"<AttachedManagedPolicies>{_attached(_READ_ONLY)}</AttachedManagedPolicies>"
            for name in ("developers", "operators")
        ]
    )


def _policy(account: int) -> str:
    version = members(
        [
            f"<Document>{_DOCUMENT}</Document><VersionId>v1</VersionId>"
            f"<IsDefaultVersion>true</IsDefaultVersion>{_MADE}"
        ]
    )
    return members(
        [
            "<PolicyName>deploy</PolicyName><PolicyId>ANPAFAKEDEPLOY000000</PolicyId>"
            f"<Arn>arn:aws:iam::{account_id(account)}:policy/deploy</Arn><Path>/</Path>"
            f"<DefaultVersionId>v1</DefaultVersionId>{_MADE}"
            f"<PolicyVersionList>{version}</PolicyVersionList>"
        ]
    )
