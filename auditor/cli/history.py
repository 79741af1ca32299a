"""`iamaudit history`: the stored runs, and what was done to keys."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from auditor.cli import options as given
from auditor.formats.templates import printable
from auditor.model.outcome import JournalLine
from auditor.store.encoding import instant
from auditor.store.output import STORE
from auditor.wiring.history import run_lines, runs


def history(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="a run's id, or latest; none: all runs")
    ] = None,
    *,
    store: given.Store = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    output: given.OutputFolder = Path("reports"),
) -> None:
    """List the stored runs; with RUN, every line of the journal about its plans."""
    file = store or output / STORE
    if run is None:
        _show_runs(file, as_json=as_json)
        return
    lines = run_lines(file, run)
    if as_json:
        typer.echo(json.dumps([_plain(line) for line in lines], indent=2))
        return
    for line in lines:
        told = ", ".join(f"{name} {value}" for name, value in line.detail.items() if value)
        typer.echo(
            printable(
                f"{line.sequence} {instant(line.at)} {line.step} {line.kind} {line.access_key_id}"
                f" of {line.user_name} in {line.account_id} ({line.plan_id}): {told}"
            )
        )
    if not lines:
        typer.echo("nothing was changed because of this run")


def _show_runs(file: Path, *, as_json: bool) -> None:
    found = runs(file)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "started", "accounts", "keys", "open findings", "plans", "applied"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(*(str(value) for value in each.values()))
    Console().print(table)


def _plain(line: JournalLine) -> dict[str, object]:
    return {**asdict(line), "at": instant(line.at), "detail": dict(line.detail)}
