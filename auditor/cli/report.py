"""`iamaudit report`: tell a stored run again, or judge it again."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from auditor.cli import options as given
from auditor.cli import summary
from auditor.cli.exits import exit_code
from auditor.config import (
    DEFAULT_FORMATS,
    FORMATS,
    check_only_new,
    parse_fail_on,
    parse_formats,
    parse_instant,
    parse_templates,
)
from auditor.errors import AuditError
from auditor.store.output import LATEST, STORE, Output
from auditor.wiring.report import replay, write_reports

_STDOUT = "-"


def report(
    *,
    run: given.RunName = LATEST,
    store: given.Store = None,
    policy: Annotated[list[str], given.REJUDGE] = [],
    now: given.Now = None,
    fail_on: given.FailOn = "low",
    baseline: given.Baseline = None,
    only_new: given.OnlyNew = False,
    format_: given.Formats = [],
    template: given.Templates = [],
    mask_keys: given.MaskKeys = False,
    output: Annotated[str, given.REPORT_OUTPUT] = "reports",
) -> None:
    """Report on a stored run, without asking AWS anything.

    With --policy or --now the run is judged again, and the store keeps what the scan said. Exits as
    the scan would.
    """
    check_only_new(only_new=only_new, baseline=baseline)
    threshold, at = parse_fail_on(fail_on), None if now is None else parse_instant(now)
    to_stdout = output == _STDOUT
    templates = parse_templates(template)
    default = DEFAULT_FORMATS if not to_stdout else () if templates else ("json",)
    formats = parse_formats(tuple(format_)) or default
    if to_stdout and len(formats) + len(templates) > 1:
        raise AuditError(
            "--output -: only one report fits on stdout",
            hint="give one --format or --template, or a folder",
        )
    folder = Path("reports" if to_stdout else output)
    with replay(
        store or folder / STORE,
        run,
        policies=policy,
        now=at,
        since=baseline,
        mask_keys=mask_keys,
    ) as again:
        if again.newer_unjudged is not None:
            typer.echo(
                f"Run {again.newer_unjudged} is newer, and was not judged;"
                f" `iamaudit report --run {again.newer_unjudged}` judges it.",
                err=True,
            )
        if to_stdout:
            writes = [*(FORMATS[name] for name in formats), *(one.write for one in templates)]
            writes[0](again.document, sys.stdout)
        else:
            target = Output(folder)
            target.check()
            target.prepare()
            files = write_reports(target, again.document, again.run_id, formats, templates)
            target.link_first(again.run_id)
            console = Console()
            summary.show(again.document, console, only_new=only_new)
            for file in files:
                console.print(file, markup=False, soft_wrap=True)
        code = exit_code(again.document, fail_on=threshold, interrupted=False, only_new=only_new)
    raise typer.Exit(code)
