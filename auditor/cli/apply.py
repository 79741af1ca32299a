"""`iamaudit apply`: exactly a plan, each key read again before it is touched."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from auditor.aws.connection import Connection
from auditor.aws.permissions import secret_session_policy, write_session_policy
from auditor.cli import options as given
from auditor.cli import planning
from auditor.cli.advice import command
from auditor.cli.connection import connected
from auditor.cli.exits import ExitCode
from auditor.model.account import AccountId
from auditor.model.plan import Plan
from auditor.wiring.clock import SystemClock
from auditor.wiring.remediation import Applied, ApplyOptions, read_plan, sessions
from auditor.wiring.remediation import apply as carry_out


@connected
def apply(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="id of a plan in the store, or its plan.json")
    ],
    *,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            rich_help_panel=planning.APPLYING,
            help="go on with an apply that was cut off",
        ),
    ] = False,
    yes: planning.Yes = False,
    show_session_policy: Annotated[
        bool,
        typer.Option(
            "--show-session-policy",
            rich_help_panel=planning.APPLYING,
            help="print what each session may do, and change nothing",
        ),
    ] = False,
    store: given.Store = None,
    output: given.OutputFolder = Path("reports"),
    allow_delete: planning.AllowDelete = False,
    allow_rotate: planning.AllowRotate = False,
    protect: planning.Protect = [],
    protect_tag: planning.ProtectTag = None,
    sink: planning.Sink = None,
    kms_key_id: planning.KmsKey = None,
    max_actions: planning.MaxActions = planning.DEFAULT_MAX_ACTIONS,
    max_share: planning.MaxShare = None,
    window: planning.InWindow = None,
    connection: Connection,
) -> None:
    """Apply a plan: read each key again, change it, verify it, and journal every step.

    A key that was used, changed or deleted since the plan is left alone; so are the users that the
    plan or --protect protects. Exits with 4 where not every action was applied.
    """
    chosen_sink = planning.parse_sink_option(sink, kms_key_id)
    options = ApplyOptions(
        connection=connection,
        limits=planning.parse_limits(
            allow_delete=allow_delete,
            allow_rotate=allow_rotate and chosen_sink is not None,
            max_actions=max_actions,
            max_share=max_share,
        ),
        sink=chosen_sink,
        window=planning.parse_window_option(window),
        resume=resume,
        protection=planning.parse_protection(protect, protect_tag),
    )
    chosen, file = read_plan(plan, store, output)
    if show_session_policy:
        _show_policies(chosen, with_secrets=sink is not None and allow_rotate)
        return
    if chosen.actions:
        planning.must_be_answerable(yes=yes)
    console = Console()
    applied: Applied = anyio.run(
        partial(
            carry_out,
            chosen,
            file,
            options,
            clock=SystemClock(),
            confirm=partial(planning.confirm, console=console, yes=yes),
        )
    )
    planning.show_outcomes(applied, console)
    again = partial(command, "undo", output=output, store=store, connection=connection)
    for line in planning.after([applied], again, connection):
        typer.echo(line, err=True)
    raise typer.Exit(apply_code([applied]))


def _show_policies(plan: Plan, *, with_secrets: bool) -> None:
    """Print the session policies that an apply asks for, one document for each session."""
    for account_id, granted in sessions(plan):
        policies = [write_session_policy(granted)]
        if with_secrets and "iam:CreateAccessKey" in granted.actions:
            policies.append(secret_session_policy(plan.partition, AccountId(account_id)))
        for policy in policies:
            document = {"account": account_id, "policy": json.loads(policy)}
            typer.echo(json.dumps(document, indent=2))
    typer.echo(
        "In the caller's own account no role is assumed: the tool itself holds to the plan there.",
        err=True,
    )


def apply_code(applied: list[Applied]) -> ExitCode:
    """Return 130 where it was interrupted, 4 where not everything was done, else 0."""
    if any(each.interrupted for each in applied):
        return ExitCode.INTERRUPTED
    return ExitCode.CLEAN if all(each.complete for each in applied) else ExitCode.NOTHING
