"""`iamaudit undo`: what the plans of a run deactivated, made active again."""

from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli import planning
from auditor.cli.apply import apply_code
from auditor.cli.connection import connected
from auditor.remediation.rails import Limits
from auditor.store.output import STORE
from auditor.wiring.clock import SystemClock
from auditor.wiring.remediation import Applied, ApplyOptions, settle, undo_plans
from auditor.wiring.remediation import undo as take_back


@connected
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="id of a stored run, or latest")],
    *,
    key: Annotated[
        list[str],
        typer.Option("--key", metavar="ID", help="only this key, even if quarantined; repeatable"),
    ] = [],
    yes: planning.Yes = False,
    store: given.Store = None,
    output: given.OutputFolder = Path("reports"),
    window: planning.InWindow = None,
    connection: Connection,
) -> None:
    """Activate again what the plans of a run deactivated and is still inactive.

    Exits with 4 where not every key was restored.
    """
    planning.must_be_answerable(yes=yes)
    options = ApplyOptions(
        connection=connection,
        limits=Limits(),
        window=planning.parse_window_option(window),
    )
    console, file, clock = Console(), store or output / STORE, SystemClock()
    for each in anyio.run(partial(settle, file, run, options, clock=clock)):
        planning.show_outcomes(each, console)
    plans = undo_plans(file, run, keys=key, clock=clock)
    for plan in plans:
        planning.confirm(plan, console, yes=yes)
    done: list[Applied] = anyio.run(partial(take_back, plans, file, options, keys=key, clock=clock))
    for each in done:
        planning.show_outcomes(each, console)
    raise typer.Exit(apply_code(done))
