"""`iamaudit scan`: read every key, judge it, report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli import planning
from auditor.cli.connection import connected
from auditor.cli.run import Remediation, run_scan
from auditor.config import (
    DEFAULT_CONCURRENCY,
    DEFAULT_FORMATS,
    ScanOptions,
    Source,
    TransportName,
    check_only_new,
    parse_fail_on,
    parse_formats,
    parse_instant,
    parse_templates,
)
from auditor.errors import AuditError
from auditor.wiring.cluster import check_workers
from auditor.wiring.remediation import ApplyOptions


class Remediate(StrEnum):
    """How far a scan goes beyond looking."""

    DRY_RUN = "dry-run"
    APPLY = "apply"


@connected
def scan(
    ctx: typer.Context,
    *,
    accounts: given.Accounts = ["self"],
    exclude: given.Exclude = [],
    source: given.FromSource = Source.LIVE,
    transport: given.TransportOption = TransportName.FAST,
    connection: Connection,
    concurrency: given.Concurrency = DEFAULT_CONCURRENCY,
    workers: given.Workers = None,
    scheduler: given.Scheduler = None,
    policy: given.Policies = ["baseline"],
    now: given.Now = None,
    fail_on: given.FailOn = "low",
    baseline: given.Baseline = None,
    only_new: given.OnlyNew = False,
    resume: given.Resume = None,
    remediate: Annotated[
        Remediate | None,
        typer.Option(
            "--remediate",
            rich_help_panel=planning.PLANNING,
            help="plan what to change; apply changes it after a confirmation",
            show_default=False,
        ),
    ] = None,
    only: planning.Only = [],
    limit: planning.Limit = None,
    protect: planning.Protect = [],
    protect_tag: planning.ProtectTag = None,
    allow_delete: planning.AllowDelete = False,
    allow_rotate: planning.AllowRotate = False,
    sink: planning.Sink = None,
    kms_key_id: planning.KmsKey = None,
    max_actions: planning.MaxActions = planning.DEFAULT_MAX_ACTIONS,
    max_share: planning.MaxShare = None,
    window: planning.InWindow = None,
    yes: planning.Yes = False,
    format_: given.Formats = list(DEFAULT_FORMATS),
    template: given.Templates = [],
    mask_keys: given.MaskKeys = False,
    output: given.OutputFolder = Path("reports"),
    quiet: given.Quiet = False,
    log_level: given.LogLevel = "warning",
) -> None:
    """Read every access key of the accounts, live, judge each, and write the reports.

    Exit codes: 0 clean, 1 open findings, 2 wrong usage, 3 incomplete, 4 nothing audited or not all
    of a plan applied, 130 interrupted.
    """
    if remediate is None:
        planning.check_used(ctx, planning.OF_PLANS | planning.OF_APPLIES, "--remediate")
    elif remediate is not Remediate.APPLY:
        planning.check_used(ctx, planning.OF_APPLIES, "--remediate apply")
    in_window = planning.parse_window_option(window)
    check_workers(workers, scheduler)
    check_only_new(only_new=only_new, baseline=baseline)
    chosen_sink = planning.parse_sink_option(sink, kms_key_id)
    asked = ScanOptions(
        accounts=tuple(accounts),
        exclude=tuple(exclude),
        connection=connection,
        policies=tuple(policy),
        source=source,
        transport=transport,
        concurrency=concurrency,
        workers=workers,
        scheduler=scheduler,
        formats=parse_formats(tuple(format_)),
        templates=parse_templates(template),
        mask_keys=mask_keys,
        output=output,
        fail_on=parse_fail_on(fail_on),
        baseline=baseline,
        only_new=only_new,
        resume=resume,
        now=None if now is None else parse_instant(now),
        planning=None
        if remediate is None
        else planning.parse_planning(
            only=only,
            limit=limit,
            protect=protect,
            protect_tag=protect_tag,
            allow_delete=allow_delete,
            allow_rotate=allow_rotate,
            sink=chosen_sink,
        ),
    )
    limits = planning.parse_limits(
        allow_delete=allow_delete,
        allow_rotate=allow_rotate,
        max_actions=max_actions,
        max_share=max_share,
    )
    remediation = None
    if remediate is Remediate.APPLY:
        planning.must_be_answerable(yes=yes)
        if asked.now is not None:
            raise AuditError(
                "--remediate apply judges at the real time",
                hint="leave out --now, or use --remediate dry-run",
            )
        remediation = Remediation(
            options=ApplyOptions(
                connection=connection,
                limits=limits,
                sink=chosen_sink,
                window=in_window,
                protection=planning.parse_protection(protect, protect_tag),
            ),
            yes=yes,
        )
    code, _ = run_scan(
        asked, quiet=quiet, log_level=log_level, limits=limits, remediation=remediation
    )
    raise typer.Exit(code)
