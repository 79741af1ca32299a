"""`iamaudit diff`: what changed between two stored runs."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from auditor.cli import changes as show
from auditor.cli import options as given
from auditor.cli.exits import ExitCode, fails
from auditor.config import parse_fail_on
from auditor.formats import markdown
from auditor.formats.changes import write_json
from auditor.formats.stream import ChangesStream
from auditor.formats.templates import instant, printable
from auditor.model.finding import Severity
from auditor.store.output import LATEST, STORE
from auditor.wiring.changes import compared


class DiffFormat(StrEnum):
    """How the changes are printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="the earlier run: its id, or latest, the newest finished one before the other",
            show_default=False,
        ),
    ] = LATEST,
    after: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="the later run: its id, or latest, the newest judged one",
            show_default=False,
        ),
    ] = LATEST,
    *,
    store: given.Store = None,
    format_: Annotated[
        DiffFormat,
        typer.Option("--format", rich_help_panel=given.REPORTING, help="how to print it"),
    ] = DiffFormat.TEXT,
    fail_on: given.FailOn = "low",
    mask_keys: given.MaskKeys = False,
    output: given.OutputFolder = Path("reports"),
) -> None:
    """Compare two stored runs: which findings are new, resolved, changed or still open.

    What the later run did not look at is never resolved. Exit codes: 0 nothing new, 1 new open
    findings, 3 the later run looked at less than the earlier one.
    """
    threshold = parse_fail_on(fail_on)
    with compared(store or output / STORE, before, after, mask_keys=mask_keys) as document:
        changes = document.changes()
        if changes is None:
            raise RuntimeError("two runs have changes")
        match format_:
            case DiffFormat.JSON:
                write_json(document, sys.stdout)
            case DiffFormat.MARKDOWN:
                markdown.write_changes(document, sys.stdout)
            case DiffFormat.TEXT:
                console, run = Console(), document.run()
                told = f"Run {run['id']} of {instant(run['started_at'])}"
                console.print(Text(printable(told)))
                show.show_sum(changes, console)
                show.show_findings(changes, console, run_id=run["id"])
                show.show_keys(changes, console, run_id=run["id"])
                show.show_accounts(changes, console, run_id=run["id"])
        code = _code(changes, threshold)
    raise typer.Exit(code)


def _code(changes: ChangesStream, threshold: Severity | None) -> ExitCode:
    """Return 3, 1 or 0, in this order."""
    summary = changes.summary()
    if summary["not_looked_at"] or summary["unjudged"] or summary["accounts"]["worse"]:
        return ExitCode.INCOMPLETE
    return ExitCode.FINDINGS if fails(summary["new"], threshold) else ExitCode.CLEAN
