"""`iamaudit undo`: what the plans of a run deactivated, made active again."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli import planning
from auditor.cli.advice import command
from auditor.cli.apply import apply_code
from auditor.cli.connection import connected
from auditor.model.outcome import Result
from auditor.remediation.rails import Limits
from auditor.store.output import STORE
from auditor.wiring.clock import SystemClock
from auditor.wiring.remediation import Applied, ApplyOptions
from auditor.wiring.remediation import undo as take_back


@connected
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="id of a stored run, or latest")],
    *,
    key: Annotated[
        list[str],
        typer.Option(
            "--key",
            metavar="ID",
            help="only this key, even if it is quarantined or was used since; repeatable",
        ),
    ] = [],
    yes: planning.Yes = False,
    store: given.Store = None,
    output: given.OutputFolder = Path("reports"),
    window: planning.InWindow = None,
    connection: Connection,
) -> None:
    """Reactivate the keys that the plans of a run deactivated, if they are still inactive.

    A key that somebody else restored and ended again since is held back unless --key names it.
    Exits with 4 where not every key was restored.
    """
    planning.must_be_answerable(yes=yes)
    options = ApplyOptions(
        connection=connection,
        limits=Limits(),
        window=planning.parse_window_option(window),
    )
    console = Console()
    done: list[Applied] = anyio.run(
        partial(
            take_back,
            store or output / STORE,
            run,
            options,
            keys=key,
            clock=SystemClock(),
            confirm=partial(planning.confirm, console=console, yes=yes),
            show=partial(planning.show_outcomes, console=console),
        )
    )
    for each in done:
        planning.show_outcomes(each, console)
    for line in _again(done, connection):
        typer.echo(line, err=True)
    raise typer.Exit(apply_code(done))


def _again(done: list[Applied], connection: Connection) -> Iterator[str]:
    """Yield how to end again what was restored: by hand, since plans leave it alone for a time."""
    restored = [
        action
        for each in done
        for action in each.plan.actions
        if action.id in each.outcomes and each.outcomes[action.id].result is Result.APPLIED
    ]
    for each in restored[:1]:
        words = ("keys", "deactivate", each.access_key_id, "--user", each.user_name)
        place = ("--account", each.account_id)
        line = command(*words, *place, connection=connection)
        yield f"To end {'it' if len(restored) == 1 else 'one of them'} again: {line}"
