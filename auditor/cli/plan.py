"""`iamaudit plan`: what to change by a stored run's findings, and what to leave alone."""

from pathlib import Path

import typer
from rich.console import Console

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli import planning
from auditor.cli.advice import SESSIONS_REMAIN, command
from auditor.cli.exits import ExitCode
from auditor.store.output import LATEST, STORE, Output
from auditor.wiring.clock import SystemClock
from auditor.wiring.remediation import make_plan, write_plan


def plan(
    *,
    run: given.RunName = LATEST,
    store: given.Store = None,
    profile: given.Profile = None,
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
    mask_keys: given.MaskKeys = False,
    output: given.OutputFolder = Path("reports"),
) -> None:
    """Plan changes for the findings of a stored run: one action per key, in plan.json.

    Nothing is changed, and nothing asked of AWS. Keys are deactivated at most, unless
    --allow-rotate or --allow-delete are given.
    """
    asked = planning.parse_planning(
        only=only,
        limit=limit,
        protect=protect,
        protect_tag=protect_tag,
        allow_delete=allow_delete,
        allow_rotate=allow_rotate,
        sink=planning.parse_sink_option(sink, kms_key_id),
    )
    target = Output(output)
    target.check()
    file = store or output / STORE
    made = make_plan(file, run, asked, connection=Connection(profile=profile), clock=SystemClock())
    target.prepare()
    path = write_plan(target, made)
    console = Console()
    planning.show_plan(made, console, mask_keys=mask_keys)
    console.print(path, markup=False, soft_wrap=True)
    limits = planning.parse_limits(
        allow_delete=allow_delete,
        allow_rotate=allow_rotate,
        max_actions=max_actions,
        max_share=max_share,
    )
    planning.warn(made, file, limits)
    if made.actions and made.applicable:
        again = command("apply", made.id, output=output, store=store)
        typer.echo(f"Review it, then: {again}", err=True)
        typer.echo(SESSIONS_REMAIN, err=True)
    raise typer.Exit(ExitCode.CLEAN)
