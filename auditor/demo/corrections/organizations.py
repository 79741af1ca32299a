"""The lists of Organizations: pages, and who may ask for them."""

from collections.abc import Mapping
from typing import Any

from auditor.demo.pages import organizations_page
from auditor.demo.wire import Call, RefusedError
from auditor.demo.world import World, organization_of


def list_roots(call: Call, world: World) -> Mapping[str, Any]:
    """Return the one root."""
    return _list("Roots", _organization(call).list_roots()["Roots"], call, world)


def list_accounts(call: Call, world: World) -> Mapping[str, Any]:
    """Return every account, with `Status` and `State`."""
    accounts = [account.describe() for account in _organization(call).accounts]
    return _list("Accounts", accounts, call, world)


def list_accounts_for_parent(call: Call, world: World) -> Mapping[str, Any]:
    """Return the accounts right under one root or OU."""
    organization = _organization(call)
    parent = _parent(organization, call)
    accounts = [entry.describe() for entry in organization.accounts if entry.parent_id == parent]
    return _list("Accounts", accounts, call, world)


def list_organizational_units_for_parent(call: Call, world: World) -> Mapping[str, Any]:
    """Return the OUs right under one root or OU."""
    organization = _organization(call)
    parent = _parent(organization, call)
    units = [
        {"Id": unit.id, "Arn": unit.arn, "Name": unit.name}
        for unit in organization.ou
        if unit.parent_id == parent
    ]
    return _list("OrganizationalUnits", units, call, world)


def _list(name: str, items: list[Any], call: Call, world: World) -> Mapping[str, Any]:
    page, more = organizations_page(items, call, world)
    return {name: page} | more


def _organization(call: Call) -> Any:
    """Return the caller's organization if it may list it: management or delegated administrator."""
    account_id = call.request.account_id
    organization = organization_of(account_id)
    if organization is None:
        message = "Your account is not a member of an organization."
        raise RefusedError(status=400, code="AWSOrganizationsNotInUseException", message=message)
    administrators = {admin.account.id for admin in organization.admins}
    if account_id not in {organization.account_id, *administrators}:
        message = "You don't have permissions to access this resource."
        raise RefusedError(status=400, code="AccessDeniedException", message=message)
    return organization


def _parent(organization: Any, call: Call) -> str:
    parent = str(call.params["ParentId"])
    if parent not in {unit.id for unit in organization.ou}:
        message = "You specified parent that doesn't exist."
        raise RefusedError(status=400, code="ParentNotFoundException", message=message)
    return parent
