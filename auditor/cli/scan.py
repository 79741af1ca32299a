"""`iamaudit scan`: read every key, judge it, report."""

from pathlib import Path

import typer

from auditor.aws.session import Connection
from auditor.cli import options as given
from auditor.cli.run import run_scan
from auditor.config import (
    DEFAULT_CONCURRENCY,
    DEFAULT_FORMATS,
    ScanOptions,
    parse_fail_on,
    parse_formats,
    parse_instant,
)


def scan(
    *,
    accounts: given.Accounts = ["self"],
    exclude: given.Exclude = [],
    role_name: given.RoleNames = ["iamaudit-read"],
    external_id: given.ExternalId = None,
    source_identity: given.SourceIdentity = None,
    profile: given.Profile = None,
    region: given.Region = None,
    endpoint_url: given.EndpointUrl = None,
    concurrency: given.Concurrency = DEFAULT_CONCURRENCY,
    policy: given.Policies = ["baseline"],
    now: given.Now = None,
    fail_on: given.FailOn = "low",
    format_: given.Formats = list(DEFAULT_FORMATS),
    output: given.OutputFolder = Path("reports"),
    quiet: given.Quiet = False,
    log_level: given.LogLevel = "warning",
) -> None:
    """Read every access key of the accounts, live, judge each, and write the reports.

    Exit codes: 0 clean, 1 open findings, 2 wrong usage, 3 incomplete, 4 nothing audited,
    130 interrupted.
    """
    connection = Connection(
        role_names=tuple(role_name),
        external_id=external_id,
        source_identity=source_identity,
        profile=profile,
        region=region,
        endpoint_url=endpoint_url,
    )
    asked = ScanOptions(
        accounts=tuple(accounts),
        exclude=tuple(exclude),
        connection=connection,
        policies=tuple(policy),
        concurrency=concurrency,
        formats=parse_formats(tuple(format_)),
        output=output,
        fail_on=parse_fail_on(fail_on),
        now=None if now is None else parse_instant(now),
    )
    code, _ = run_scan(asked, quiet=quiet, log_level=log_level)
    raise typer.Exit(code)
