"""AWS Organizations: the accounts of a tree, read top-down within its request rates.

Rates: AWS Organizations User Guide, "Quotas and service limits", per account.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from botocore import xform_name

from auditor import fanout
from auditor.aws.bounds import named
from auditor.aws.calls import Calls
from auditor.aws.errors import failures
from auditor.aws.paging import Pages
from auditor.aws.throttle import Pace
from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import Account, AccountState, parse_account_id
from auditor.ports import Clock

_RATES = {
    "ListRoots": (1, 2),
    "ListAccountsForParent": (5, 8),
    "ListOrganizationalUnitsForParent": (5, 8),
    "ListParents": (5, 8),
    "DescribeOrganizationalUnit": (2, 2),
    "ListTagsForResource": (10, 15),
}

# Well beyond what AWS allows ("Quotas and service limits"): five levels, 2,000 OUs.
_DEEPEST = 10
_MOST_UNITS = 50_000


class OrganizationsReader:
    """Reads the organization of the caller (port Organizations).

    `client` gives the SDK's client; it is asked for only when it is needed.
    """

    def __init__(self, client: Callable[[], Awaitable[Any]], calls: Calls, clock: Clock) -> None:
        self._client = client
        self._calls = calls
        self._paces = {
            name: Pace(clock, rate=rate, burst=burst) for name, (rate, burst) in _RATES.items()
        }

    async def accounts(self, parent_id: str | None) -> AsyncIterator[Account]:
        """Yield the accounts below a root or an OU (None: all), each with its OU's path.

        Raises AwsFailure, with AWS's code where there is no organization or no such parent.
        """
        if parent_id is not None and parent_id.startswith("ou-"):
            start = [(parent_id, await self._path(parent_id))]
        else:
            start = [
                root
                async for root in self._named("ListRoots", "Roots")
                if parent_id in {None, root[0]}
            ]
            if not start:
                raise _no_parent(parent_id)
        tree = _Tree()
        for each, path in start:
            async for account in self._walk(each, path, tree, ()):
                yield account

    async def tags(self, account_id: str) -> Mapping[str, str]:
        """Return the tags of an account."""
        listed = [
            tag async for tag in self._list("ListTagsForResource", "Tags", ResourceId=account_id)
        ]
        with failures("organizations:ListTagsForResource"):
            return {named(tag["Key"]): named(tag["Value"]) for tag in listed}

    async def _walk(
        self, parent_id: str, path: str, tree: "_Tree", above: tuple[str, ...]
    ) -> AsyncIterator[Account]:
        if not tree.enter(parent_id, path, above):
            return
        accounts: list[Account] = []
        units: list[tuple[str, str]] = []

        async def list_accounts() -> None:
            async for one in self._list("ListAccountsForParent", "Accounts", ParentId=parent_id):
                with failures("organizations:ListAccountsForParent"):
                    accounts.append(_account(one, path))

        async def list_units() -> None:
            name, member = "ListOrganizationalUnitsForParent", "OrganizationalUnits"
            units.extend([unit async for unit in self._named(name, member, ParentId=parent_id)])

        await fanout.together(list_accounts, list_units)
        for account in accounts:
            yield account
        for unit_id, name in units:
            below = self._walk(unit_id, f"{path}/{name}", tree, (*above, parent_id))
            async for account in below:
                yield account

    async def _path(self, unit_id: str) -> str:
        """Return the names from the root down to an OU, joined by `/`."""
        names: list[str] = []
        each, tree = unit_id, _Tree("ListParents")
        below: tuple[str, ...] = ()
        while each.startswith("ou-"):
            tree.enter(each, "/".join(reversed(names)), below)
            below = (*below, each)
            unit = await self.ask("DescribeOrganizationalUnit", OrganizationalUnitId=each)
            with failures("organizations:DescribeOrganizationalUnit"):
                names.append(unit["OrganizationalUnit"]["Name"])
            parents = [
                parent async for parent in self._list("ListParents", "Parents", ChildId=each)
            ]
            with failures("organizations:ListParents"):
                each = parents[0]["Id"]
        names.append("Root")
        return "/".join(reversed(names))

    async def _named(
        self, name: str, member: str, **arguments: str
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield id and name of the items of all pages."""
        async for item in self._list(name, member, **arguments):
            with failures(f"organizations:{name}"):
                found = (named(str(item["Id"])), named(str(item["Name"])))
            yield found

    async def _list(self, name: str, member: str, **arguments: str) -> AsyncIterator[Any]:
        """Yield the items of all pages; an empty page with a token is not the last."""
        pages = Pages(f"organizations:{name}")
        while True:
            page = await self.ask(name, **arguments)
            with failures(f"organizations:{name}"):
                items = list(page[member])
            for item in items:
                yield item
            token = page.get("NextToken")
            if not token:
                return
            arguments["NextToken"] = pages.follow(token, items)

    async def ask(self, name: str, **arguments: str) -> Any:
        """Make one call of an operation (`ListRoots`), within its rate; raise AwsFailure."""

        async def send() -> Any:
            await self._paces[name].turn()
            client = await self._client()
            return await getattr(client, xform_name(name))(**arguments)

        return await self._calls.call(f"organizations:{name}", send)


class _Tree:
    """The units met on one way through an organization, which must come to an end."""

    def __init__(self, operation: str = "ListOrganizationalUnitsForParent") -> None:
        self._operation = f"organizations:{operation}"
        self._seen: set[str] = set()

    def enter(self, unit_id: str, path: str, passed: tuple[str, ...]) -> bool:
        """Note a unit, and return whether it is new; `passed` are those on the way to it.

        Raises AwsFailure where it is one of them, or where there is no end of units.
        """
        if unit_id in passed:
            raise self._failure("RepeatedUnit", f"{unit_id} ({path}) leads back to itself")
        if unit_id in self._seen:
            return False
        self._seen.add(unit_id)
        if len(passed) > _DEEPEST or len(self._seen) > _MOST_UNITS:
            raise self._failure("EndlessUnits", f"{unit_id} ({path}): OU below OU, and no end")
        return True

    def _failure(self, code: str, message: str) -> AwsFailure:
        return AwsFailure(
            operation=self._operation, code=code, message=message, kind=FailureKind.UNAVAILABLE
        )


def _account(account: Mapping[str, Any], path: str) -> Account:
    """Take `State`, and `Status` only where an older endpoint has no `State`."""
    written = account.get("State") or account.get("Status")
    state = AccountState(written) if written in set(AccountState) else None
    return Account(
        id=parse_account_id(account["Id"]),
        name=None if account.get("Name") is None else named(account["Name"]),
        ou=path,
        state=state,
    )


def _no_parent(parent_id: str | None) -> AwsFailure:
    return AwsFailure(
        operation="organizations:ListRoots",
        code="ParentNotFoundException",
        message=f"there is no root {parent_id}",
        kind=FailureKind.GONE,
    )
