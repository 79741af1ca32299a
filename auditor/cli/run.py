"""Running a scan for a command: progress, summary, exit code."""

import logging
from functools import partial
from pathlib import Path

import anyio
import typer
from rich.console import Console

from auditor.cli import progress, summary
from auditor.cli.exits import ExitCode, exit_code
from auditor.config import ScanOptions
from auditor.engine.tally import Tally
from auditor.errors import AuditError
from auditor.store.output import STORE
from auditor.wiring import ScanResult, SystemClock, new_run_id, scan

_LEVELS = ("debug", "info", "warning", "error")


def run_scan(options: ScanOptions, *, quiet: bool, log_level: str) -> tuple[ExitCode, Path | None]:
    """Scan, print the summary on stdout; return the exit code and where the reports are.

    Raises AuditError.
    """
    _log_to_stderr(log_level)
    tally, clock = Tally(), SystemClock()
    work = partial(scan, options, run_id=new_run_id(clock.now()), tally=tally, clock=clock)
    try:
        with progress.shown(tally, Console(stderr=True), quiet=quiet):
            result: ScanResult = anyio.run(work, backend="asyncio")
    except KeyboardInterrupt:
        typer.echo(f"Interrupted; what was read is kept in {options.output / STORE}", err=True)
        return ExitCode.INTERRUPTED, None
    with result:
        console = Console()
        summary.show(result.document, console)
        for name in options.formats:
            console.print(result.folder / f"report.{name}", markup=False, soft_wrap=True)
        code = exit_code(result.document, fail_on=options.fail_on, interrupted=result.interrupted)
        return code, result.folder


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
