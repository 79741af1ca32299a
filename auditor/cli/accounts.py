"""`iamaudit accounts`: what LISTs come to, before a scan."""

import json
from collections import Counter
from enum import StrEnum
from functools import partial
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli.connection import connected
from auditor.cli.exits import ExitCode
from auditor.errors import InterruptedAuditError
from auditor.formats.templates import count, printable
from auditor.wiring.accounts import Listed, listed_accounts
from auditor.wiring.clock import SystemClock


class Shape(StrEnum):
    """How the accounts are printed."""

    TABLE = "table"
    JSON = "json"


@connected
def accounts(
    *,
    accounts: given.Accounts = ["self"],
    exclude: given.Exclude = [],
    connection: Connection,
    format_: Annotated[
        Shape,
        typer.Option("--format", rich_help_panel=given.REPORTING, help="a table, or JSON"),
    ] = Shape.TABLE,
) -> None:
    """Show which accounts LIST selects, and the role or profile that reads each.

    Nothing is tried: `iamaudit doctor` does that.
    """
    work = partial(
        listed_accounts, tuple(accounts), tuple(exclude), connection, clock=SystemClock()
    )
    try:
        found: list[Listed] = anyio.run(work, backend="asyncio")
    except KeyboardInterrupt:
        raise InterruptedAuditError("interrupted", hint="nothing was written") from None
    if format_ is Shape.JSON:
        typer.echo(json.dumps([_plain(each) for each in found], indent=2))
    else:
        Console().print(_table(found))
        typer.echo(_sum(found), err=True)
    raise typer.Exit(ExitCode.CLEAN)


def _plain(each: Listed) -> dict[str, object]:
    account = each.account
    return {
        "id": account.id,
        "name": account.name,
        "state": None if account.state is None else account.state.value,
        "ou": account.ou,
        "role_arns": list(each.role_arns),
        "profile": each.profile,
        "skip": account.skip,
    }


def _table(found: list[Listed]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("account", "name", "state", "ou", "entered by"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "account")
    for each in found:
        account = each.account
        state = "" if account.state is None else account.state.lower().replace("_", " ")
        skipped = account.skip is not None
        way = f"skipped: {account.skip}" if skipped else _way(each)
        row = (account.id, account.name or "", state, account.ou or "", way)
        cells = (Text(printable(cell)) for cell in row)
        table.add_row(*cells, style="dim" if skipped else None)
    return table


def _way(each: Listed) -> str:
    """Say by what an account is entered, as briefly as can be: a role of its own by its name."""
    profile = "" if each.profile is None else f"profile {each.profile}"
    if not each.role_arns:
        return profile or "own credentials"
    roles = ", else ".join(each.role_arns)
    return f"{roles} by {profile}" if profile else roles


def _sum(found: list[Listed]) -> str:
    skipped = Counter(each.account.skip for each in found if each.account.skip is not None)
    told = [f"{count(len(found) - skipped.total(), 'account')} to audit"]
    told += [f"{number} {reason}" for reason, number in skipped.items()]
    return ", ".join(told)
