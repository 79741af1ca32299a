"""`keys`: a session in the account of one user, for one operation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from auditor.aws.connection import Connection
from auditor.aws.session import Aws
from auditor.engine.tally import Tally
from auditor.errors import (
    AuditError,
    AwsFailure,
    ConfigurationFailure,
    FailureKind,
    NothingAuditedError,
)
from auditor.model.account import Account, AccountId
from auditor.model.plan import Protection
from auditor.ports import Caller, Clock, Grant, Owner, SecretSink
from auditor.remediation.own_keys import OwnKeys
from auditor.remediation.user_keys import UserKeys
from auditor.wiring.sinks import SinkChoice, open_sink

_CONCURRENCY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose keys, as asked for."""

    user: str | None = None
    """None: the caller's own user."""
    account: AccountId | None = None
    """None: the caller's own account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of the target, for as long as the session lasts."""

    caller: Caller
    owner: Owner
    keys: UserKeys
    sink: SecretSink | None


@asynccontextmanager
async def keys_of(
    target: Target,
    connection: Connection,
    *,
    actions: tuple[str, ...],
    sink: SinkChoice | None = None,
    protection: Protection,
    clock: Clock,
) -> AsyncIterator[Keys]:
    """Give the keys of the target, for these IAM actions and to read; raise AuditError.

    What AWS refuses or fails inside becomes an AuditError, too.
    """
    aws = Aws(
        connection,
        session_name="iamaudit-keys",
        concurrency=_CONCURRENCY,
        progress=Tally(),
        clock=clock,
        writes=True,
    )
    try:
        async with aws.connect() as caller:
            account = Account(id=target.account or caller.account_id)
            owner = Owner(account=account, user_name=_user(target, caller))
            granted = Grant(actions=dict.fromkeys(actions, _arns(owner, caller.partition)))
            async with aws.open_for(account, granted) as opened:
                own = OwnKeys(
                    caller_arn=caller.arn,
                    key_ids=aws.known_key_ids(),
                    signing_key_id=aws.long_lived_key_id(),
                )
                yield Keys(
                    caller=caller,
                    owner=owner,
                    keys=UserKeys(
                        opened.writer,
                        owner,
                        own=own,
                        user_arn=_arns(owner, caller.partition)[0],
                        protection=protection,
                        clock=clock,
                    ),
                    sink=None if sink is None else open_sink(sink, aws),
                )
    except AwsFailure as failure:
        if isinstance(failure, ConfigurationFailure):
            raise AuditError(failure.message, hint=failure.hint) from None
        if failure.kind is FailureKind.GONE:
            raise AuditError(
                f"AWS knows no such user or key: {failure.message}",
                hint="check --user, --account and the key id",
            ) from None
        raise NothingAuditedError(
            str(failure), hint="check the permissions, --account and --write-role-name"
        ) from None


def _user(target: Target, caller: Caller) -> str:
    """Return the user's name; raise AuditError where the caller is none."""
    if target.user is not None:
        return target.user
    kind, _, path = caller.arn.split(":", 5)[5].partition("/")
    if kind != "user" or target.account not in {None, caller.account_id}:
        raise AuditError(
            f"{caller.arn} has no access keys of its own there", hint="name a user with --user"
        )
    return path.rpartition("/")[2]


def _arns(owner: Owner, partition: str) -> tuple[str, ...]:
    """Return the ARNs that the user may have: its path is not known."""
    prefix = f"arn:{partition}:iam::{owner.account.id}:user/"
    return (prefix + owner.user_name, f"{prefix}*/{owner.user_name}")
