"""`accounts`: what LISTs come to, and how each account would be entered."""

from dataclasses import dataclass

from auditor.aws.connection import Connection
from auditor.aws.entrance import roles_to_read
from auditor.aws.session import Aws
from auditor.engine.tally import Tally
from auditor.model.account import Account
from auditor.ports import Clock
from auditor.targets.literal import parse_list
from auditor.targets.resolve import resolve

_CONCURRENCY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One account, and the ways into it in the order in which a scan tries them."""

    account: Account
    role_arns: tuple[str, ...]
    """Empty where it is entered by the caller's own credentials or a profile's."""
    profile: str | None
    """Whose credentials are used, where not the caller's."""


async def listed_accounts(
    accounts: tuple[str, ...], exclude: tuple[str, ...], connection: Connection, *, clock: Clock
) -> list[Listed]:
    """Return what a scan would come to; raise AuditError as it would.

    Only the caller and the organization are asked: whether a role lets us in is not tried. OUs are
    known where the organization was read for the LISTs.
    """
    include = parse_list(accounts, option="--accounts")
    without = parse_list(exclude, option="--exclude")
    aws = Aws(
        connection,
        session_name="iamaudit-accounts",
        concurrency=_CONCURRENCY,
        progress=Tally(),
        clock=clock,
    )
    async with aws.connect() as caller:
        found = await resolve(
            include,
            without,
            caller=caller,
            organizations=aws.organizations,
            facts=frozenset(),
        )
    return [
        Listed(
            account=account,
            role_arns=tuple(roles_to_read(account, connection, caller) or ()),
            profile=account.profile,
        )
        for account in found
    ]
