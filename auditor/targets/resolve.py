"""From the items of LISTs to the accounts of a run."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from auditor.errors import AuditError, AwsFailure, FailureKind, NothingAuditedError
from auditor.model.account import EXCLUDED, Account, AccountId, AccountState
from auditor.model.permission import ORGANIZATION_ACTIONS
from auditor.model.unknown import Unknown
from auditor.ports import Caller, Organizations
from auditor.targets.file import read_accounts
from auditor.targets.literal import Below, Item, Listed, Named, Self


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
    make no sense or nothing active is left.
    """
    found = await _expand(include, caller, organizations)
    dropped = await _expand(exclude, caller, organizations)
    accounts = [
        _with_skip(account, excluded=account.id in dropped)
        for account in sorted(found.values(), key=lambda account: account.id)
    ]
    if all(account.skip for account in accounts):
        raise _nothing_left(accounts)
    return await _enrich(accounts, organizations, facts)


async def _expand(
    items: Iterable[Item], caller: Caller, organizations: Organizations
) -> dict[AccountId, Account]:
    """Return the accounts by id; what several items say of one account is put together."""
    found: dict[AccountId, Account] = {}
    for item in items:
        async for account in _accounts(item, caller, organizations):
            known = found.get(account.id)
            found[account.id] = account if known is None else _merge(known, account)
    return found


async def _accounts(
    item: Item, caller: Caller, organizations: Organizations
) -> AsyncIterator[Account]:
    match item:
        case Named():
            yield Account(id=item.id)
        case Self():
            yield Account(id=caller.account_id)
        case Listed():
            for account in read_accounts(item.path):
                yield account
        case Below():
            try:
                async for account in organizations.accounts(item.parent_id):
                    yield account
            except AwsFailure as failure:
                raise _unreadable(failure, item.parent_id) from None


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
    """Say why the organization could not be read, and the mend."""
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
