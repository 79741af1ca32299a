"""What the emulator knows beside moto's backends."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.organizations.models import organizations_backends

MANAGEMENT_ACCOUNT_ID = "123456789012"
"""The account moto takes unknown credentials to belong to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKey:
    """An access key of a root user; moto knows none."""

    active: bool
    created_at: datetime
    last_used_at: datetime | None = None
    service: str = "N/A"
    region: str = "N/A"


@dataclass(slots=True, kw_only=True)
class Report:
    """A credential report: what it says stays as it was when it was asked for."""

    content: str
    generated_at: datetime
    ready: bool = False


@dataclass(slots=True, kw_only=True)
class World:
    """The emulator's own state, which the corrections read and write."""

    clock: Callable[[], datetime]
    root_keys: dict[str, list[RootKey]] = field(default_factory=dict)
    denied_roles: set[str] = field(default_factory=set)
    security_hubs: set[tuple[str, str]] = field(default_factory=set)
    """Account and region of each that is enabled."""
    reports: dict[str, Report] = field(default_factory=dict)
    lists: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Numbers the lists that were begun, to slip in an empty page now and then."""


def backend(service: str, account_id: str, region: str = "aws") -> Any:
    """Return moto's backend of a service in one account; `aws` for one that is global."""
    return get_backend(service)[account_id][region]  # type: ignore[call-overload]


def empty_backends() -> None:
    """Forget every account, user and organization."""
    BackendDict.reset()
    organizations_backends.master_accounts.clear()  # moto's reset forgets to


def organization_of(account_id: str) -> Any | None:
    """Return the Organizations backend that the account belongs to, if any."""
    own = backend("organizations", account_id)
    if own.org:
        return own
    members = organizations_backends.master_accounts
    if account_id not in members:
        return None
    management_account_id, _ = members[account_id]
    return backend("organizations", management_account_id)


def account_of(organization: Any | None, account_id: str) -> Any | None:
    """Return the organization's entry for the account, if it has one."""
    if organization is None:
        return None
    return next((entry for entry in organization.accounts if entry.id == account_id), None)


def caller_arn(access_key_id: str, account_id: str, region: str) -> str:
    """Return who signed, as GetCallerIdentity tells it."""
    _, arn, _ = backend("sts", account_id).get_caller_identity(access_key_id, region)
    return str(arn)
