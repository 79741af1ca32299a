"""What plan, apply and undo have in common: options, the plan as a table, the question."""

import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.aws.connection import Connection
from auditor.cli.advice import SESSIONS_REMAIN, command
from auditor.errors import AuditError
from auditor.formats.masked import mask, mask_text
from auditor.formats.templates import count, printable
from auditor.model.access_key import NeverUsed, Used
from auditor.model.outcome import Result
from auditor.model.plan import Action, ActionKind, Plan, Protection
from auditor.remediation.own_keys import same_caller
from auditor.remediation.planner import Planning
from auditor.remediation.rails import MAX_ACTIONS, Limits
from auditor.remediation.window import Window, parse_window
from auditor.wiring.remediation import Applied, Standing, check_limits
from auditor.wiring.sinks import SinkChoice, parse_sink

PLANNING, APPLYING = "Planning", "Applying"

Only = Annotated[
    list[str],
    typer.Option(
        "--only",
        envvar="IAMAUDIT_ONLY",
        metavar="RULE",
        rich_help_panel=PLANNING,
        help="act on the findings of this rule only; repeatable",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        envvar="IAMAUDIT_LIMIT",
        min=1,
        metavar="N",
        rich_help_panel=PLANNING,
        help="at most so many actions: the most severe, then the longest idle, then the oldest",
        show_default=False,
    ),
]
Protect = Annotated[
    list[str],
    typer.Option(
        "--protect",
        envvar="IAMAUDIT_PROTECT",
        metavar="GLOB",
        rich_help_panel=PLANNING,
        help="never touch keys of users whose name or ARN matches; repeatable",
    ),
]
ProtectTag = Annotated[
    str | None,
    typer.Option(
        "--protect-tag",
        envvar="IAMAUDIT_PROTECT_TAG",
        metavar="KEY[=VALUE]",
        rich_help_panel=PLANNING,
        help="never touch keys of users with this tag",
        show_default=False,
    ),
]
# What makes an apply go further comes from the command line alone: no variable, no file.
AllowDelete = Annotated[
    bool,
    typer.Option("--allow-delete", rich_help_panel=APPLYING, help="let keys be deleted, too"),
]
AllowRotate = Annotated[
    bool,
    typer.Option(
        "--allow-rotate", rich_help_panel=APPLYING, help="let keys be rotated, too; needs --sink"
    ),
]
MaxActions = Annotated[
    int,
    typer.Option(
        "--max-actions",
        min=1,
        metavar="N",
        rich_help_panel=APPLYING,
        help="refuse a plan with more actions",
    ),
]
MaxShare = Annotated[
    float | None,
    typer.Option(
        "--max-share",
        min=0,
        max=1,
        metavar="F",
        rich_help_panel=APPLYING,
        help="refuse a plan that deactivates more than this part of an account's active keys",
        show_default=False,
    ),
]
Sink = Annotated[
    str | None,
    typer.Option(
        "--sink",
        envvar="IAMAUDIT_SINK",
        metavar="SINK",
        rich_help_panel=APPLYING,
        help="where secrets of new keys go: secretsmanager, secretsmanager:ACCOUNT, file:DIR",
        show_default=False,
    ),
]
KmsKey = Annotated[
    str | None,
    typer.Option(
        "--kms-key-id",
        envvar="IAMAUDIT_KMS_KEY_ID",
        metavar="ID",
        rich_help_panel=APPLYING,
        help="KMS key that Secrets Manager encrypts with",
        show_default=False,
    ),
]
InWindow = Annotated[
    str | None,
    typer.Option(
        "--window",
        envvar="IAMAUDIT_WINDOW",
        metavar="TIME",
        rich_help_panel=APPLYING,
        help='change keys only then, as in "Mon-Thu 09:00-16:00 Europe/Berlin"',
        show_default=False,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", rich_help_panel=APPLYING, help="apply without asking")
]

_STYLES = {
    Result.APPLIED: "green",
    Result.DRIFTED: "yellow",
    Result.REFUSED: "red",
    Result.UNCLEAR: "bold red",
    Result.SKIPPED: "dim",
}


def parse_protection(protect: list[str], protect_tag: str | None) -> Protection:
    """Return whose keys are never touched."""
    return Protection(patterns=tuple(protect), tag=protect_tag)


def parse_planning(
    *,
    only: list[str],
    limit: int | None,
    protect: list[str],
    protect_tag: str | None,
    allow_delete: bool,
    allow_rotate: bool,
    sink: SinkChoice | None,
) -> Planning:
    """Return what a plan may do; raise AuditError where options contradict each other."""
    if allow_rotate and sink is None:
        raise AuditError(
            "--allow-rotate needs a place for the new secrets",
            hint="give --sink secretsmanager or --sink file:DIR",
        )
    return Planning(
        only=tuple(only),
        limit=limit,
        allow_delete=allow_delete,
        allow_rotate=allow_rotate,
        protection=parse_protection(protect, protect_tag),
    )


def parse_limits(
    *, allow_delete: bool, allow_rotate: bool, max_actions: int, max_share: float | None
) -> Limits:
    """Return what an apply may do."""
    return Limits(
        allow_delete=allow_delete,
        allow_rotate=allow_rotate,
        max_actions=max_actions,
        max_share=max_share,
    )


def parse_sink_option(text: str | None, kms_key_id: str | None) -> SinkChoice | None:
    """Return the sink; raise AuditError for one that is none."""
    return None if text is None else parse_sink(text, kms_key_id=kms_key_id)


def parse_window_option(text: str | None) -> Window | None:
    """Return the window; raise AuditError for one that is none."""
    if text is None:
        return None
    try:
        return parse_window(text)
    except ValueError as error:
        raise AuditError(
            f"--window: {error}", hint='write it as "Mon-Thu 09:00-16:00 Europe/Berlin"'
        ) from None


def must_be_answerable(*, yes: bool) -> None:
    """Raise AuditError where a confirmation is needed and nobody can give it."""
    if not (yes or sys.stdin.isatty()):
        raise AuditError(
            "applying needs a confirmation, and there is no terminal to ask on",
            hint="review the plan, then give --yes",
        )


def confirm(plan: Plan, standing: Standing, console: Console, *, yes: bool) -> None:
    """Show what is done, as whom and where, and ask; raise AuditError where the answer is no."""
    show_plan(plan, console)
    if not plan.actions:
        return
    show_standing(standing, console)
    if yes:
        return
    must_be_answerable(yes=yes)
    lasting = sum(not action.reversible for action in plan.actions)
    if lasting:
        console.print(Text(f"{count(lasting, 'deletion')} can't be undone.", style="bold red"))
    ask(f"Apply {count(len(plan.actions), 'action')}?", console)


def ask(question: str, console: Console) -> None:
    """Ask for a yes; raise AuditError for any other answer, and KeyboardInterrupt at Ctrl-C."""
    # The event loop that waits around a question only notes a first Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer = console.input(Text(printable(f"{question} Type 'yes' to confirm: ")))
    except EOFError:
        answer = ""
    finally:
        signal.signal(signal.SIGINT, before)
    if answer.strip() != "yes":
        raise AuditError("not confirmed: nothing was changed", hint="answer yes, or give --yes")


def show_standing(standing: Standing, console: Console) -> None:
    """Print as whom and in which accounts keys are changed; warn where another one scanned."""
    places = ", ".join(
        f"{account_id} ({name})" if name else account_id
        for account_id, name in sorted(standing.accounts.items())
    )
    number = count(len(standing.accounts), "account")
    console.print(Text(printable(f"As {standing.caller_arn}")), soft_wrap=True)
    console.print(Text(printable(f"in {number}: {places}")), soft_wrap=True)
    if not same_caller(standing.caller_arn, standing.scanned_by):
        warning = f"! This is not who scanned: {standing.scanned_by} did."
        console.print(Text(printable(warning), style="yellow"), soft_wrap=True)


# Options of a plan and of an apply, by the name of their parameter.
OF_PLANS = frozenset({
    "only", "limit", "protect", "protect_tag", "allow_delete", "allow_rotate", "sink", "kms_key_id",
    "max_actions", "max_share",
})  # fmt: skip
OF_APPLIES = frozenset({"window", "yes"})


def check_used(ctx: typer.Context, names: Collection[str], needed: str) -> None:
    """Raise AuditError where the command line has an option that means nothing without another.

    A variable or a file that says it is for the commands that take it, and counts for those.
    """
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise AuditError(
                f"{parameter.opts[0]} means nothing without {needed}",
                hint=f"give {needed}, or leave {parameter.opts[0]} out",
            )


def show_plan(plan: Plan, console: Console, *, mask_keys: bool = False) -> None:
    """Print the actions as a table, and what is held by reason."""
    console.print(Text(f"Plan {plan.id}: {count(len(plan.actions), 'action')}", style="bold"))
    if plan.actions:
        table = Table(box=None, pad_edge=False)
        for heading in ("action", "account", "user", "key", "last use", "because of"):
            table.add_column(heading, overflow="fold", no_wrap=heading in {"account", "key"})
        for action in plan.actions:
            table.add_row(
                action.kind,
                action.account_id,
                Text(printable(action.user_name)),
                mask(action.access_key_id) if mask_keys else action.access_key_id,
                _last_use(action),
                ", ".join(action.because),
            )
        console.print(table)
    for line in map(mask_text, _held(plan)) if mask_keys else _held(plan):
        console.print(Text(printable(line)), soft_wrap=True)
    if not plan.applicable:
        console.print(
            Text("Judged at another time than the keys were read: only to be looked at.", "yellow")
        )


def warn(plan: Plan, store_file: Path, limits: Limits) -> None:
    """Say on stderr where an apply with these limits would refuse the plan, leave apart."""
    limits = replace(limits, allow_delete=True, allow_rotate=True)
    try:
        check_limits(plan, store_file, limits)
    except AuditError as error:
        typer.echo(f"`apply` would refuse this plan: {printable(error)}; {error.hint}", err=True)


def show_outcomes(applied: Applied, console: Console) -> None:
    """Print how each action ended, and the sum."""
    for action in applied.plan.actions:
        outcome = applied.outcomes.get(action.id)
        result = Result.SKIPPED if outcome is None else outcome.result
        line = Text(f"{result:8} ", style=_STYLES[result])
        line.append(
            printable(
                f"{action.kind} {action.access_key_id} of {action.user_name} in {action.account_id}"
            ),
            style="none",
        )
        why = "not carried out" if outcome is None else outcome.reason
        if why:
            line.append(printable(f": {why}"), style="dim")
        if outcome is not None and outcome.secret_in:
            line.append(printable(f" (secret in {outcome.secret_in})"), style="dim")
        console.print(line, soft_wrap=True)
    results = Counter(
        applied.outcomes[action.id].result if action.id in applied.outcomes else Result.SKIPPED
        for action in applied.plan.actions
    )
    told = ", ".join(f"{results[each]} {each}" for each in Result if results[each])
    console.print(Text(told or "nothing to apply", style="bold"))


def after(
    applied: Sequence[Applied], undo: Callable[[str], str], connection: Connection
) -> Iterator[str]:
    """Yield what to know after an apply: the commands that take it back, and what goes on.

    `undo` writes `iamaudit undo` for the id of a run.
    """
    done = [
        (each, action, each.outcomes[action.id])
        for each in applied
        for action in each.plan.actions
        if action.id in each.outcomes and each.outcomes[action.id].result is Result.APPLIED
    ]
    kinds = {action.kind: each.plan.run_id for each, action, _ in done}
    if ActionKind.DEACTIVATE in kinds:
        yield f"To take it back: {undo(kinds[ActionKind.DEACTIVATE])}"
    rotated = [(action, outcome.new_key_id) for _, action, outcome in done if outcome.new_key_id]
    for action, new_key_id in rotated[:1]:
        user = ("--user", action.user_name, "--account", action.account_id)
        again = command("keys", "deactivate", str(new_key_id), *user, connection=connection)
        yield f"To take {'a' if len(rotated) > 1 else 'the'} rotation back: {again}"
    if not kinds.keys().isdisjoint({ActionKind.DEACTIVATE, ActionKind.DELETE}):
        yield SESSIONS_REMAIN


def _held(plan: Plan) -> Iterator[str]:
    if not plan.held:
        return
    reasons = Counter((held.kind, held.reason) for held in plan.held)
    yield f"{count(len(plan.held), 'proposal')} held:"
    for (kind, reason), number in sorted(reasons.items(), key=lambda each: (-each[1], each[0])):
        yield f"  {number} {_noun(kind)}: {reason}"


def _noun(kind: ActionKind) -> str:
    return {
        ActionKind.DEACTIVATE: "to deactivate",
        ActionKind.ACTIVATE: "to activate",
        ActionKind.DELETE: "to delete",
        ActionKind.ROTATE: "to rotate",
    }[kind]


def _last_use(action: Action) -> str:
    match action.expected.last_use:
        case Used(at=at):
            return f"{at:%Y-%m-%d}"
        case NeverUsed():
            return "never"
        case _:
            return "unknown"


DEFAULT_MAX_ACTIONS = MAX_ACTIONS
