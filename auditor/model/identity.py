"""Identities that can own access keys: IAM users and the root user."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auditor.model.tags import values_of
from auditor.model.unknown import Known

ROOT_USER_NAME = "<root_account>"
"""The credential report's name for the root user; no IAM user can be called so."""
OWNER_TAG = "owner"
"""The tag, in any case, that says who answers for a user."""


def owner_of(tags: Mapping[str, str]) -> str | None:
    """Return what the user's tag `Owner` says; None where it says nothing.

    Where several spellings of it say different things, all of them are told.
    """
    said = {value.strip() for value in values_of(tags, OWNER_TAG)}
    return ", ".join(sorted(filter(None, said))) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class IamUser:
    """One entry of ListUsers."""

    name: str
    arn: str
    path: str
    created_at: datetime
    id: str = ""
    """`UserId`, which a renamed user keeps; empty where the answer lacks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An IAM user or the root user, with what the enrichment could learn."""

    name: str
    arn: str
    path: str
    created_at: datetime | None
    root: bool
    password_enabled: Known[bool]
    mfa: Known[bool]
    tags: Known[Mapping[str, str]] = field(hash=False)
    groups: Known[tuple[str, ...]]
    policies: Known[tuple[str, ...]]
    """ARNs of managed and names of inline policies, attached directly or through a group."""
    admin: Known[bool]
    """Whether some policy allows every action on every resource without a condition."""
    quarantined: Known[bool]
    """Whether AWS attached an AWSCompromisedKeyQuarantine policy to the user."""
