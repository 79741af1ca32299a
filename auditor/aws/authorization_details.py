"""GetAccountAuthorizationDetails: tags, groups and policies of all users in a few pages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict

from auditor.aws.bounds import named
from auditor.model.unknown import NOT_IN_ANSWER, UNREADABLE, Known, Unknown
from auditor.ports import UserDetails

OPERATION = "iam:GetAccountAuthorizationDetails"
FILTERS = ["User", "Group", "LocalManagedPolicy"]

_AWS_ADMINISTRATOR = re.compile(r"arn:[^:]+:iam::aws:policy/AdministratorAccess")
"""The one policy of AWS's own that allows everything."""
_QUARANTINE = re.compile(r"arn:[^:]+:iam::aws:policy/(?:[^/]+/)*AWSCompromisedKeyQuarantine[^/]*")
_AWS_MANAGED = re.compile(r"arn:[^:]+:iam::aws:policy/.*")
_UNREADABLE = Unknown(operation=OPERATION, code=NOT_IN_ANSWER)
_UNREADABLE_USER = Unknown(operation=OPERATION, code=UNREADABLE)
_MEMBERSHIPS = 256
"""Combinations of policies and groups remembered at a time."""

Item = Mapping[str, Any]


def is_quarantine(arn: str) -> bool:
    """Whether it is one of the policies that AWS attaches to users with exposed keys.

    By the prefix of its name: AWS adds versions (V2, V3, V4) without notice.
    """
    return _QUARANTINE.fullmatch(arn) is not None


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
        self._unread: set[str] = set()
        self._groups: dict[str, _Holder] = {}
        self._powerful: dict[str, Known[bool]] = {}
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Groups, each once: most users are in those of others."""

    def add(self, page: Item) -> None:
        """Take a page in; raise LookupError where it lacks what it must have.

        Raises ValueError for a name that is too long to be one.
        """
        for user in _list(page, "UserDetailList"):
            self._add_user(named(user["UserName"]), user)
        for group in _list(page, "GroupDetailList"):
            self._groups[named(group["GroupName"])] = _holder(group, "GroupPolicyList")
        for policy in _list(page, "Policies"):
            self._powerful[policy["Arn"]] = _default_version(policy)

    def _add_user(self, name: str, user: Item) -> None:
        """Keep what a user has; of one that can't be read nothing is known, others lose nothing."""
        try:
            groups = tuple(sorted(map(named, user.get("GroupList") or ())))
            tags = {named(tag["Key"]): named(tag.get("Value") or "") for tag in _list(user, "Tags")}
            self._users[name] = (_holder(user, "UserPolicyList"), groups, tags)
        except (AttributeError, LookupError, TypeError, ValueError):
            self._unread.add(name)

    def users(self) -> dict[str, Known[UserDetails]]:
        """Return what all pages together tell of each user, by user name."""
        rights = lru_cache(_MEMBERSHIPS)(self._rights)
        read: dict[str, Known[UserDetails]] = {
            name: UserDetails(tags=tags, groups=self._once(groups), **rights(own, groups))
            for name, (own, groups, tags) in self._users.items()
        }
        return read | dict.fromkeys(self._unread, _UNREADABLE_USER)

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
            "quarantined": any(map(is_quarantine, own.attached)),
        }

    def _once(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return self._same.setdefault(names, names)


def digest(pages: Iterable[Item]) -> dict[str, Known[UserDetails]]:
    """Return what the answer's pages tell of each user, by user name."""
    whole = Digest()
    for page in pages:
        whole.add(page)
    return whole.users()


def _list(item: Item, name: str) -> Iterable[Any]:
    """Return a list of an answer; an empty one where it is absent or null."""
    return item.get(name) or ()


def _holder(item: Item, inline: str) -> _Holder:
    policies = _list(item, inline)
    return _Holder(
        attached=tuple(named(each["PolicyArn"]) for each in _list(item, "AttachedManagedPolicies")),
        inline=tuple(named(policy["PolicyName"]) for policy in policies),
        rights=tuple(allows_everything(policy.get("PolicyDocument")) for policy in policies),
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
    for version in _list(policy, "PolicyVersionList"):
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
