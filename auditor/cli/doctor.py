"""`iamaudit doctor`: what a scan would miss, before it is made."""

import json
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.aws.connection import Connection
from auditor.aws.permissions import Purpose
from auditor.cli import options as given
from auditor.cli.connection import connected
from auditor.cli.exits import ExitCode
from auditor.engine.doctor import Check, State
from auditor.formats.templates import count, printable
from auditor.model.account import Via
from auditor.wiring.clock import SystemClock
from auditor.wiring.doctor import Diagnosis, DoctorOptions, Examined, diagnose

_NAMED = 5
"""How many accounts a line names."""
_HELD = {
    Via.ROLE_SHORT_POLICY: ", short session policy",
    Via.ROLE_NO_POLICY: ", no session policy",
}
_STYLES = {State.MISSING: "red", State.FAILED: "red", State.UNTOLD: "yellow"}


class Depth(StrEnum):
    """What the accounts are to be read for."""

    SCAN = Purpose.SCAN.value
    ENRICH = Purpose.ENRICH.value


@connected
def doctor(
    *,
    accounts: given.Accounts = ["self"],
    exclude: given.Exclude = [],
    connection: Connection,
    policy: given.Policies = ["baseline"],
    purpose: Annotated[
        Depth,
        typer.Option(
            "--for",
            rich_help_panel=given.JUDGING,
            help="try what a scan can't do without, or also what tells passwords, rights and tags",
        ),
    ] = Depth.ENRICH,
) -> None:
    """Check every permission that a scan needs; print what is missing and the fix.

    Nothing is written to AWS. Exit codes: 0 all fine, 2 wrong usage, 3 something is missing in
    some account, 4 nothing can be reached, 130 interrupted. What can't be told is shown, and does
    not count.
    """
    asked = DoctorOptions(
        accounts=tuple(accounts),
        exclude=tuple(exclude),
        connection=connection,
        policies=tuple(policy),
        purpose=Purpose(purpose.value),
    )
    found = anyio.run(partial(diagnose, asked, clock=SystemClock()), backend="asyncio")
    _show(found, Console())
    raise typer.Exit(_code(found))


def _code(found: Diagnosis) -> ExitCode:
    if not found.reached:
        return ExitCode.NOTHING
    return ExitCode.CLEAN if found.whole else ExitCode.INCOMPLETE


def _show(found: Diagnosis, console: Console) -> None:
    if found.caller is not None:
        console.print(Text(f"caller: {printable(found.caller.arn)}"), soft_wrap=True)
    if found.accounts:
        console.print(_table(found))
    for line, state in _problems(found):
        console.print(Text(printable(line), style=_STYLES[state]), soft_wrap=True)
    if found.whole and found.reached:
        console.print(Text("Nothing is missing.", style="green"))


def _table(found: Diagnosis) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("account", no_wrap=True)
    for heading in ("name", "entered", "allowed", "missing"):
        table.add_column(heading, overflow="fold")
    for each in found.accounts:
        table.add_row(*(Text(printable(cell)) for cell in _row(each)))
    return table


def _row(each: Examined) -> tuple[str, ...]:
    account = each.account
    allowed = sum(check.state is State.ALLOWED for check in each.checks)
    missing = [check.operation for check in each.checks if check.state is State.MISSING]
    if account.skip is not None:
        entered = f"skipped: {account.skip}"
    elif each.via is None:
        entered = "no"
    else:
        entered = each.role_arn.rpartition("/")[2] if each.role_arn else "own credentials"
        entered += _HELD.get(each.via, "")
    of = f"{allowed} of {len(each.checks)}" if each.via is not None else ""
    return account.id, account.name or "", entered, of, " ".join(missing)


def _problems(found: Diagnosis) -> Iterator[tuple[str, State]]:
    """Yield one line for each problem; accounts with the same are told together."""
    if found.refused is not None:
        yield f"credentials: {found.refused}; {found.refused.hint}", State.FAILED
    yield from _clock(found)
    for check in found.organization:
        if check.state is not State.ALLOWED:
            look_up = None if check.denial is None else check.denial.look_up
            yield f"organization: {_told(check)}{_which(look_up)}", check.state
    together: dict[str, list[Examined]] = {}
    states: dict[str, State] = {}
    look_ups: dict[str, str] = {}
    for each in found.accounts:
        for check in each.checks:
            if check.state is not State.ALLOWED:
                line = _told(check) + _trust(each)
                together.setdefault(line, []).append(each)
                states[line] = check.state
                if check.denial is not None and check.denial.look_up is not None:
                    look_ups.setdefault(line, check.denial.look_up)
    for line, examined in together.items():
        named = ", ".join(each.account.id for each in examined[:_NAMED])
        more = f" and {count(len(examined) - _NAMED, 'more account')}"
        yield (
            f"{named}{more if len(examined) > _NAMED else ''}: {line}{_which(look_ups.get(line))}",
            states[line],
        )


def _which(look_up: str | None) -> str:
    """Say how to find out which policies AWS looked at, for the first of the accounts."""
    return "" if look_up is None else f"; the policies that AWS evaluated: {look_up}"


def _clock(found: Diagnosis) -> Iterator[tuple[str, State]]:
    if found.skew is None:
        if found.caller is not None:
            yield "clock: it can't be told, no answer had a date", State.UNTOLD
    elif found.clock_is_off:
        seconds = int(found.skew.total_seconds())
        side = "behind" if seconds > 0 else "ahead of"
        yield (
            f"clock: this machine's is {abs(seconds)} seconds {side} AWS's, which refuses"
            " signatures five minutes off; set it (NTP)",
            State.FAILED,
        )


def _told(check: Check) -> str:
    """Say of one permission what is wrong, and what grants it."""
    if check.state is State.UNTOLD:
        return f"{check.operation} can't be told: {check.detail or 'it was not asked'}"
    word = "is missing" if check.state is State.MISSING else "failed"
    parts = [f"{check.operation} {word}"]
    if check.denial is not None and check.denial.text is not None:
        parts.append(check.denial.text)
    if check.statement is not None:
        parts.append(f"{check.mend}: {json.dumps(check.statement)}")
    elif check.mend is not None:
        parts.append(check.mend)
    else:
        parts.append(check.detail or "no reason was given")
    return "; ".join(parts)


def _trust(each: Examined) -> str:
    if each.trust is None:
        return ""
    return f"; have the role, and let it trust the caller: {json.dumps(each.trust)}"
