"""Running a scan for a command: progress, summary, remediation, exit code."""

import gc
import logging
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import typer
from rich.console import Console

from auditor.cli import planning, progress, summary
from auditor.cli.advice import SESSIONS_REMAIN, command
from auditor.cli.exits import ExitCode, exit_code
from auditor.config import ScanOptions, report_file
from auditor.engine.tally import Tally
from auditor.errors import AuditError
from auditor.remediation.rails import Limits
from auditor.store.output import STORE
from auditor.wiring.clock import SystemClock
from auditor.wiring.history import is_stored
from auditor.wiring.remediation import Applied, ApplyOptions
from auditor.wiring.remediation import apply as carry_out
from auditor.wiring.report import write_reports
from auditor.wiring.scan import ScanResult, new_run_id, scan

_FEW_COLLECTIONS = 50_000
"""Objects between looks for cycles: what is read lives to the end of its account, or not at all."""
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remediation:
    """What `--remediate apply` may do, and whether somebody has to be asked."""

    options: ApplyOptions
    yes: bool


def run_scan(
    options: ScanOptions,
    *,
    quiet: bool,
    log_level: str,
    limits: Limits,
    remediation: Remediation | None = None,
) -> tuple[ExitCode, Path | None]:
    """Scan, print the summary on stdout; return the exit code and where the reports are.

    With `remediation` the scan's plan is applied, and the reports have its outcomes; else it is
    shown, and where an apply within `limits` would refuse it. Raises AuditError.
    """
    _log_to_stderr(log_level)
    gc.set_threshold(_FEW_COLLECTIONS)
    tally, clock = Tally(), SystemClock()
    run_id = new_run_id(clock.now())
    work = partial(
        scan,
        options,
        run_id=run_id,
        tally=tally,
        clock=clock,
        shown=partial(progress.shown, tally, Console(stderr=True), quiet=quiet),
    )
    try:
        result: ScanResult = anyio.run(work, backend="asyncio")
    except KeyboardInterrupt:
        typer.echo(interrupted(options, run_id), err=True)
        return ExitCode.INTERRUPTED, None
    with result:
        console = Console(emoji=False)  # there are none, and to know them all takes 8 ms
        summary.show(result.document, console, only_new=options.only_new)
        applied = None
        if result.plan is not None:
            if remediation is None:
                planning.show_plan(result.plan, console, mask_keys=options.mask_keys)
                planning.warn(result.plan, result.output.store, limits)
            elif not result.ended.early:
                applied = _apply(result, options, remediation, console)
        own = [template.name for template in options.templates]
        for name in (*map(report_file, options.formats), *own):
            console.print(result.folder / name, markup=False, soft_wrap=True)
        if not quiet or result.ended.signed_out is not None:
            for line in advice(result, options, applied):
                typer.echo(line, err=True)
        return _code(result, options, applied), result.folder


def advice(result: ScanResult, options: ScanOptions, applied: Applied | None) -> Iterator[str]:
    """Yield the commands to run next: to look at what was missed, and to mend what was found."""
    if result.ended.early:
        told = result.ended.signed_out
        if told is not None:
            yield f"The caller's credentials ended during the run: {told}"
        first = "" if told is None else "sign in (aws sso login, or renew them), then "
        yield (f"To go on where it stopped: {first}the same command with --resume {result.run_id}")
        return
    if not result.document.coverage()["complete"]:
        lists = [("--accounts", each) for each in options.accounts if each != "self"]
        lists += [("--exclude", each) for each in options.exclude]
        told = shlex.join(["iamaudit", "doctor", *(part for pair in lists for part in pair)])
        yield f"Not all was looked at; what is missing, and how to grant it: {told}"
    if applied is not None:
        undo = partial(command, "undo", output=options.output, connection=options.connection)
        yield from planning.after([applied], undo, options.connection)
    elif result.plan is not None:
        if result.plan.actions and result.plan.applicable:
            again = command(
                "apply", result.plan.id, output=options.output, connection=options.connection
            )
            yield f"Review the plan, then: {again}"
            yield SESSIONS_REMAIN
    elif any(result.document.summary()["open"].values()):
        again = command("plan", "--run", result.run_id, output=options.output)
        yield f"Next, what to change and nothing else: {again}"


def interrupted(options: ScanOptions, run_id: str) -> str:
    """Say what an interrupted scan left: what was read, if it had begun to read."""
    file = options.output / STORE
    if options.resume is not None:
        return f"Interrupted; what was read is kept in {file}"
    if not is_stored(file, run_id):
        return "Interrupted before anything was read"
    return (
        f"Interrupted; what was read is kept in {file};"
        f" the same command with --resume {run_id} goes on"
    )


def _apply(
    result: ScanResult, options: ScanOptions, remediation: Remediation, console: Console
) -> Applied:
    """Apply the scan's plan, and write the reports again with what came of it."""
    assert result.plan is not None  # noqa: S101 -- the caller looked
    applied: Applied = anyio.run(
        partial(
            carry_out,
            result.plan,
            result.output.store,
            remediation.options,
            clock=SystemClock(),
            confirm=partial(planning.confirm, console=console, yes=remediation.yes),
        )
    )
    planning.show_outcomes(applied, console)
    write_reports(
        result.output, result.document, result.plan.run_id, options.formats, options.templates
    )
    return applied


def _code(result: ScanResult, options: ScanOptions, applied: Applied | None) -> ExitCode:
    interrupted = result.ended.interrupted or (applied is not None and applied.interrupted)
    code = exit_code(
        result.document,
        fail_on=options.fail_on,
        interrupted=interrupted,
        only_new=options.only_new,
    )
    if applied is not None and not applied.complete and code is not ExitCode.INTERRUPTED:
        return ExitCode.NOTHING
    return code


def _log_to_stderr(level: str) -> None:
    """Log what the tool itself has to say; the SDK's log has credentials in it and stays off."""
    if level not in _LEVELS:
        raise AuditError(
            f"--log-level: {level!r} is no level", hint=f"write one of {', '.join(_LEVELS)}"
        )
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("auditor")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logging.getLogger("botocore").addHandler(logging.NullHandler())
    for name in ("botocore", "aiobotocore", "aioboto3"):
        logging.getLogger(name).propagate = False
