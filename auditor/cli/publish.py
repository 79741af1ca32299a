"""`iamaudit publish …`: a stored run's findings sent elsewhere."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.cli.connection import as_given, given_as
from auditor.cli.exits import ExitCode
from auditor.errors import AwsFailure, ConfigurationFailure, FailureKind
from auditor.formats.templates import count, number, printable
from auditor.model import names
from auditor.model.finding import Severity
from auditor.publish.security_hub import Fate
from auditor.store.output import LATEST, STORE
from auditor.wiring.clock import SystemClock
from auditor.wiring.publish import (
    Deliveries,
    Delivery,
    PublishOptions,
    publish_to_security_hub,
)

publish = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Send the findings of a stored run elsewhere: securityhub.",
)

_NAMED = 5
"""How many accounts a line names."""
_NOT_ENABLED = frozenset({"InvalidAccess", "InvalidAccessException"})
_MENDS = {
    FailureKind.DENIED: "grant what iamaudit permissions publish prints",
    FailureKind.THROTTLED: "publish again later",
    FailureKind.CREDENTIALS: "renew the credentials, and check that the region is enabled",
    FailureKind.UNAVAILABLE: "check --region and the network, and publish again",
}
_COLUMNS = (Fate.NEW, Fate.UPDATED, Fate.ARCHIVED, Fate.NOT_LOOKED_AT)

Regions = Annotated[
    list[str],
    typer.Option(
        "--region",
        envvar="IAMAUDIT_REGION",
        metavar="NAME",
        rich_help_panel=given.CONNECTING,
        help="region of the Security Hub to publish to; repeatable; where not given, the profile's",
    ),
]


@publish.callback()
def _publish() -> None:
    """Send the findings of a stored run elsewhere: securityhub."""


def _reached(
    *,
    role_name: given.RoleNames = ["iamaudit-read"],
    external_id: given.ExternalId = None,
    source_identity: given.SourceIdentity = None,
    profile: given.Profile = None,
    region: Regions = [],
    endpoint_url: given.EndpointUrl = None,
    allow_http: given.AllowHttp = False,
) -> tuple[Connection, tuple[str, ...]]:
    regions = [names.checked(names.REGION, each, option="--region") for each in region]
    connection = as_given(
        role_names=role_name,
        external_id=external_id,
        source_identity=source_identity,
        profile=profile,
        region=regions[0] if regions else None,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
    )
    return connection, tuple(dict.fromkeys(regions))


@publish.command()
@given_as("reached", _reached)
def securityhub(
    *,
    run: given.RunName = LATEST,
    store: given.Store = None,
    output: given.OutputFolder = Path("reports"),
    min_severity: Annotated[
        Severity,
        typer.Option(
            "--min-severity",
            envvar="IAMAUDIT_MIN_SEVERITY",
            rich_help_panel=given.JUDGING,
            help="leave out what is less severe",
        ),
    ] = Severity.INFO,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="tell what would be sent; Security Hub is only read"),
    ] = False,
    reached: tuple[Connection, tuple[str, ...]],
) -> None:
    """Send a run's findings to AWS Security Hub CSPM, account by account, in ASFF.

    A finding that was published before is updated; archived where the run looked for it and it is
    gone. Exit codes: 0 all is there, 2 wrong usage, 3 not of all accounts, 4 of none, 130
    interrupted.
    """
    connection, regions = reached
    options = PublishOptions(
        run=run, connection=connection, regions=regions, least=min_severity, dry_run=dry_run
    )
    work = partial(publish_to_security_hub, store or output / STORE, options, clock=SystemClock())
    try:
        found: Deliveries = anyio.run(work, backend="asyncio")
    except KeyboardInterrupt:
        typer.echo("Interrupted; publish again to send the rest", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    _show(found, Console(), dry_run=dry_run)
    raise typer.Exit(_code(found))


def _code(found: Deliveries) -> ExitCode:
    if found.interrupted:
        return ExitCode.INTERRUPTED
    whole = sum(_is_whole(each) for each in found.deliveries)
    if whole == found.expected and found.expected:
        return ExitCode.CLEAN
    done = any(each.failure is None and not each.published.fates[Fate.NEWER]
               for each in found.deliveries)  # fmt: skip
    return ExitCode.INCOMPLETE if done else ExitCode.NOTHING


def _is_whole(each: Delivery) -> bool:
    published = each.published
    return not (each.failure or published.rejected or published.fates[Fate.NEWER])


def _show(found: Deliveries, console: Console, *, dry_run: bool) -> None:
    if found.deliveries:
        console.print(_table(found))
    for line in _problems(found):
        console.print(Text(printable(line), style="red"), soft_wrap=True)
    sums = {fate: sum(each.published.fates[fate] for each in found.deliveries) for fate in Fate}
    told = [f"{number(sums[fate])} {fate}" for fate in _COLUMNS]
    if sums[Fate.BELOW]:
        told.append(f"{number(sums[Fate.BELOW])} left out as less severe")
    did = "would be published" if dry_run else "published"
    console.print(Text(f"Run {printable(found.run_id)} {did}: {', '.join(told)}"), soft_wrap=True)
    missing = found.expected - len(found.deliveries)
    if missing:
        typer.echo(f"Interrupted with {count(missing, 'account')} left; publish again", err=True)


def _table(found: Deliveries) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("account", no_wrap=True)
    for heading in ("name", "region"):
        table.add_column(heading, overflow="fold")
    for fate in _COLUMNS:
        table.add_column(str(fate), justify="right")
    for each in found.deliveries:
        cells = [each.account.id, each.account.name or "", each.region]
        cells += [number(each.published.fates[fate]) for fate in _COLUMNS]
        table.add_row(
            *(Text(printable(cell)) for cell in cells), style="" if _is_whole(each) else "red"
        )
    return table


def _problems(found: Deliveries) -> Iterator[str]:
    """Yield one line for each problem; accounts with the same are told together."""
    together: dict[str, dict[str, str]] = {}
    for each in found.deliveries:
        for line in _told(each):
            told = f"{each.region}: {line}"
            together.setdefault(told.replace(each.account.id, "…"), {})[each.account.id] = told
    for line, accounts in together.items():
        [first, *others] = accounts
        named = ", ".join([first, *others[: _NAMED - 1]])
        more = len(accounts) - _NAMED
        left = f" and {count(more, 'more account')}" if more > 0 else ""
        yield f"{named}{left}, {line if others else accounts[first]}"


def _told(each: Delivery) -> Iterator[str]:
    if each.failure is not None:
        failure = each.failure
        told = f"{failure.operation}: {failure.code}: {failure.message}"
        yield f"{told}; {_mend(failure, each.region)}"
    if each.published.fates[Fate.NEWER]:
        yield "a later run was published there, so nothing was sent; publish the latest run"
    codes: dict[str, list[str]] = {}
    for rejected in each.published.rejected:
        codes.setdefault(f"{rejected.code}: {rejected.message}", []).append(rejected.id)
    for told, ids in codes.items():
        code = told.partition(":")[0]
        mend = _enable(each.region) if code in _NOT_ENABLED else "publish again"
        yield f"{count(len(ids), 'finding')} not taken, such as {ids[0]}: {told}; {mend}"


def _mend(failure: AwsFailure, region: str) -> str:
    if isinstance(failure, ConfigurationFailure):
        return failure.hint
    if failure.code in _NOT_ENABLED:
        return _enable(region)
    if failure.kind is FailureKind.DENIED and failure.operation == "sts:AssumeRole":
        return "iamaudit doctor tells what lets the role be assumed"
    return _MENDS.get(failure.kind, "publish again")


def _enable(region: str) -> str:
    return (
        f"enable Security Hub CSPM there (aws securityhub enable-security-hub --region {region}),"
        " or choose another with --region"
    )
