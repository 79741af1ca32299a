"""IAM: what is asked of one account, which is known by its number."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from bench.fake_aws.answers import RefusedError, members, no_such_entity
from bench.fake_aws.details import authorization_details
from bench.fake_aws.paging import LONG_ANSWERS, page, token
from bench.fake_aws.world import (
    World,
    account_id,
    key_count,
    key_owner,
    root_has_key,
    user_name,
    user_number,
)

Form = Mapping[str, str]
Handler = Callable[[World, int, Form], str]

_KEY_FIELDS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
COLUMNS = (
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used"),
    *("password_last_changed", "password_next_rotation", "mfa_active"),
    *(f"access_key_{slot}_{name}" for slot in (1, 2) for name in _KEY_FIELDS),
    *(f"cert_{slot}_{name}" for slot in (1, 2) for name in ("active", "last_rotated")),
)
_UNSET = "false,N/A,N/A,N/A"
_NO_KEY = "false,N/A,N/A,N/A,N/A"
_ROOT_KEY = "true,2024-01-02T03:04:05Z,2025-06-07T08:09:10Z,us-east-1,s3"
_CERTIFICATES = "false,N/A,false,N/A"


def list_users(world: World, account: int, form: Form) -> str:
    """Answer ListUsers."""
    numbers, following = page(form, world.users)
    return f"<Users>{_users(world, account, numbers)}</Users>{token(following)}"


def get_user(world: World, account: int, form: Form) -> str:
    """Answer GetUser."""
    return f"<User>{_user(world, account, _asked(world, form))}</User>"


def list_access_keys(world: World, account: int, form: Form) -> str:
    """Answer ListAccessKeys."""
    name = form.get("UserName", "")
    keys = "".join(
        f"<member><UserName>{name}</UserName><AccessKeyId>{key.id}</AccessKeyId><Status>"
        f"{'Active' if key.active else 'Inactive'}</Status><CreateDate>{key.created}</CreateDate>"
        "</member>"
        for key in world.keys(account, _asked(world, form))
    )
    return (
        f"<UserName>{name}</UserName><AccessKeyMetadata>{keys}</AccessKeyMetadata>"
        "<IsTruncated>false</IsTruncated>"
    )


def get_access_key_last_used(world: World, account: int, form: Form) -> str:
    """Answer GetAccessKeyLastUsed; a key of another account is denied, as by AWS."""
    owner = key_owner(form.get("AccessKeyId", ""))
    if owner is None or owner[0] != account or owner[2] >= key_count(owner[1]):
        raise RefusedError(
            403, "AccessDenied", "not authorized to perform: iam:GetAccessKeyLastUsed"
        )
    key = world.key(*owner)
    at = f"<LastUsedDate>{key.last_used}</LastUsedDate>" if key.last_used else ""
    return (
        f"<UserName>{user_name(owner[1])}</UserName><AccessKeyLastUsed>{at}"
        f"<ServiceName>{key.service}</ServiceName><Region>{key.region}</Region>"
        "</AccessKeyLastUsed>"
    )


def generate_credential_report(_world: World, _account: int, _form: Form) -> str:
    """Answer GenerateCredentialReport: there always is one."""
    return "<State>COMPLETE</State>"


def get_credential_report(world: World, account: int, _form: Form) -> str:
    """Answer GetCredentialReport."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"<Content>{_report(world, account)}</Content><ReportFormat>text/csv</ReportFormat>"
        f"<GeneratedTime>{now}</GeneratedTime>"
    )


def get_account_summary(world: World, account: int, _form: Form) -> str:
    """Answer GetAccountSummary."""
    numbers = {
        "Users": world.users,
        "AccountAccessKeysPresent": int(root_has_key(account)),
        "AccountMFAEnabled": 1,
    }
    entries = "".join(
        f"<entry><key>{name}</key><value>{value}</value></entry>" for name, value in numbers.items()
    )
    return f"<SummaryMap>{entries}</SummaryMap>"


def get_login_profile(world: World, account: int, form: Form) -> str:
    """Answer GetLoginProfile."""
    person = world.person(account, _asked(world, form))
    if not person.password:
        raise no_such_entity(f"Login Profile for User {person.name}")
    return (
        f"<LoginProfile><UserName>{person.name}</UserName><CreateDate>{person.created}</CreateDate>"
        "<PasswordResetRequired>false</PasswordResetRequired></LoginProfile>"
    )


def list_entities_for_policy(world: World, account: int, form: Form) -> str:
    """Answer ListEntitiesForPolicy: only the quarantine's V2 is attached to anyone."""
    users = []
    if form.get("PolicyArn", "").endswith("AWSCompromisedKeyQuarantineV2"):
        people = (world.person(account, number) for number in range(world.users))
        users = [f"<UserName>{each.name}</UserName>" for each in people if each.quarantined]
    return (
        f"<PolicyGroups/><PolicyUsers>{members(users)}</PolicyUsers><PolicyRoles/>"
        "<IsTruncated>false</IsTruncated>"
    )


def _empty(member: str) -> Handler:
    def answer(_world: World, _account: int, _form: Form) -> str:
        return f"<{member}/><IsTruncated>false</IsTruncated>"

    return answer


OPERATIONS: Mapping[str, Handler] = {
    "ListUsers": list_users,
    "GetUser": get_user,
    "ListAccessKeys": list_access_keys,
    "GetAccessKeyLastUsed": get_access_key_last_used,
    "GenerateCredentialReport": generate_credential_report,
    "GetCredentialReport": get_credential_report,
    "GetAccountAuthorizationDetails": authorization_details,
    "GetAccountSummary": get_account_summary,
    "GetLoginProfile": get_login_profile,
    "ListEntitiesForPolicy": list_entities_for_policy,
    # What other tools ask for on their way; nothing of it is here.
    "ListAccountAliases": _empty("AccountAliases"),
    "ListAttachedUserPolicies": _empty("AttachedPolicies"),
    "ListGroups": _empty("Groups"),
    "ListGroupsForUser": _empty("Groups"),
    "ListMFADevices": _empty("MFADevices"),
    "ListPolicies": _empty("Policies"),
    "ListRoles": _empty("Roles"),
    "ListSAMLProviders": _empty("SAMLProviderList"),
    "ListServerCertificates": _empty("ServerCertificateMetadataList"),
    "ListUserPolicies": _empty("PolicyNames"),
    "ListUserTags": _empty("Tags"),
    "ListVirtualMFADevices": _empty("VirtualMFADevices"),
}


def _asked(world: World, form: Form) -> int:
    name = form.get("UserName", "")
    number = user_number(name)
    if number is None or number >= world.users:
        raise no_such_entity(f"user with name {name}")
    return number


@lru_cache(maxsize=LONG_ANSWERS)
def _users(world: World, account: int, numbers: range) -> str:
    return members([_user(world, account, number) for number in numbers])


def _user(world: World, account: int, number: int) -> str:
    name = user_name(number)
    return (
        f"<Path>/</Path><UserName>{name}</UserName><UserId>AIDAFAKE{account:06}{number:07}</UserId>"
        f"<Arn>arn:aws:iam::{account_id(account)}:user/{name}</Arn>"
        f"<CreateDate>{world.user_created(account, number)}</CreateDate>"
    )


@lru_cache(maxsize=LONG_ANSWERS)
def _report(world: World, account: int) -> str:
    """Return the credential report of an account, in base64."""
    arn = f"arn:aws:iam::{account_id(account)}"
    root = _ROOT_KEY if root_has_key(account) else _NO_KEY
    rows = [
        ",".join(COLUMNS),
        f"<root_account>,{arn}:root,2020-01-02T03:04:05Z,not_supported,2025-01-02T03:04:05Z,"
        f"not_supported,not_supported,true,{root},{_NO_KEY},{_CERTIFICATES}",
    ]
    rows.extend(_row(world, account, number, arn) for number in range(world.users))
    return b64encode("\n".join(rows).encode()).decode()


def _row(world: World, account: int, number: int, arn: str) -> str:
    person = world.person(account, number)
    password = f"true,no_information,{person.created},N/A" if person.password else _UNSET
    keys = [
        f"{str(key.active).lower()},{key.created},{key.last_used or 'N/A'},{key.region},"
        f"{key.service}"
        for key in world.keys(account, number)
    ]
    slots = ",".join([*keys, _NO_KEY, _NO_KEY][:2])
    return (
        f"{person.name},{arn}:user/{person.name},{person.created},{password},"
        f"{str(number % 4 == 0).lower()},{slots},{_CERTIFICATES}"
    )
