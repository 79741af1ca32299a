"""The command line: each command parses, calls, prints, exits."""

import sys

import typer

from auditor import __version__
from auditor.cli.demo import demo
from auditor.cli.exits import ExitCode
from auditor.cli.scan import scan
from auditor.cli.schema import schema
from auditor.errors import AuditError, NothingAuditedError

app = typer.Typer(
    name="iamaudit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback must never show the values of variables
    help="Which access keys do we have, which must go, and can we take them away safely?",
)
app.command()(scan)
app.command()(demo)
app.command()(schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iamaudit {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version.",
    ),
) -> None:
    """Audit the IAM access keys of a whole AWS organization."""


def main() -> None:
    """Run the command line; an operator's mistake ends in one line and its exit code."""
    try:
        app()
    except AuditError as error:
        print(f"iamaudit: {error}; {error.hint}", file=sys.stderr)  # noqa: T201
        nothing = isinstance(error, NothingAuditedError)
        sys.exit(ExitCode.NOTHING if nothing else ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
