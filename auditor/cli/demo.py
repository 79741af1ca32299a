"""`iamaudit demo`: an organization on this machine, scanned over HTTP by the real code."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli.exits import ExitCode
from auditor.cli.run import run_scan
from auditor.config import DEFAULT_FORMATS, ScanOptions, parse_formats
from auditor.remediation.rails import Limits
from auditor.wiring.demo import DemoAws, demo_aws


def demo(
    *,
    format_: given.Formats = list(DEFAULT_FORMATS),
    mask_keys: given.MaskKeys = False,
    output: given.OutputFolder = Path("reports"),
    quiet: given.Quiet = False,
    log_level: given.LogLevel = "error",
    serve: bool = typer.Option(
        False,
        "--serve",
        help="serve the organization until Ctrl-C, and print the settings for other terminals",
    ),
) -> None:
    """Scan an example organization that runs on this machine, without an AWS account.

    Exits 0 when it ran, whatever it found.
    """
    formats = parse_formats(tuple(format_))
    with demo_aws() as aws:
        if serve:
            _serve(aws)
            return
        options = ScanOptions(
            accounts=("org",),
            connection=Connection(role_names=(aws.role_name,), endpoint_url=aws.url),
            formats=formats,
            mask_keys=mask_keys,
            output=output,
            fail_on=None,
        )
        with _environment(aws.environment):
            code, folder = run_scan(options, quiet=quiet, log_level=log_level, limits=Limits())
    if code in {ExitCode.INTERRUPTED, ExitCode.NOTHING}:
        raise typer.Exit(code)
    if folder is not None and "html" in formats:
        typer.echo(f"Open {folder / 'report.html'} in a browser.", err=True)


def _serve(aws: DemoAws) -> None:
    """Print what another shell needs, and serve until Ctrl-C."""
    for name, value in {**aws.environment, "AWS_ENDPOINT_URL": aws.url}.items():
        typer.echo(f"export {name}={value}")
    typer.echo("Serving until Ctrl-C. In another terminal, set these and run:", err=True)
    typer.echo(f"  iamaudit scan --accounts org --role-name {aws.role_name}", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Call as the demo's principal only: no profile, role or endpoint of the operator's."""
    before = dict(os.environ)
    for name in before:
        if name.lower().endswith("_proxy") or (name.startswith("AWS_") and name != "AWS_CA_BUNDLE"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
