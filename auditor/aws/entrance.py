"""The ways into accounts: with the caller's own credentials, a profile's, or a role's."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import aioboto3

from auditor.aws.caller import check_account, identity
from auditor.aws.calls import Calls
from auditor.aws.clients import Clients
from auditor.aws.connection import Connection
from auditor.aws.credentials import RoleCredentials
from auditor.aws.errors import failures
from auditor.aws.permissions import TOO_LARGE, check_size, read_session_policies
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
    renewed_via: Callable[[], Via] | None = None
    """Tells what `via` is by now, where a renewal may change it."""


_SessionPolicies: TypeAlias = Sequence[tuple[Via, str | None]]
"""Session policies with what they are called, each for where the one before is too large."""


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
        self._read_policies = read_session_policies()
        self._shortened: dict[str | None, int] = {}
        """Which of the policies for reading fits, by the profile that assumes the roles."""

    async def who_calls(self) -> Caller:
        """Return who signs with the caller's own credentials now; raise AwsFailure."""
        return await identity(self._sts, self._calls)

    def to_read(
        self, account: Account, policy: str | None = None
    ) -> AbstractAsyncContextManager[Entry]:
        """Give credentials for reading while the context lasts.

        By the first of `roles_to_read` that lets us in, where a role is the way; it is held to the
        session policy. None means that of a scan, or where AWS finds it too large a shorter one.
        """
        arns = roles_to_read(account, self._connection, self._caller)
        if arns is None:
            return self._directly(account)
        policies = self._read_policies if policy is None else ((Via.ROLE, policy),)
        return self._by_role(account, arns, policies)

    def to_write(self, account: Account, policy: str) -> AbstractAsyncContextManager[Entry]:
        """Give credentials for writing, held to the session policy where a role is assumed."""
        if _is_direct(account, self._caller):
            return self._directly(account)
        arn = role_arn(account, self._connection.write_role_name, self._caller)
        return self._by_role(account, [arn], ((Via.ROLE, check_size(policy)),))

    @asynccontextmanager
    async def _directly(self, account: Account) -> AsyncIterator[Entry]:
        session = self._clients.own
        if account.profile is not None:
            session = self._clients.profile(account.profile)
            with _of_profile(account.profile):
                async with self._clients.client(session, "sts") as sts:
                    found = (await identity(sts, self._calls)).account_id
            check_account(account, found, f"the profile {account.profile}")
        yield Entry(session=session, credentials=None, via=Via.CALLER, role_arn=None)

    @asynccontextmanager
    async def _by_role(
        self, account: Account, arns: Sequence[str], policies: _SessionPolicies
    ) -> AsyncIterator[Entry]:
        """Assume the first role that lets us; raise the last refusal.

        The client that assumes it stays open, for the credentials to be renewed.
        """
        held = _Held(via=policies[0][0])
        async with AsyncExitStack() as stack:
            sts = self._sts
            if account.profile is not None:
                session = self._clients.profile(account.profile)
                with _of_profile(account.profile):
                    sts = await stack.enter_async_context(self._clients.client(session, "sts"))
            refused: AwsFailure | None = None
            for arn in arns:
                try:
                    credentials = await RoleCredentials.assume(
                        partial(self._assume_under, policies, held, sts, account, arn)
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
                session=self._clients.own,
                credentials=credentials,
                via=held.via,
                role_arn=arn,
                renewed_via=lambda: held.via,
            )

    async def _assume_under(
        self, policies: _SessionPolicies, held: "_Held", sts: Any, account: Account, arn: str
    ) -> Mapping[str, Any]:
        """Assume the role under the first session policy that AWS does not find too large.

        The session tags that leave no room are the caller's: what fits one account fits all, so the
        next one begins where this one ended.
        """
        while True:
            at = self._shortened.get(account.profile, 0) if len(policies) > 1 else 0
            via, policy = policies[at]
            try:
                credentials = await self._assume(sts, account, arn, policy)
            except AwsFailure as failure:
                if not failure.code.startswith(TOO_LARGE):
                    raise
                if at + 1 == len(policies):
                    raise _too_large(failure) from None
                known = self._shortened.get(account.profile, 0)
                self._shortened[account.profile] = max(known, at + 1)
            else:
                held.via = via
                return credentials

    async def _assume(
        self, sts: Any, account: Account, arn: str, policy: str | None
    ) -> Mapping[str, Any]:
        optional = {
            "Policy": policy,
            "ExternalId": account.external_id or self._connection.external_id,
            "SourceIdentity": self._connection.source_identity,
        }
        ask = partial(
            sts.assume_role,
            RoleArn=arn,
            RoleSessionName=self._session_name,
            **{name: value for name, value in optional.items() if value is not None},
        )
        await self._pace.turn()
        with _of_profile(account.profile):
            answer = await self._calls.call("sts:AssumeRole", ask)
        with failures("sts:AssumeRole"):
            credentials: Mapping[str, Any] = answer["Credentials"]
            assumed = str(answer["AssumedRoleUser"]["Arn"])
        check_account(account, assumed.split(":")[4], f"the role {arn}")
        return credentials


@dataclass(slots=True, kw_only=True)
class _Held:
    """Which session policy the credentials at hand are held to; a renewal may change it."""

    via: Via


def _too_large(failure: AwsFailure) -> AwsFailure:
    """Return the failure where there is no other session policy to try."""
    return AwsFailure(
        operation=failure.operation,
        code=TOO_LARGE,
        message=f"{failure.message}; the caller's session tags leave no room for the session"
        " policy: call with fewer or shorter ones",
        kind=failure.kind,
    )


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


@contextmanager
def _of_profile(name: str | None) -> Iterator[None]:
    """Name the profile in what is wrong with its credentials, or with the way to use them."""
    try:
        yield
    except AwsFailure as failure:
        named = name is None or f"profile {name}" in failure.message
        if failure.kind is not FailureKind.DENIED and not named:
            failure.message = f"profile {name}: {failure.message}"
        raise


async def credentials_of(entry: Entry) -> Any:
    """Return the SDK's credentials of an entry, None where there are none; raise AwsFailure."""
    if entry.credentials is not None:
        return entry.credentials
    with failures("sts:GetCallerIdentity"):
        return await entry.session.get_credentials()
