"""Access keys and what is known of their use."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, TypeAlias

from auditor.model.unknown import Unknown

AccessKeyId = NewType("AccessKeyId", str)


class KeyStatus(StrEnum):
    """`Status` of an access key; only an active one signs requests."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"
    EXPIRED = "Expired"
    UNKNOWN = "Unknown"  # ours: AWS said nothing of it, or what this version does not know


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Used at least once since AWS began to record uses (2015-04-22)."""

    at: datetime
    """In UTC; AWS records one use in 15 minutes, and with delay."""
    service: str
    region: str
    """`N/A` for services without regions; that does not mean unused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverUsed:
    """AWS answered and has no use on record: none since 2015-04-22."""


LastUse: TypeAlias = Used | NeverUsed | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """One long-lived credential, as AWS described it at inventory time."""

    id: AccessKeyId | None
    """None for a root key: no operation gives its id."""
    slot: int | None = None
    """1 or 2, the credential report's column, where the id is not known; None where neither is."""
    status: KeyStatus
    created_at: datetime | None
    """In UTC; None where the credential report gives no date for a root key."""
    last_use: LastUse
    """Used, NeverUsed, or Unknown with the reason; never a None that could mean either."""

    @property
    def active(self) -> bool:
        """Whether the key is known to be able to sign requests."""
        return self.status is KeyStatus.ACTIVE
