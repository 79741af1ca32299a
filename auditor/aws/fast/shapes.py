"""The wanted members of IAM's answers, as the service model names and types them.

A member that the model gives a date or a number is here even where nobody reads it: what can't be
converted makes the whole answer malformed, as it does for the SDK.
"""

import base64
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from botocore.utils import parse_timestamp

_MOST_TAGS = 32
"""Remembered of one element: an answer could have any number of namespaces."""
_ZULU_LENGTH = len("2026-01-02T03:04:05Z")


Places: TypeAlias = Mapping[Element, int]
"""The elements whose texts differ between documents with the same markup; where each has its."""
Read: TypeAlias = Callable[[Sequence[str]], Any]
"""Reads a document of which the markup is known, from those texts."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """An element with text; `convert` raises ValueError for text that is none of its kind."""

    convert: Callable[[str], Any]

    def read(self, element: Element) -> Any:
        """Return its value; text after an element within it is not the SDK's either."""
        return self.convert(element.text or "")

    def reader(self, element: Element, places: Places) -> Read:
        """Return what does the same for each document with this markup."""
        convert, text = self.convert, element.text or ""
        if element not in places:
            return lambda _: convert(text)
        at = places[element]
        return lambda texts: convert(texts[at])


@dataclass(frozen=True, slots=True, eq=False)
class Struct:
    """An element with members, each at most once; others are skipped."""

    members: Mapping[str, "Shape"]
    _by_tag: dict[str, "tuple[str, Shape] | None"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Members by tags that were met: with their namespace, of which there is one as a rule."""

    def read(self, element: Element) -> dict[str, Any]:
        """Return the wanted members; raise ValueError where one repeats."""
        found: dict[str, Any] = {}
        by_tag = self._by_tag
        for child in element:
            tag = child.tag
            member = by_tag[tag] if tag in by_tag else self._member(tag)
            if member is None:
                continue
            name, shape = member
            if name in found:
                raise ValueError("an element repeats")
            found[name] = shape.read(child)
        return found

    def reader(self, element: Element, places: Places) -> Read:
        """Return what does the same for each document with this markup, of which one was read."""
        met = ((self._member(child.tag), child) for child in element)
        readers = [(member[0], member[1].reader(child, places)) for member, child in met if member]
        return lambda texts: {name: read(texts) for name, read in readers}

    def _member(self, tag: str) -> "tuple[str, Shape] | None":
        name = tag[tag.rfind("}") + 1 :]  # its namespace comes first
        shape = self.members.get(name)
        member = None if shape is None else (name, shape)
        if len(self._by_tag) < _MOST_TAGS:
            self._by_tag[tag] = member
        return member


@dataclass(frozen=True, slots=True)
class Items:
    """An element whose children are items, whatever they are called."""

    item: "Shape"

    def read(self, element: Element) -> list[Any]:
        """Return the items."""
        return list(map(self.item.read, element))

    def reader(self, element: Element, places: Places) -> Read:
        """Return what does the same for each document with this markup."""
        readers = [self.item.reader(child, places) for child in element]
        return lambda texts: [read(texts) for read in readers]


@dataclass(frozen=True, slots=True)
class Entries:
    """An element whose children each have a `key` and a number as `value`, and nothing else."""

    def read(self, element: Element) -> dict[str, int]:
        """Return the numbers by key."""
        entries = list(map(_ENTRY.read, element))
        if any(len(child) > len(_ENTRY.members) for child in element):
            raise ValueError("a map has an unknown element")
        return _numbers(entries)

    def reader(self, element: Element, places: Places) -> Read:
        """Return what does the same for each document with this markup, of which one was read."""
        read = Items(_ENTRY).reader(element, places)
        return lambda texts: _numbers(read(texts))


Shape: TypeAlias = Scalar | Struct | Items | Entries


def _numbers(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return {entry["key"]: entry["value"] for entry in entries}


def moment(text: str) -> datetime:
    """Return the instant that a timestamp in any of AWS's forms means; raise ValueError."""
    if len(text) == _ZULU_LENGTH and text[10] == "T" and text[19] == "Z" and text.isascii():
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # the SDK may still make something of it
    try:
        parsed: datetime = parse_timestamp(text)
    except (RuntimeError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return parsed


def _document(text: str) -> object:
    """Return a policy document decoded, or the text where it is none, as the SDK does."""
    try:
        return json.loads(unquote(text))
    except ValueError:
        return text


_TEXT = Scalar(sys.intern)  # names and ARNs come in three answers, services in thousands
_FLAG, _NUMBER = Scalar(lambda text: text == "true"), Scalar(int)
_MOMENT, _DOCUMENT, _BLOB = Scalar(moment), Scalar(_document), Scalar(base64.b64decode)
_ENTRY = Struct({"key": _TEXT, "value": _NUMBER})
_PAGED: Mapping[str, Shape] = {"IsTruncated": _FLAG, "Marker": _TEXT}

_ATTACHED = Items(Struct({"PolicyArn": _TEXT}))
_INLINE = Items(Struct({"PolicyName": _TEXT, "PolicyDocument": _DOCUMENT}))
_USER_DETAIL = Struct(
    {
        "UserName": _TEXT,
        "CreateDate": _MOMENT,
        "UserPolicyList": _INLINE,
        "GroupList": Items(_TEXT),
        "AttachedManagedPolicies": _ATTACHED,
        "Tags": Items(Struct({"Key": _TEXT, "Value": _TEXT})),
    }
)
_GROUP_DETAIL = Struct(
    {
        "GroupName": _TEXT,
        "CreateDate": _MOMENT,
        "GroupPolicyList": _INLINE,
        "AttachedManagedPolicies": _ATTACHED,
    }
)
_POLICY_VERSION = Struct({"Document": _DOCUMENT, "IsDefaultVersion": _FLAG, "CreateDate": _MOMENT})
_POLICY = Struct(
    {
        "Arn": _TEXT,
        "AttachmentCount": _NUMBER,
        "PermissionsBoundaryUsageCount": _NUMBER,
        "CreateDate": _MOMENT,
        "UpdateDate": _MOMENT,
        "PolicyVersionList": Items(_POLICY_VERSION),
    }
)
_LISTED_POLICY = Struct(
    {
        "Arn": _TEXT,
        "AttachmentCount": _NUMBER,
        "PermissionsBoundaryUsageCount": _NUMBER,
        "CreateDate": _MOMENT,
        "UpdateDate": _MOMENT,
    }
)
_USER = Struct(
    {
        "Path": _TEXT,
        "UserName": _TEXT,
        "UserId": _TEXT,
        "Arn": _TEXT,
        "CreateDate": _MOMENT,
        "PasswordLastUsed": _MOMENT,
    }
)
_KEY = Struct({"UserName": _TEXT, "AccessKeyId": _TEXT, "Status": _TEXT, "CreateDate": _MOMENT})

RESULTS: Mapping[str, Struct] = {
    "GenerateCredentialReport": Struct({"State": _TEXT}),
    "GetAccessKeyLastUsed": Struct(
        {
            "UserName": _TEXT,
            "AccessKeyLastUsed": Struct(
                {"LastUsedDate": _MOMENT, "ServiceName": _TEXT, "Region": _TEXT}
            ),
        }
    ),
    "GetAccountAuthorizationDetails": Struct(
        {
            "UserDetailList": Items(_USER_DETAIL),
            "GroupDetailList": Items(_GROUP_DETAIL),
            "Policies": Items(_POLICY),
            **_PAGED,
        }
    ),
    "GetAccountSummary": Struct({"SummaryMap": Entries()}),
    "GetCredentialReport": Struct({"Content": _BLOB, "GeneratedTime": _MOMENT}),
    "GetLoginProfile": Struct({"LoginProfile": Struct({"UserName": _TEXT, "CreateDate": _MOMENT})}),
    "ListAccessKeys": Struct({"AccessKeyMetadata": Items(_KEY), **_PAGED}),
    "ListEntitiesForPolicy": Struct({"PolicyUsers": Items(Struct({"UserName": _TEXT})), **_PAGED}),
    "ListPolicies": Struct({"Policies": Items(_LISTED_POLICY), **_PAGED}),
    "ListUsers": Struct({"Users": Items(_USER), **_PAGED}),
}
"""What is read of each operation's result; no operation that is not here can be sent."""

_ERROR = Struct({"Code": _TEXT, "Message": _TEXT})
ERROR = Struct({"Error": _ERROR, "Errors": Struct({"Error": _ERROR})})
"""The document of an error, whose root has various names."""
