"""GetAccountAuthorizationDetails: tags, groups and policies of all users in a few pages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict

from auditor.aws.bounds import named
from auditor.model.unknown import NOT_IN_ANSWER, Known, Unknown
from auditor.ports import UserDetails

OPERATION = "iam:GetAccountAuthorizationDetails"
FILTERS = ["User", "Group", "LocalManagedPolicy"]

_AWS_ADMINISTRATOR = re.compile(r"arn:[^:]+:iam::aws:policy/AdministratorAccess")
"""The one policy of AWS's own that allows everything."""
_QUARANTINE = re.compile(r"arn:[^:]+:iam::aws:policy/AWSCompromisedKeyQuarantine(V\d+)?")
_AWS_MANAGED = re.compile(r"arn:[^:]+:iam::aws:policy/.*")
_UNREADABLE = Unknown(operation=OPERATION, code=NOT_IN_ANSWER)
_MEMBERSHIPS = 256
"""Combinations of policies and groups remembered at a time."""

Item = Mapping[str, Any]


def quarantine_policies(partition: str) -> list[str]:
    """Return the ARNs of the policies that AWS attaches to users with exposed keys."""
    names = ("AWSCompromisedKeyQuarantine", "AWSCompromisedKeyQuarantineV2",
             "AWSCompromisedKeyQuarantineV3")  # fmt: skip
    return [f"arn:{partition}:iam::aws:policy/{name}" for name in names]


@dataclass(frozen=True, slots=True)
class _Holder:
    """What a user or group has of its own; policies are kept as what they allow."""

    attached: tuple[str, ...]
    inline: tuple[str, ...]
    """The names of inline policies."""
    rights: tuple[Known[bool], ...]
    """Of each inline policy, whether it allows everything."""


class _Rights(TypedDict):
    """The part of UserDetails that follows from policies and groups."""

    policies: tuple[str, ...]
    admin: Known[bool]
    quarantined: bool


class Digest:
    """What the pages of an answer tell, page by page: no policy document is kept."""

    def __init__(self) -> None:
        self._users: dict[str, tuple[_Holder, tuple[str, ...], dict[str, str]]] = {}
        self._groups: dict[str, _Holder] = {}
        self._powerful: dict[str, Known[bool]] = {}
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Groups, each once: most users are in those of others."""

    def add(self, page: Item) -> None:
        """Take a page in; raise LookupError where it lacks what it must have.

        Raises ValueError for a name that is too long to be one.
        """
        for user in page.get("UserDetailList", ()):
            groups = tuple(sorted(map(named, user.get("GroupList", ()))))
            tags = {named(tag["Key"]): named(tag["Value"]) for tag in user.get("Tags", ())}
            self._users[named(user["UserName"])] = (_holder(user, "UserPolicyList"), groups, tags)
        for group in page.get("GroupDetailList", ()):
            self._groups[named(group["GroupName"])] = _holder(group, "GroupPolicyList")
        for policy in page.get("Policies", ()):
            self._powerful[policy["Arn"]] = _default_version(policy)

    def users(self) -> dict[str, UserDetails]:
        """Return what all pages together tell of each user, by user name."""
        rights = lru_cache(_MEMBERSHIPS)(self._rights)
        return {
            name: UserDetails(tags=tags, groups=self._once(groups), **rights(own, groups))
            for name, (own, groups, tags) in self._users.items()
        }

    def _rights(self, own: _Holder, names: tuple[str, ...]) -> _Rights:
        """Return what a user with these policies in these groups may do: few differ in it."""
        holders = [own, *(self._groups[name] for name in names if name in self._groups)]
        attached = [arn for holder in holders for arn in holder.attached]
        rights = [
            *(_managed(arn, self._powerful) for arn in attached),
            *(right for holder in holders for right in holder.rights),
            *(_UNREADABLE for name in names if name not in self._groups),
        ]
        inline = (name for holder in holders for name in holder.inline)
        return {
            "policies": tuple(sorted({*attached, *inline})),
            "admin": _any(rights),
            "quarantined": any(_QUARANTINE.fullmatch(arn) for arn in own.attached),
        }

    def _once(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return self._same.setdefault(names, names)


def digest(pages: Iterable[Item]) -> dict[str, UserDetails]:
    """Return what the answer's pages tell of each user, by user name."""
    whole = Digest()
    for page in pages:
        whole.add(page)
    return whole.users()


def _holder(item: Item, inline: str) -> _Holder:
    policies = item.get(inline, ())
    return _Holder(
        attached=tuple(
            named(each["PolicyArn"]) for each in item.get("AttachedManagedPolicies", ())
        ),
        inline=tuple(named(policy["PolicyName"]) for policy in policies),
        rights=tuple(allows_everything(policy["PolicyDocument"]) for policy in policies),
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
