"""The door to AWS: the caller, the organization, and sessions in accounts."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from math import ceil
from random import Random
from typing import Any, Literal, TypeAlias

from auditor.aws.caller import identity, no_caller
from auditor.aws.calls import ATTEMPTS, Calls
from auditor.aws.clients import TEMPORARY, Clients, configured_key_ids, signing_key_id
from auditor.aws.connection import Connection
from auditor.aws.credentials import Renewal
from auditor.aws.entrance import Entrance, Entry, credentials_of
from auditor.aws.errors import failures
from auditor.aws.fast.door import FastDoor
from auditor.aws.limiter import Limiter
from auditor.aws.mfa import AskMfa, nobody, on_terminal
from auditor.aws.organizations import OrganizationsReader
from auditor.aws.permissions import (
    PUBLISHING,
    WRITING,
    ForbiddenActionError,
    publish_session_policy,
    secret_session_policy,
    write_session_policy,
)
from auditor.aws.readers import ClientReader
from auditor.aws.secrets import Secrets
from auditor.aws.security_hub import SecurityHub
from auditor.aws.throttle import Pace
from auditor.aws.writer import ClientWriter
from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import Account
from auditor.ports import Caller, Clock, Grant, IamReader, OpenAccount, OpenForWriting, Progress

__all__ = ["Aws", "Connection", "ForbiddenActionError", "Transport", "nobody"]

Transport: TypeAlias = Literal["fast", "sdk"]
"""How accounts are read: by this package's own requests, or by the SDK's clients."""

_FIRST_ATTEMPTS = 3
_PREPARED = 0.2
"""Of the calls in flight, so many more are made ready for the next answer."""
_STS_RATE = 600
"""AssumeRole and its kin a second, in each account and region ("IAM and STS quotas")."""


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
        attempts: int = ATTEMPTS,
        writes: bool = False,
        publishes: bool = False,
        transport: Transport = "fast",
        workers: int = 1,
        ask_mfa: AskMfa = on_terminal,
    ) -> None:
        """Raise AuditError where the caller's profile can't be used.

        `transport` is how accounts are read; the results are the same. `attempts` is how often a
        call is sent that does not get through. Only with `writes` does the door let through what
        `open_for` and `open_secrets` are for, and only with `publishes` what `open_security_hub`
        is for. `workers` is how many processes assume roles at the
        same time: each keeps to its part of the quota. `ask_mfa` asks for the codes of profiles
        with an mfa_serial.
        """
        self.prepared = ceil(concurrency * _PREPARED) if transport == "fast" else 0
        """How many calls may be made beyond `concurrency`: they are sent when others are done."""
        self._connection = connection
        self._session_name = session_name
        self._progress = progress
        self._clock = clock
        self._attempts = attempts
        self._random = Random()  # noqa: S311 -- spreads retries in time
        try:
            self._clients = Clients(
                connection,
                concurrency=concurrency,
                progress=progress,
                permits=(WRITING if writes else frozenset())
                | (PUBLISHING if publishes else frozenset()),
                ask_mfa=ask_mfa,
            )
        except AwsFailure as failure:
            raise no_caller(failure) from None
        self._fast = (
            FastDoor(self._clients, clock, concurrency=concurrency) if transport == "fast" else None
        )
        self._stay_open = AsyncExitStack()
        self._organizations: Any = None
        self._sts_calls, organizations_calls = self._calls(), self._calls()
        self._own_calls = (self._sts_calls, organizations_calls)
        self.organizations = OrganizationsReader(
            self._organizations_client, organizations_calls, clock
        )
        self._sts_pace = Pace(clock, rate=_STS_RATE / workers, burst=max(1, _STS_RATE // workers))
        self._entrance: Entrance | None = None
        self._caller: Caller | None = None
        self._signing_key_id: str | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Caller]:
        """Find out who calls; raise AuditError where nobody can.

        The caller's own clients stay open while the context lasts.
        """
        own = self._clients.own
        async with AsyncExitStack() as self._stay_open:
            try:
                sts = await self._stay_open.enter_async_context(self._clients.client(own, "sts"))
                attempts = min(self._attempts, _FIRST_ATTEMPTS)
                self._caller = await identity(sts, self._sts_calls, attempts=attempts)
                self._signing_key_id = await signing_key_id(own)
                with failures("sts:GetCallerIdentity"):
                    renewal = Renewal(await own.get_credentials())
            except AwsFailure as failure:
                raise no_caller(failure) from None
            for calls in self._own_calls:
                calls.renew_with(renewal)
            if self._fast is not None:
                self._stay_open.push_async_callback(self._fast.aclose)
            self._entrance = Entrance(
                self._connection,
                self._clients,
                sts=sts,
                calls=self._sts_calls,
                caller=self._caller,
                session_name=self._session_name,
                pace=self._sts_pace,
            )
            yield self._caller

    async def sign_in(self, accounts: Iterable[Account]) -> None:
        """Ask for the MFA codes of the accounts' profiles now; after this nobody is asked.

        To be called before anything is drawn on the terminal. What fails costs its account later.
        """
        wanted = {each.profile for each in accounts if each.profile and each.skip is None}
        await self._clients.sign_in(sorted(wanted))

    @property
    def caller(self) -> Caller:
        """Who calls, once connected."""
        if self._caller is None:
            raise RuntimeError("connect() first")
        return self._caller

    def known_key_ids(self) -> frozenset[str]:
        """Return the access keys that the operator works with; raise AuditError.

        All in this machine's AWS configuration, and once connected those that signed, for the
        caller itself and for a role that its profile assumes.
        """
        try:
            known = configured_key_ids()
        except AwsFailure as failure:
            raise no_caller(failure) from None
        signing = set() if self._signing_key_id is None else {self._signing_key_id}
        return known | self._clients.signers | signing

    def long_lived_key_id(self) -> str | None:
        """Return the long-lived key that signs the caller's calls; None for a session."""
        key_id = self._signing_key_id
        return key_id if key_id is not None and not key_id.startswith(TEMPORARY) else None

    def watch_dates(self, seen: Callable[[str], None]) -> None:
        """Tell the Date of every answer to the SDK, refusals too; to be called before connect()."""

        def received(response_dict: Mapping[str, Any] | None, **_: Any) -> None:
            headers = (response_dict or {}).get("headers", {})
            if "date" in headers:
                seen(str(headers["date"]))

        self._clients.own.events.register("response-received", received)

    @asynccontextmanager
    async def open(self, account: Account) -> AsyncIterator[OpenAccount]:
        """Give a reader of the account while the context lasts; raise AwsFailure.

        A role is assumed except in the caller's own account and where a profile is the way in;
        a role ARN given for the account is assumed in any case. Where the session policy is too
        large beside the caller's session tags, a shorter one or none is taken, as `via` says.
        """
        async with self._way.to_read(account) as entry, self._reader(entry) as reader:
            yield OpenAccount(
                reader=reader,
                via=entry.via,
                role_arn=entry.role_arn,
                renewed_via=entry.renewed_via,
            )

    async def signed_out(self) -> AwsFailure | None:
        """Return why AWS does not accept the caller's own credentials any more; None if it does."""
        try:
            await self._way.who_calls()
        except AwsFailure as failure:
            if failure.kind is FailureKind.CREDENTIALS:
                return failure
        return None

    @asynccontextmanager
    async def open_for(self, account: Account, grant: Grant) -> AsyncIterator[OpenForWriting]:
        """Give a writer of the account while the context lasts; raise AwsFailure.

        The role for writing is assumed, under a session policy of the grant; in the caller's own
        account and where a profile is the way in, the writer and the door hold to it. A grant
        that is too large for one session fails with the code PackedPolicyTooLarge.
        """
        way = self._way.to_write(account, write_session_policy(grant))
        async with way as entry, self._client(entry, "iam") as client:
            writer = ClientWriter(
                client,
                self._calls(entry.credentials),
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
            self._way.to_write(account, policy) as entry,
            self._client(entry, "secretsmanager", region=region) as client,
        ):
            yield Secrets(client, self._calls(entry.credentials))

    @asynccontextmanager
    async def open_security_hub(
        self, account: Account, *, region: str
    ) -> AsyncIterator[SecurityHub]:
        """Give the account's Security Hub in a region while the context lasts; raise AwsFailure.

        The way in is that of `open`, under a session policy for publishing alone, never without.
        """
        own = f"{account.id}:product/{account.id}/default"
        async with (
            self._way.to_read(account, publish_session_policy()) as entry,
            self._client(entry, "securityhub", region=region) as client,
        ):
            yield SecurityHub(
                client,
                self._calls(entry.credentials),
                self._clock,
                account_id=account.id,
                product_arn=f"arn:{self.caller.partition}:securityhub:{region}:{own}",
            )

    @property
    def _way(self) -> Entrance:
        if self._entrance is None:
            raise RuntimeError("connect() first")
        return self._entrance

    @asynccontextmanager
    async def _reader(self, entry: Entry) -> AsyncIterator[IamReader]:
        credentials = await credentials_of(entry)
        calls, partition = self._calls(credentials), self.caller.partition
        if self._fast is not None:
            yield await self._fast.reader(entry.session, credentials, calls, partition)
            return
        async with self._client(entry, "iam") as client:
            yield ClientReader(client, calls, partition)

    def _calls(self, credentials: Any = None) -> Calls:
        """Return calls with a limiter of their own; `credentials` are renewed if they expire."""
        return Calls(
            Limiter(self._clock, self._random),
            progress=self._progress,
            clock=self._clock,
            random=self._random,
            attempts=self._attempts,
            renewal=None if credentials is None else Renewal(credentials),
        )

    def _client(
        self, entry: Entry, service: str, **options: Any
    ) -> AbstractAsyncContextManager[Any]:
        return self._clients.client(
            entry.session, service, credentials=entry.credentials, **options
        )

    async def _organizations_client(self) -> Any:
        if self._organizations is None:
            client = self._clients.client(self._clients.own, "organizations")
            self._organizations = await self._stay_open.enter_async_context(client)
        return self._organizations
