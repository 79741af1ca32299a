"""What was read of one account, or why not."""

from dataclasses import dataclass
from datetime import datetime

from auditor.model.access_key import AccessKey
from auditor.model.account import Account, OutcomeKind, Via
from auditor.model.identity import Identity
from auditor.model.unknown import Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadError:
    """One call that AWS refused or failed."""

    operation: str
    code: str
    message: str
    subject: str | None = None
    """The user or access key it was about; None for the account as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInventory:
    """One identity and all of its keys."""

    identity: Identity
    keys: tuple[AccessKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInventory:
    """One account, read as far as it could be."""

    account: Account
    outcome: OutcomeKind
    via: Via | None = None
    """None where no credentials could be had."""
    role_arn: str | None = None
    credential_report_at: datetime | None = None
    root_keys_unknown: Unknown | None = None
    """Why it is not known whether the root user has an active key; None where it is."""
    users: tuple[UserInventory, ...] = ()
    """In order of the user name; the root user, where known, among them."""
    errors: tuple[ReadError, ...] = ()
