"""The caller's credentials, and from them a session in each account."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aioboto3

from auditor.aws.caller import check_account, identity, no_caller
from auditor.aws.clients import Clients, configured_key_ids, signing_key_id
from auditor.aws.connection import Connection
from auditor.aws.credentials import RoleCredentials
from auditor.aws.errors import failures
from auditor.aws.organizations import OrganizationsReader
from auditor.aws.permissions import (
    WRITING,
    ForbiddenActionError,
    check_size,
    secret_session_policy,
    session_policy,
    write_session_policy,
)
from auditor.aws.readers import ClientReader
from auditor.aws.secrets import Secrets
from auditor.aws.writer import ClientWriter
from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import Account, Via
from auditor.ports import Caller, Clock, Grant, OpenAccount, OpenForWriting, Progress

__all__ = ["Aws", "Connection", "ForbiddenActionError"]

_FIRST_ATTEMPTS, _ATTEMPTS = 3, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Whose credentials are used in an account."""

    session: aioboto3.Session
    credentials: RoleCredentials | None
    via: Via
    role_arn: str | None


class Aws:
    """The way to AWS: the caller, the organization, and sessions in accounts.

    Ports Sessions and WriteSessions.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        session_name: str,
        concurrency: int,
        progress: Progress,
        clock: Clock,
        attempts: int = _ATTEMPTS,
        writes: bool = False,
    ) -> None:
        """Raise AuditError where the profile is none.

        Only with `writes` does the door let through what `open_for` and `open_secrets` are for.
        """
        self._connection = connection
        self._session_name = session_name
        try:
            self._clients = Clients(
                connection,
                concurrency=concurrency,
                progress=progress,
                attempts=attempts,
                permits=WRITING if writes else frozenset(),
            )
        except AwsFailure as failure:
            raise no_caller(failure) from None
        self._stay_open = AsyncExitStack()
        self._sts: Any = None
        self._organizations: Any = None
        self.organizations = OrganizationsReader(self._organizations_client, clock)
        self._caller: Caller | None = None
        self._signing_key_id: str | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Caller]:
        """Find out who calls; raise AuditError where nobody can.

        The caller's own clients stay open while the context lasts.
        """
        own = self._clients.own
        try:
            async with self._clients.client(own, "sts", attempts=_FIRST_ATTEMPTS) as sts:
                self._caller = await identity(sts)
            self._signing_key_id = await signing_key_id(own)
        except AwsFailure as failure:
            raise no_caller(failure) from None
        async with AsyncExitStack() as self._stay_open:
            sts = self._clients.client(own, "sts")
            self._sts = await self._stay_open.enter_async_context(sts)
            yield self._caller

    @property
    def caller(self) -> Caller:
        """Who calls, once connected."""
        if self._caller is None:
            raise RuntimeError("connect() first")
        return self._caller

    def known_key_ids(self) -> frozenset[str]:
        """Return the access keys that the operator works with; raise AuditError.

        All in this machine's AWS configuration, and once connected the one that signs.
        """
        try:
            known = configured_key_ids()
        except AwsFailure as failure:
            raise no_caller(failure) from None
        return known if self._signing_key_id is None else known | {self._signing_key_id}

    @asynccontextmanager
    async def open(self, account: Account) -> AsyncIterator[OpenAccount]:
        """Give a reader of the account while the context lasts; raise AwsFailure.

        A role is assumed except in the caller's own account and where a profile is the way in;
        a role ARN given for the account is assumed in any case.
        """
        if account.role_arn is not None:
            way = self._by_role(account, [account.role_arn], session_policy())
        elif self._is_direct(account):
            way = self._directly(account)
        else:
            arns = [self._role_arn(account, name) for name in self._connection.role_names]
            way = self._by_role(account, arns, session_policy())
        async with way as entry, self._client(entry, "iam") as client:
            reader = ClientReader(client, self.caller.partition)
            yield OpenAccount(reader=reader, via=entry.via, role_arn=entry.role_arn)

    @asynccontextmanager
    async def open_for(self, account: Account, grant: Grant) -> AsyncIterator[OpenForWriting]:
        """Give a writer of the account while the context lasts; raise AwsFailure.

        The role for writing is assumed, under a session policy of the grant; in the caller's own
        account and where a profile is the way in, the writer and the door hold to it. A grant
        that is too large for one session fails with the code PackedPolicyTooLarge.
        """
        way = self._to_write(account, write_session_policy(grant))
        async with (
            way as entry,
            self._client(entry, "iam") as reading,
            self._client(entry, "iam", attempts=1) as changing,
        ):
            writer = ClientWriter(
                reading=reading,
                changing=changing,
                partition=self.caller.partition,
                account_id=account.id,
                grant=grant,
            )
            yield OpenForWriting(writer=writer, via=entry.via, role_arn=entry.role_arn)

    @asynccontextmanager
    async def open_secrets(
        self, account: Account, *, region: str | None = None
    ) -> AsyncIterator[Secrets]:
        """Give the account's secrets while the context lasts; raise AwsFailure.

        The way in is that of `open_for`. `region` None is that of the connection or the profile.
        """
        policy = secret_session_policy(self.caller.partition, account.id)
        async with (
            self._to_write(account, policy) as entry,
            self._client(entry, "secretsmanager", region=region) as client,
        ):
            yield Secrets(client)

    def _is_direct(self, account: Account) -> bool:
        return account.profile is not None or account.id == self.caller.account_id

    def _role_arn(self, account: Account, name: str) -> str:
        return f"arn:{self.caller.partition}:iam::{account.id}:role/{name}"

    def _client(
        self, entry: _Entry, service: str, **options: Any
    ) -> AbstractAsyncContextManager[Any]:
        return self._clients.client(
            entry.session, service, credentials=entry.credentials, **options
        )

    def _to_write(self, account: Account, policy: str) -> AbstractAsyncContextManager[_Entry]:
        if self._is_direct(account):
            return self._directly(account)
        arn = self._role_arn(account, self._connection.write_role_name)
        return self._by_role(account, [arn], check_size(policy))

    @asynccontextmanager
    async def _directly(self, account: Account) -> AsyncIterator[_Entry]:
        session = self._clients.own
        if account.profile is not None:
            session = self._clients.profile(account.profile)
            async with self._clients.client(session, "sts") as sts:
                found = (await identity(sts)).account_id
            check_account(account, found, f"the profile {account.profile}")
        yield _Entry(session=session, credentials=None, via=Via.CALLER, role_arn=None)

    @asynccontextmanager
    async def _by_role(
        self, account: Account, arns: Sequence[str], policy: str
    ) -> AsyncIterator[_Entry]:
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
            yield _Entry(
                session=self._clients.own, credentials=credentials, via=Via.ROLE, role_arn=arn
            )

    async def _assume(self, sts: Any, account: Account, arn: str, policy: str) -> Mapping[str, Any]:
        optional = {
            "ExternalId": account.external_id or self._connection.external_id,
            "SourceIdentity": self._connection.source_identity,
        }
        with failures("sts:AssumeRole"):
            answer = await sts.assume_role(
                RoleArn=arn,
                RoleSessionName=self._session_name,
                Policy=policy,
                **{name: value for name, value in optional.items() if value is not None},
            )
            credentials: Mapping[str, Any] = answer["Credentials"]
            assumed = str(answer["AssumedRoleUser"]["Arn"])
        check_account(account, assumed.split(":")[4], f"the role {arn}")
        return credentials

    async def _organizations_client(self) -> Any:
        if self._organizations is None:
            client = self._clients.client(self._clients.own, "organizations")
            self._organizations = await self._stay_open.enter_async_context(client)
        return self._organizations
