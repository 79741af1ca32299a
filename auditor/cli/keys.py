"""`iamaudit keys …`: the keys of one user, one operation at a time."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor import fanout
from auditor.aws.connection import Connection
from auditor.cli import planning
from auditor.cli.advice import SESSIONS_REMAIN, command
from auditor.cli.connection import connected
from auditor.cli.exits import ExitCode
from auditor.errors import AuditError, InterruptedAuditError
from auditor.formats.templates import printable
from auditor.model.access_key import AccessKey, AccessKeyId, LastUse, NeverUsed, Used
from auditor.model.account import AccountId, parse_account_id
from auditor.model.outcome import Outcome, Result
from auditor.model.plan import ActionKind, Protection
from auditor.remediation.actions import GRANTS
from auditor.remediation.user_keys import say
from auditor.store.encoding import instant
from auditor.wiring.clock import SystemClock
from auditor.wiring.keys import Keys, Target, keys_of
from auditor.wiring.sinks import SinkChoice

T = TypeVar("T")
# For what takes nothing away.
_UNPROTECTED = Protection()

keys = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Access keys of one user: list, last-used, create, activate, deactivate, delete, rotate,"
    " tour. Long-lived keys are the wrong way to sign in: prefer roles and federation.",
)
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="access key id")]
User = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="NAME", help="whose keys; the caller's own where left out",
        show_default=False,
    ),
]  # fmt: skip
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account", metavar="ID", help="account of the user, entered by the role for writing",
        show_default=False,
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
ShowSecret = Annotated[
    bool, typer.Option("--show-secret", help="print the secret, this once, on stdout")
]


@keys.command("list")
@connected
def list_(
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    as_json: AsJson = False,
) -> None:
    """List the keys of a user, with status, age and last use."""

    async def work(found: Keys) -> Sequence[AccessKey]:
        return await found.keys.list()

    listed = _run(connection, user, account, work)
    if as_json:
        typer.echo(json.dumps([_plain(key) for key in listed], indent=2))
        return
    now = SystemClock().now()
    table = Table(box=None, pad_edge=False)
    for heading in ("key", "status", "created", "age", "last use"):
        table.add_column(heading, no_wrap=heading == "key")
    for key in listed:
        assert key.created_at is not None  # noqa: S101 -- only a root key's may be unknown
        age = f"{(now - key.created_at).days} d"
        row = (str(key.id), key.status.value, f"{key.created_at:%Y-%m-%d}", age, say(key.last_use))
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table if listed else "no access keys")


@keys.command("last-used")
@connected
def last_used(
    key: KeyId,
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell when, for which service and in which region a key was last used."""

    async def work(found: Keys) -> LastUse:
        return await found.keys.last_use(AccessKeyId(key))

    if not key:
        raise AuditError("the key id is empty", hint="iamaudit keys list shows those there are")
    use = _run(connection, user, account, work)
    if as_json:
        typer.echo(json.dumps({"access_key_id": key, "last_used": _use(use)}, indent=2))
    else:
        typer.echo(printable(f"{key}: {say(use)}"))


@keys.command()
@connected
def create(
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    sink: planning.Sink = None,
    kms_key_id: planning.KmsKey = None,
    show_secret: ShowSecret = False,
    as_json: AsJson = False,
) -> None:
    """Create a key, of two at most; its secret goes to --sink, or is shown once."""
    chosen = planning.parse_sink_option(sink, kms_key_id)
    if chosen is None and not show_secret:
        raise AuditError(
            "the secret of a new key must go somewhere: AWS tells it once",
            hint="give --sink secretsmanager, --sink file:DIR, or --show-secret",
        )

    async def work(found: Keys) -> dict[str, Any]:
        made = await found.keys.create(found.sink, partial(typer.echo, err=True))
        told = {
            "user_name": found.owner.user_name,
            "access_key_id": made.key.id,
            "created_at": instant(made.key.created_at),
            "secret_in": made.secret_in,
        }
        return told | ({"secret_access_key": made.key.secret} if show_secret else {})

    grants = ("iam:CreateAccessKey", "iam:DeleteAccessKey")
    told = _run(connection, user, account, work, actions=grants, sink=chosen)
    _say_undo(ActionKind.ROTATE, told["access_key_id"], user, account, connection)
    _warn()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(told["access_key_id"])
    if told["secret_in"]:
        typer.echo(printable(f"its secret is in {told['secret_in']}"))
    if show_secret:
        typer.echo(told["secret_access_key"])


@keys.command()
@connected
def activate(
    key: KeyId,
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a key active."""
    _change(connection, ActionKind.ACTIVATE, key, user, account, as_json=as_json)


@keys.command()
@connected
def deactivate(
    key: KeyId,
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    protect: planning.Protect = [],
    protect_tag: planning.ProtectTag = None,
    as_json: AsJson = False,
) -> None:
    """Make a key inactive; activate takes it back. Sessions begun with it go on."""
    _change(
        connection,
        ActionKind.DEACTIVATE,
        key,
        user,
        account,
        protection=planning.parse_protection(protect, protect_tag),
        as_json=as_json,
    )


@keys.command()
@connected
def delete(
    key: KeyId,
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    protect: planning.Protect = [],
    protect_tag: planning.ProtectTag = None,
    yes: planning.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete an inactive key; nothing takes that back. Sessions begun with it go on."""
    planning.must_be_answerable(yes=yes)
    _change(
        connection,
        ActionKind.DELETE,
        key,
        user,
        account,
        protection=planning.parse_protection(protect, protect_tag),
        question=None if yes else f"Delete {key} for good?",
        as_json=as_json,
    )


@keys.command()
@connected
def rotate(
    *,
    connection: Connection,
    user: User = None,
    account: AccountOption = None,
    protect: planning.Protect = [],
    protect_tag: planning.ProtectTag = None,
    sink: planning.Sink = None,
    kms_key_id: planning.KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Create a second key whose secret goes to --sink; the old key stays until it is idle."""
    chosen = planning.parse_sink_option(sink, kms_key_id)
    if chosen is None:
        raise AuditError(
            "rotation needs a place for the new secret",
            hint="give --sink secretsmanager or --sink file:DIR",
        )

    async def work(found: Keys) -> Outcome:
        assert found.sink is not None  # noqa: S101 -- asked for above
        return await found.keys.rotate(found.sink, partial(typer.echo, err=True))

    grants = GRANTS[ActionKind.ROTATE]
    outcome = _run(
        connection,
        user,
        account,
        work,
        actions=grants,
        sink=chosen,
        protection=planning.parse_protection(protect, protect_tag),
    )
    if outcome.result is Result.APPLIED and outcome.new_key_id is not None:
        _say_undo(ActionKind.ROTATE, outcome.new_key_id, user, account, connection)
    _tell(outcome, "rotate", as_json=as_json)


@keys.command()
@connected
def tour(*, connection: Connection, as_json: AsJson = False) -> None:
    """Go through create, list, last use, deactivate and delete on the current user."""
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if not as_json:
            typer.echo(printable(line))

    async def work(found: Keys) -> None:
        await found.keys.tour(tell)

    grants = ("iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey")
    try:
        _run(connection, None, None, work, actions=grants)
    finally:
        if as_json:
            typer.echo(json.dumps(told, indent=2))
    _warn()


def _change(
    connection: Connection,
    kind: ActionKind,
    key: str,
    user: str | None,
    account: str | None,
    *,
    protection: Protection = _UNPROTECTED,
    question: str | None = None,
    as_json: bool,
) -> None:
    async def work(found: Keys) -> Outcome:
        if question is not None:
            planning.ask(question, Console(stderr=True))
        return await found.keys.change(kind, AccessKeyId(key))

    outcome = _run(connection, user, account, work, actions=GRANTS[kind], protection=protection)
    if outcome.result is Result.APPLIED:
        _say_undo(kind, key, user, account, connection)
        if kind is not ActionKind.ACTIVATE:
            typer.echo(SESSIONS_REMAIN, err=True)
    _tell(outcome, f"{kind} {key}", as_json=as_json)


# What takes a change back; a new key is deactivated before it is deleted.
_BACK = {
    ActionKind.ACTIVATE: "deactivate",
    ActionKind.DEACTIVATE: "activate",
    ActionKind.ROTATE: "deactivate",
}


def _say_undo(
    kind: ActionKind, key: str, user: str | None, account: str | None, connection: Connection
) -> None:
    if kind not in _BACK:
        return
    where = [*(["--user", user] if user else []), *(["--account", account] if account else [])]
    again = command("keys", _BACK[kind], key, *where, connection=connection)
    typer.echo(f"To take it back: {again}", err=True)


def _tell(outcome: Outcome, what: str, *, as_json: bool) -> None:
    """Print how it ended; exit with 4 where it was not done."""
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "result": outcome.result,
                    "reason": outcome.reason,
                    "request_id": outcome.request_id,
                    "new_access_key_id": outcome.new_key_id,
                    "secret_in": outcome.secret_in,
                },
                indent=2,
            )
        )
    else:
        why = f": {outcome.reason}" if outcome.reason else ""
        typer.echo(printable(f"{what}: {outcome.result}{why}"))
    if outcome.result is not Result.APPLIED:
        raise typer.Exit(ExitCode.NOTHING)


def _run(
    connection: Connection,
    user: str | None,
    account: str | None,
    work: Callable[[Keys], Awaitable[T]],
    *,
    actions: Iterable[str] = (),
    sink: SinkChoice | None = None,
    protection: Protection = _UNPROTECTED,
) -> T:
    """Do the work in a session that may do no more than `actions`, and read.

    Where it may change something, say first as whom and where.
    """
    if user == "":
        raise AuditError("--user is empty", hint="name a user, or leave it out")
    target = Target(user=user, account=None if account is None else _account(account))
    done: list[T] = []

    async def inside() -> None:
        async with keys_of(
            target,
            connection,
            actions=tuple(actions),
            sink=sink,
            protection=protection,
            clock=SystemClock(),
        ) as found:
            if actions:
                whose = f"{found.owner.user_name} in account {found.owner.account.id}"
                typer.echo(printable(f"As {found.caller.arn}, for {whose}"), err=True)
            done.append(await work(found))

    interrupted = anyio.run(fanout.until_interrupted, inside)
    if not done:
        raise InterruptedAuditError("interrupted", hint="iamaudit keys list shows what there is")
    if interrupted:
        typer.echo("Interrupted, when it was done:", err=True)
    return done[0]


def _account(text: str) -> AccountId:
    try:
        return parse_account_id(text)
    except ValueError as error:
        raise AuditError(f"--account: {error}", hint="write its 12 digits") from None


def _plain(key: AccessKey) -> dict[str, Any]:
    return {
        "access_key_id": key.id,
        "status": key.status,
        "created_at": instant(key.created_at),
        "last_used": _use(key.last_use),
    }


def _use(use: LastUse) -> dict[str, Any]:
    match use:
        case Used(at=at, service=service, region=region):
            return {"state": "used", "at": instant(at), "service": service, "region": region}
        case NeverUsed():
            return {"state": "never"}
        case unknown:
            return {"state": "unknown", "reason": unknown.reason}


def _warn() -> None:
    typer.echo(
        "A key that lasts is the wrong way to sign in: prefer a role, IAM Identity Center,"
        " Roles Anywhere or OIDC.",
        err=True,
    )
