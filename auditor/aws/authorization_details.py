"""GetAccountAuthorizationDetails: tags, groups and policies of all users in a few pages."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from auditor.model.unknown import NOT_IN_ANSWER, Known, Unknown
from auditor.ports import UserDetails

OPERATION = "iam:GetAccountAuthorizationDetails"
FILTERS = ["User", "Group", "LocalManagedPolicy"]

_AWS_ADMINISTRATOR = re.compile(r"arn:[^:]+:iam::aws:policy/AdministratorAccess")
"""The one policy of AWS's own that allows everything."""
_QUARANTINE = re.compile(r"arn:[^:]+:iam::aws:policy/AWSCompromisedKeyQuarantine(V\d+)?")
_AWS_MANAGED = re.compile(r"arn:[^:]+:iam::aws:policy/.*")
_UNREADABLE = Unknown(operation=OPERATION, code=NOT_IN_ANSWER)

Item = Mapping[str, Any]


def quarantine_policies(partition: str) -> list[str]:
    """Return the ARNs of the policies that AWS attaches to users with exposed keys."""
    names = ("AWSCompromisedKeyQuarantine", "AWSCompromisedKeyQuarantineV2",
             "AWSCompromisedKeyQuarantineV3")  # fmt: skip
    return [f"arn:{partition}:iam::aws:policy/{name}" for name in names]


def digest(pages: Iterable[Item]) -> dict[str, UserDetails]:
    """Return what the answer's pages tell of each user, by user name."""
    users: list[Item] = []
    groups: dict[str, Item] = {}
    powerful: dict[str, Known[bool]] = {}
    for page in pages:
        users.extend(page.get("UserDetailList", ()))
        groups |= {group["GroupName"]: group for group in page.get("GroupDetailList", ())}
        powerful |= {policy["Arn"]: _default_version(policy) for policy in page.get("Policies", ())}
    return {user["UserName"]: _details(user, groups, powerful) for user in users}


def _details(
    user: Item, groups: Mapping[str, Item], powerful: Mapping[str, Known[bool]]
) -> UserDetails:
    names = tuple(sorted(user.get("GroupList", ())))
    holders = [user, *(groups[name] for name in names if name in groups)]
    attached = [arn for holder in holders for arn in _attached(holder)]
    inline = [
        policy
        for holder in holders
        for kind in ("UserPolicyList", "GroupPolicyList")
        for policy in holder.get(kind, ())
    ]
    rights = [
        *(_managed(arn, powerful) for arn in attached),
        *(allows_everything(policy["PolicyDocument"]) for policy in inline),
        *(_UNREADABLE for name in names if name not in groups),
    ]
    return UserDetails(
        tags={tag["Key"]: tag["Value"] for tag in user.get("Tags", ())},
        groups=names,
        policies=tuple(sorted({*attached, *(policy["PolicyName"] for policy in inline)})),
        admin=_any(rights),
        quarantined=any(_QUARANTINE.fullmatch(arn) for arn in _attached(user)),
    )


def allows_everything(document: object) -> Known[bool]:
    """Whether some statement allows every action on every resource without a condition.

    `document` is a decoded policy document; what is not one is unknown.
    """
    if not isinstance(document, Mapping):
        return _UNREADABLE
    statements = document.get("Statement", [])
    return any(
        isinstance(each, Mapping)
        and each.get("Effect") == "Allow"
        and not each.get("Condition")
        and {"*", "*:*"} & _texts(each.get("Action"))
        and "*" in _texts(each.get("Resource"))
        for each in (statements if isinstance(statements, list) else [statements])
    )


def _texts(value: object) -> set[object]:
    return set(value) if isinstance(value, list) else {value}


def _attached(holder: Item) -> list[str]:
    return [policy["PolicyArn"] for policy in holder.get("AttachedManagedPolicies", ())]


def _managed(arn: str, powerful: Mapping[str, Known[bool]]) -> Known[bool]:
    if _AWS_MANAGED.fullmatch(arn):
        return bool(_AWS_ADMINISTRATOR.fullmatch(arn))
    return powerful.get(arn, _UNREADABLE)


def _default_version(policy: Item) -> Known[bool]:
    for version in policy.get("PolicyVersionList", ()):
        if version.get("IsDefaultVersion"):
            return allows_everything(version.get("Document"))
    return _UNREADABLE


def _any(rights: Iterable[Known[bool]]) -> Known[bool]:
    """Return True if one is true, else Unknown if one is unknown, else False."""
    unknown: Unknown | None = None
    for right in rights:
        if right is True:
            return True
        if isinstance(right, Unknown):
            unknown = right
    return False if unknown is None else unknown
