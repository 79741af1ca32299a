"""`iamaudit permissions`: the least IAM policy for each purpose."""

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from auditor.aws.permissions import Purpose, Statement, least, policy_document
from auditor.cli import options as given
from auditor.cli import planning
from auditor.errors import AuditError
from auditor.wiring.deploy import check_account, check_partition, check_role
from auditor.wiring.sinks import SinkChoice


class Format(StrEnum):
    """How a policy is printed."""

    JSON = "json"
    TEXT = "text"


def permissions(
    purpose: Annotated[
        Purpose,
        typer.Argument(
            metavar="PURPOSE",
            help="scan (what it can't do without), enrich (scan and all that our rules look at),"
            " apply, rotate, publish (findings to Security Hub), caller (who enters the accounts)",
        ),
    ],
    *,
    format_: Annotated[
        Format, typer.Option("--format", help="an IAM policy, or one action a line")
    ] = Format.JSON,
    account: Annotated[
        str, typer.Option("--account", metavar="ID", help="account to write into ARNs; * for any")
    ] = "*",
    partition: Annotated[
        str, typer.Option("--partition", metavar="NAME", help="partition to write into ARNs")
    ] = "aws",
    allow_delete: Annotated[
        bool, typer.Option("--allow-delete", help="for apply: let keys be deleted, too")
    ] = False,
    sink: planning.Sink = None,
    role_name: given.RoleNames = ["iamaudit-read"],
) -> None:
    """Print the smallest IAM policy that a task needs.

    A plan that rotates as well as deletes needs rotate, which holds all that apply does.
    """
    chosen = planning.parse_sink_option(sink, None)
    _check_options(purpose, allow_delete=allow_delete, sink=chosen)
    account_id = account if account == "*" else check_account(account, option="--account")
    statements = least(
        purpose,
        partition=check_partition(partition),
        account_id=account_id,
        delete=allow_delete,
        secrets_in=_secrets_in(chosen, account_id),
        role_names=tuple(check_role(name, option="--role-name").whole for name in role_name),
    )
    if format_ is Format.JSON:
        typer.echo(json.dumps(policy_document(statements), indent=2))
        return
    for line in _lines(statements):
        typer.echo(line)


def _check_options(purpose: Purpose, *, allow_delete: bool, sink: SinkChoice | None) -> None:
    if allow_delete and purpose not in {Purpose.APPLY, Purpose.ROTATE}:
        raise AuditError("--allow-delete is for apply", hint="leave it out")
    if sink is not None and purpose is not Purpose.ROTATE:
        raise AuditError("--sink is for rotate", hint="leave it out")


def _secrets_in(sink: SinkChoice | None, account_id: str) -> str | None:
    """Return the account of the secrets; None where they are kept in files."""
    if sink is None:
        return account_id
    return None if sink.folder is not None else sink.account or account_id


def _lines(statements: Sequence[Statement]) -> Iterator[str]:
    """Yield `ACTION on RESOURCE`, one action a line."""
    for each in statements:
        resource = each["Resource"]
        where = ", ".join(resource) if isinstance(resource, list) else str(resource)
        condition = f" if {json.dumps(each['Condition'])}" if "Condition" in each else ""
        actions = each["Action"]
        for action in actions if isinstance(actions, list) else [actions]:
            yield f"{action} on {where}{condition}"
