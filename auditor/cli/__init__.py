"""The command line: each command parses, calls, prints, exits."""

import atexit
import gc
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from auditor import __version__
from auditor.cli.exits import ExitCode
from auditor.cli.lazy import LazyGroup
from auditor.errors import AuditError, InterruptedAuditError, NothingAuditedError

app = typer.Typer(
    name="iamaudit",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback must never show the values of variables
    help="Which access keys do we have, which must go, and can we take them away safely?",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iamaudit {__version__}")
        raise typer.Exit


def _keep_config(ctx: typer.Context, file: Path | None) -> Path | None:
    if file is not None:
        from auditor.cli.configured import remember  # noqa: PLC0415 -- help needs no files

        remember(ctx, file)
    return file


@app.callback()
def _global(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version.",
    ),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            callback=_keep_config,
            help="Read options from FILE (TOML); default: IAMAUDIT_CONFIG, else"
            " ~/.config/iamaudit/iamaudit.toml.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Audit the IAM access keys of a whole AWS organization."""


_CODES = {
    InterruptedAuditError: ExitCode.INTERRUPTED,
    NothingAuditedError: ExitCode.NOTHING,
}


def printable(text: str) -> str:
    """Return text without what would act on a terminal."""
    from auditor.formats import templates  # noqa: PLC0415 -- help needs no Jinja

    return templates.printable(text)


def main() -> None:
    """Run the command line; an operator's mistake ends in one line and its exit code."""
    # Cycles among modules and classes are no garbage before the end, and at the end all memory goes
    # anyway. To look through them cost a fifth of a short scan; LazyGroup turns it on for the rest.
    gc.disable()
    atexit.register(gc.freeze)
    # Memory holds the secrets of sessions and of new keys: a crash must not leave them on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # Nobody's plugin sees what is checked here; to look for them reads all that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        app()
    except AuditError as error:
        lines = [printable(line) for line in str(error).splitlines()]
        typer.echo(f"iamaudit: {chr(10).join(lines)}; {error.hint}", err=True)
        sys.exit(_CODES.get(type(error), ExitCode.USAGE))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- the last resort: a bug must not pass for findings
        if _of_the_disk(error):
            hint = "free the disk or the lock, restore the file, or choose another --output"
            from auditor.store.damage import one_line  # noqa: PLC0415 -- help needs no store

            said = printable(one_line(str(error)))
            typer.echo(f"iamaudit: the store can't be used: {said}; {hint}", err=True)
            sys.exit(ExitCode.USAGE)
        typer.echo(_crash(error), err=True)
        sys.exit(ExitCode.NOTHING)
    finally:
        gc.enable()


_DISK = ("BUSY", "CANTOPEN", "CORRUPT", "FULL", "IOERR", "LOCKED", "NOTADB", "READONLY")
"""SQLite's codes for what is no mistake of ours."""


def _of_the_disk(error: Exception) -> bool:
    """Whether it is the store's file that failed: damaged, locked, or on a disk that is full."""
    code = str(getattr(error, "sqlite_errorname", "")).removeprefix("SQLITE_")
    return code.startswith(_DISK)


def _crash(error: BaseException) -> str:
    """Return where a bug struck, without its text: that may hold an answer of AWS's."""
    frames = traceback.format_list(
        frame for frame in traceback.extract_tb(error.__traceback__) if "auditor" in frame.filename
    )
    told = f"iamaudit: internal error, {type(error).__name__}; please report it with these lines"
    return "\n".join([told, "".join(frames).rstrip()])
