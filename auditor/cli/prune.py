"""`iamaudit prune`: remove old runs from the store."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from auditor.cli import options as given
from auditor.cli.exits import ExitCode
from auditor.errors import AuditError
from auditor.formats.templates import count, printable
from auditor.store.output import STORE, Output
from auditor.wiring.clock import SystemClock
from auditor.wiring.history import retention


def prune(
    *,
    keep: Annotated[
        int | None,
        typer.Option("--keep", metavar="N", min=1, help="keep the newest N runs"),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option("--keep-days", metavar="D", min=0, help="keep the runs of the last D days"),
    ] = None,
    reports: Annotated[
        bool, typer.Option("--reports", help="remove the report folders of these runs, too")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="remove them; without it, only say so")
    ] = False,
    store: given.Store = None,
    output: given.OutputFolder = Path("reports"),
) -> None:
    """List the old runs that the store no longer needs; with --yes, remove them.

    A run stays that --keep or --keep-days keeps, that is the newest, or whose plans can still be
    applied, resumed or undone. The journal stays whole.
    """
    if keep is None and keep_days is None:
        raise AuditError("nothing says what to keep", hint="give --keep N, --keep-days D, or both")
    console, file = Console(), store or output / STORE
    with retention(file) as runs:
        beyond = runs.beyond(
            keep=keep,
            keep_for=None if keep_days is None else timedelta(days=keep_days),
            now=SystemClock().now(),
        )
        going = [run for run in beyond if run.because is None]
        for run in beyond:
            verb = ("remove" if yes else "would remove") if run.because is None else "keep"
            why = "" if run.because is None else f": {run.because}"
            console.print(Text(printable(f"{verb} {run.id}{why}")), soft_wrap=True)
        if yes and going:
            for run in going:
                runs.remove(run.id)
                if reports and not Output(output).remove(run.id):
                    typer.echo(f"No report folder of {run.id} was removed", err=True)
            runs.shrink()
    told = count(len(going), "run")
    if not going:
        console.print("Nothing to remove.")
    elif yes:
        console.print(f"Removed {told}; the journal is whole.")
    else:
        console.print(f"{told} to remove; nothing was removed yet.")
        typer.echo("To remove them: the same again, with --yes", err=True)
    raise typer.Exit(ExitCode.CLEAN)
