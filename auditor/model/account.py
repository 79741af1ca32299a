"""AWS accounts: whom to audit and how each one ended."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from auditor.model.unknown import Unknown

AccountId = NewType("AccountId", str)

_ACCOUNT_ID = re.compile(r"[0-9]{12}")


def parse_account_id(text: str) -> AccountId:
    """Return the 12-digit id; raise ValueError for anything else."""
    if not _ACCOUNT_ID.fullmatch(text):
        raise ValueError(f"{text!r} is not a 12-digit account id")
    return AccountId(text)


class AccountState(StrEnum):
    """`State` of an account in AWS Organizations (the successor of `Status`)."""

    PENDING_ACTIVATION = "PENDING_ACTIVATION"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    PENDING_CLOSURE = "PENDING_CLOSURE"
    CLOSED = "CLOSED"


EXCLUDED = "excluded"
"""Why an account is skipped that the operator leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One AWS account to audit, and what is known about reaching it."""

    id: AccountId
    name: str | None = None
    ou: str | None = None
    """Names from the organization's root down, joined by `/`: `Root/Workloads/Prod`."""
    state: AccountState | None = None
    tags: Mapping[str, str] | None = field(default=None, hash=False)
    role_arn: str | None = None
    external_id: str | None = None
    profile: str | None = None
    ou_unknown: Unknown | None = None
    """Why the OU is not known, where it was asked for."""
    tags_unknown: Unknown | None = None
    """Why the tags are not known, where they were asked for."""
    skip: str | None = None
    """Why it is not to be audited: `suspended`, `closed`, `excluded`."""


class Via(StrEnum):
    """Whose credentials read an account."""

    # Without a session policy of the operations asked for, the tool's own gateway holds alone.
    ROLE = "role"
    """An assumed role, under a session policy of just the operations that are asked for."""
    ROLE_SHORT_POLICY = "role-short-policy"
    """An assumed role, under a session policy of all that reads IAM: the other did not fit."""
    ROLE_NO_POLICY = "role-no-policy"
    """An assumed role, without a session policy: none fitted beside the caller's session tags."""
    CALLER = "caller"
    """The caller's or a profile's own credentials, without a session policy."""


class OutcomeKind(StrEnum):
    """How the audit of one account ended."""

    AUDITED = "audited"
    PARTIAL = "partial"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"
