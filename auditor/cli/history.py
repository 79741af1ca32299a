"""`iamaudit history`: the stored runs, and what was done to keys."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from auditor.cli import options as given
from auditor.formats.stream import Row
from auditor.formats.templates import printable
from auditor.model.finding import Severity
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
    """List the stored runs; with RUN, every line of the journal about its plans.

    Each run comes with its open findings and the change to the finished run before; a run that was
    not judged has none to show. With --json it has its digest, too, which is also in its
    report.json.
    """
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
    found = list(runs(file))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "accounts", "keys", "open", *Severity, "plans", "applied"):
        table.add_column(heading, overflow="fold", justify="left" if heading == "run" else "right")
    for each in found:
        table.add_row(
            str(each["id"]),
            str(each["accounts"]) if each["finished_at"] else f"{each['accounts']} (interrupted)",
            str(each["keys"]),
            _open(each),
            *(_open(each, level) for level in Severity),
            str(each["plans"] or ""),
            str(each["applied"] or ""),
        )
    console = Console()
    console.print(table)
    if any(each["change"] and not each["comparable"] for each in found):
        console.print(
            "* other accounts were read whole, or other policies judged, than in the run before"
        )
    unjudged = [str(each["id"]) for each in found if not each["judged"]]
    if unjudged:
        console.print(
            f"not judged: {', '.join(unjudged)}; `iamaudit report --run ID` judges a run by its"
            " policies, with --policy by others",
            markup=False,
            soft_wrap=True,
        )
    unsealed = [str(each["id"]) for each in found if each["judged"] and not each["digest"]]
    if unsealed:
        console.print(f"unsealed, judged by an older version: {', '.join(unsealed)}", markup=False)


def _open(run: Row, level: Severity | None = None) -> str:
    """Return how many findings are open, and the change to the run before."""
    sizes, changes = run["open_by_severity"], run["change"]
    if sizes is None:
        return "not judged" if level is None else "-"
    size = run["open"] if level is None else sizes[level]
    if changes is None:
        return str(size)
    change = sum(changes.values()) if level is None else changes[level]
    if not (change or level is None):
        return str(size)
    mark = "" if run["comparable"] else "*"
    return f"{size} ({change:+}{mark})" if change else f"{size} (={mark})"


def _plain(line: JournalLine) -> dict[str, object]:
    return {**asdict(line), "at": instant(line.at), "detail": dict(line.detail)}
