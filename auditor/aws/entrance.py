"""The ways into accounts: with the caller's own credentials, a profile's, or a role's."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aioboto3

from auditor.aws.caller import check_account, identity
from auditor.aws.calls import Calls
from auditor.aws.clients import Clients
from auditor.aws.connection import Connection
from auditor.aws.credentials import RoleCredentials
from auditor.aws.errors import failures
from auditor.aws.permissions import check_size, session_policy
from auditor.aws.throttle import Pace
from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import Account, Via
from auditor.ports import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Whose credentials are used in an account."""

    session: aioboto3.Session
    credentials: RoleCredentials | None
    """None means those of the session."""
    via: Via
    role_arn: str | None


class Entrance:
    """Gets credentials for accounts, as `connection` says; what it gives may raise AwsFailure.

    `sts` is the caller's own client, which must stay open: credentials are renewed by it.
    """

    def __init__(
        self,
        connection: Connection,
        clients: Clients,
        *,
        sts: Any,
        calls: Calls,
        caller: Caller,
        session_name: str,
        pace: Pace,
    ) -> None:
        """Assume roles at `pace`."""
        self._connection = connection
        self._clients = clients
        self._sts = sts
        self._calls = calls
        self._caller = caller
        self._session_name = session_name
        self._pace = pace

    async def who_calls(self) -> Caller:
        """Return who signs with the caller's own credentials now; raise AwsFailure."""
        return await identity(self._sts, self._calls)

    def to_read(
        self, account: Account, policy: str | None = None
    ) -> AbstractAsyncContextManager[Entry]:
        """Give credentials for reading while the context lasts.

        By the first of `roles_to_read` that lets us in, where a role is the way; it is held to the
        session policy, None meaning that of a scan.
        """
        arns = roles_to_read(account, self._connection, self._caller)
        if arns is None:
            return self._directly(account)
        return self._by_role(account, arns, policy or session_policy())

    def to_write(self, account: Account, policy: str) -> AbstractAsyncContextManager[Entry]:
        """Give credentials for writing, held to the session policy where a role is assumed."""
        if _is_direct(account, self._caller):
            return self._directly(account)
        arn = role_arn(account, self._connection.write_role_name, self._caller)
        return self._by_role(account, [arn], check_size(policy))

    @asynccontextmanager
    async def _directly(self, account: Account) -> AsyncIterator[Entry]:
        session = self._clients.own
        if account.profile is not None:
            session = self._clients.profile(account.profile)
            async with self._clients.client(session, "sts") as sts:
                found = (await identity(sts, self._calls)).account_id
            check_account(account, found, f"the profile {account.profile}")
        yield Entry(session=session, credentials=None, via=Via.CALLER, role_arn=None)

    @asynccontextmanager
    async def _by_role(
        self, account: Account, arns: Sequence[str], policy: str
    ) -> AsyncIterator[Entry]:
        """Assume the first role that lets us; raise the last refusal.

        The client that assumes it stays open, for the credentials to be renewed.
        """
        async with AsyncExitStack() as stack:
            sts = self._sts
            if account.profile is not None:
                session = self._clients.profile(account.profile)
                sts = await stack.enter_async_context(self._clients.client(session, "sts"))
            refused: AwsFailure | None = None
            for arn in arns:
                try:
                    credentials = await RoleCredentials.assume(
                        partial(self._assume, sts, account, arn, policy)
                    )
                except AwsFailure as failure:
                    if failure.kind is not FailureKind.DENIED:
                        raise
                    refused = failure
                else:
                    break
            else:
                raise refused or RuntimeError("no role to assume")
            yield Entry(
                session=self._clients.own, credentials=credentials, via=Via.ROLE, role_arn=arn
            )

    async def _assume(self, sts: Any, account: Account, arn: str, policy: str) -> Mapping[str, Any]:
        optional = {
            "ExternalId": account.external_id or self._connection.external_id,
            "SourceIdentity": self._connection.source_identity,
        }
        ask = partial(
            sts.assume_role,
            RoleArn=arn,
            RoleSessionName=self._session_name,
            Policy=policy,
            **{name: value for name, value in optional.items() if value is not None},
        )
        await self._pace.turn()
        answer = await self._calls.call("sts:AssumeRole", ask)
        with failures("sts:AssumeRole"):
            credentials: Mapping[str, Any] = answer["Credentials"]
            assumed = str(answer["AssumedRoleUser"]["Arn"])
        check_account(account, assumed.split(":")[4], f"the role {arn}")
        return credentials


def roles_to_read(account: Account, connection: Connection, caller: Caller) -> list[str] | None:
    """Return the ARNs of the roles to try in turn; None where other credentials are the way in.

    A role ARN given for the account is assumed in any case, else those by name unless the account
    is the caller's own or has a profile.
    """
    if account.role_arn is not None:
        return [account.role_arn]
    if _is_direct(account, caller):
        return None
    return [role_arn(account, name, caller) for name in connection.role_names]


def role_arn(account: Account, name: str, caller: Caller) -> str:
    """Return the ARN of a role in the account; the name may contain a path."""
    return f"arn:{caller.partition}:iam::{account.id}:role/{name}"


def _is_direct(account: Account, caller: Caller) -> bool:
    return account.profile is not None or account.id == caller.account_id


async def credentials_of(entry: Entry) -> Any:
    """Return the SDK's credentials of an entry, None where there are none; raise AwsFailure."""
    if entry.credentials is not None:
        return entry.credentials
    with failures("sts:GetCallerIdentity"):
        return await entry.session.get_credentials()
