"""From the items of LISTs to the accounts of a run."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from auditor.errors import (
    AuditError,
    AwsFailure,
    ConfigurationFailure,
    FailureKind,
    NothingAuditedError,
)
from auditor.model.account import EXCLUDED, Account, AccountId, AccountState
from auditor.model.permission import ORGANIZATION_ACTIONS
from auditor.model.unknown import Unknown
from auditor.ports import Caller, Organizations
from auditor.targets.file import PlacedAccount, read_placed
from auditor.targets.literal import Below, Item, Listed, Named, Self

_Files: TypeAlias = Mapping[Listed, list[PlacedAccount]]


async def resolve(
    include: Iterable[Item],
    exclude: Iterable[Item],
    *,
    caller: Caller,
    organizations: Organizations,
    facts: frozenset[str],
) -> list[Account]:
    """Return the accounts of a run in order of id, those to skip among them with the reason.

    `facts` are what the policies look at: `account.ou` and `account.tags` are asked for only
    where named, and stay unknown where AWS does not tell. Raises AuditError where the LISTs
    make no sense, contradict each other, or nothing active is left.
    """
    include, exclude = list(include), list(exclude)
    files = _read(include, caller)
    _check_same(listed for each in files.values() for listed in each)
    files |= _read(exclude, caller)
    found = await _expand(include, caller, organizations, files)
    dropped = await _expand(exclude, caller, organizations, files)
    accounts = [
        _with_skip(account, excluded=account.id in dropped)
        for account in sorted(found.values(), key=lambda account: account.id)
    ]
    if all(account.skip for account in accounts):
        raise _nothing_left(accounts)
    return await _enrich(accounts, organizations, facts)


def _read(items: Iterable[Item], caller: Caller) -> dict[Listed, list[PlacedAccount]]:
    return {
        item: read_placed(item.path, partition=caller.partition)
        for item in items
        if isinstance(item, Listed)
    }


async def _expand(
    items: Iterable[Item], caller: Caller, organizations: Organizations, files: _Files
) -> dict[AccountId, Account]:
    """Return the accounts by id; what several items say of one account is put together."""
    found: dict[AccountId, Account] = {}
    for item in items:
        async for account in _accounts(item, caller, organizations, files):
            known = found.get(account.id)
            found[account.id] = account if known is None else _merge(known, account)
    return found


async def _accounts(
    item: Item, caller: Caller, organizations: Organizations, files: _Files
) -> AsyncIterator[Account]:
    match item:
        case Named():
            yield Account(id=item.id)
        case Self():
            yield Account(id=caller.account_id)
        case Listed():
            for listed in files[item]:
                yield listed.account
        case Below():
            try:
                async for account in organizations.accounts(item.parent_id):
                    yield account
            except AwsFailure as failure:
                raise _unreadable(failure, item.parent_id) from None


_REACH = ("role_arn", "external_id", "profile")
"""What says how an account is entered."""


def _check_same(accounts: Iterable[PlacedAccount]) -> None:
    """Raise AuditError where files list an account twice, to be entered in different ways."""
    known: dict[AccountId, PlacedAccount] = {}
    for listed in accounts:
        first = known.setdefault(listed.account.id, listed)
        differ = _differences(first.account, listed.account)
        if differ:
            raise AuditError(
                f"{first.place} and {listed.place} give account {listed.account.id} different"
                f" {' and '.join(differ)}",
                hint="list the account once",
            )
        if not any(getattr(first.account, name) for name in _REACH):
            known[listed.account.id] = listed


def _differences(first: Account, second: Account) -> list[str]:
    """Return what two entries contradict each other in; one that says nothing fits any."""
    ways = [[getattr(each, name) for name in _REACH] for each in (first, second)]
    differ = [name for name, one, other in zip(_REACH, *ways, strict=True) if one != other]
    if not all(any(way) for way in ways):
        differ = []
    for name in ("name", "tags"):  # rules may look at both
        said = [getattr(each, name) for each in (first, second)]
        if None not in said and said[0] != said[1]:
            differ.append(name)
    return differ


def _merge(first: Account, second: Account) -> Account:
    """Fill what the first does not say from the second."""
    names = ("name", "ou", "state", "tags", "role_arn", "external_id", "profile")
    missing = {name: getattr(second, name) for name in names if getattr(first, name) is None}
    return replace(first, **missing)


def _with_skip(account: Account, *, excluded: bool) -> Account:
    if excluded:
        return replace(account, skip=EXCLUDED)
    if account.state not in {None, AccountState.ACTIVE}:
        return replace(account, skip=str(account.state).lower().replace("_", " "))
    return account


def _unreadable(failure: AwsFailure, parent_id: str | None) -> AuditError:
    """Return why the organization could not be read, and what to do."""
    if isinstance(failure, ConfigurationFailure):
        return AuditError(failure.message, hint=failure.hint)
    if failure.code == "AWSOrganizationsNotInUseException":
        return AuditError(
            "this account is not part of an organization",
            hint="name the accounts (--accounts 111111111111,222222222222), or use self",
        )
    if failure.code in {"OrganizationalUnitNotFoundException", "ParentNotFoundException"}:
        return AuditError(
            f"the organization has no root or OU {parent_id}",
            hint="aws organizations list-roots shows the root's id",
        )
    if failure.kind is FailureKind.DENIED:
        return NothingAuditedError(
            f"the organization can't be read: {failure.operation} denied",
            hint="use the management account or a delegated administrator, and allow "
            + ", ".join(ORGANIZATION_ACTIONS),
        )
    return NothingAuditedError(
        f"the organization can't be read: {failure}", hint="try again, or name the accounts"
    )


def _nothing_left(accounts: list[Account]) -> AuditError:
    if any(account.skip == EXCLUDED for account in accounts):
        return AuditError("--exclude leaves no account to audit", hint="exclude less")
    return NothingAuditedError(
        f"none of the {len(accounts)} accounts found is active",
        hint="look at the organization's accounts: aws organizations list-accounts",
    )


async def _enrich(
    accounts: list[Account], organizations: Organizations, facts: frozenset[str]
) -> list[Account]:
    if "account.ou" in facts and any(account.ou is None for account in accounts):
        accounts = await _with_units(accounts, organizations)
    if "account.tags" in facts:
        accounts = [await _with_tags(account, organizations) for account in accounts]
    return accounts


async def _with_units(accounts: list[Account], organizations: Organizations) -> list[Account]:
    try:
        units = {account.id: account.ou async for account in organizations.accounts(None)}
    except AwsFailure as failure:
        unknown = Unknown(operation=failure.operation, code=failure.code)
        return [
            account if account.ou else replace(account, ou_unknown=unknown) for account in accounts
        ]
    return [replace(account, ou=account.ou or units.get(account.id)) for account in accounts]


async def _with_tags(account: Account, organizations: Organizations) -> Account:
    if account.skip or account.tags is not None:
        return account
    try:
        return replace(account, tags=await organizations.tags(account.id))
    except AwsFailure as failure:
        unknown = Unknown(operation=failure.operation, code=failure.code)
        return replace(account, tags_unknown=unknown)
