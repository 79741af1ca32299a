"""The caller's credentials, and from them a session in each account.

One aioboto3 session and one loader of service models serve all accounts: a session of its own
costs an account 109 ms of CPU for loading the models again.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from auditor import __version__
from auditor.aws.credentials import RoleCredentials
from auditor.aws.errors import THROTTLE_CODES, failures
from auditor.aws.organizations import OrganizationsReader
from auditor.aws.permissions import CREDENTIAL_ACTIONS, PERMITTED, session_policy
from auditor.aws.readers import ClientReader
from auditor.errors import AuditError, AwsFailure, FailureKind, NothingAuditedError
from auditor.model.account import Account, Via, parse_account_id
from auditor.ports import Caller, Clock, OpenAccount, Progress

_DEFAULT_REGION = "us-east-1"
_FIRST_ATTEMPTS, _ATTEMPTS = 3, 8
_CONNECT_TIMEOUT, _READ_TIMEOUT = 5, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach AWS, as the operator gave it."""

    role_names: tuple[str, ...] = ("iamaudit-read",)
    """Tried in order in each account but the caller's own; may contain a path."""
    external_id: str | None = None
    source_identity: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


class ForbiddenActionError(RuntimeError):
    """Raised when the code asks AWS for an action that this run has no business with: a bug."""


_assumed: ContextVar[RoleCredentials | None] = ContextVar("_assumed", default=None)


class _SharedSession(AioSession):  # type: ignore[misc]  # the SDK is untyped
    """A session whose clients are made with the credentials of the account at hand."""

    async def get_credentials(self) -> Any:
        return _assumed.get() or await super().get_credentials()


class Aws:
    """The way to AWS: the caller, the organization, and sessions in accounts (port Sessions)."""

    def __init__(
        self,
        connection: Connection,
        *,
        session_name: str,
        concurrency: int,
        progress: Progress,
        clock: Clock,
        attempts: int = _ATTEMPTS,
    ) -> None:
        self._connection = connection
        self._session_name = session_name
        self._progress = progress
        self._concurrency = concurrency
        self._attempts = attempts
        try:
            self._own = self._session(connection.profile)
        except AwsFailure as failure:
            raise _no_caller(failure) from None
        self._loader = self._own._session.get_component("data_loader")
        self._profiles: dict[str, aioboto3.Session] = {}
        self._clients = AsyncExitStack()
        self._sts: Any = None
        self._organizations: Any = None
        self.organizations = OrganizationsReader(self._organizations_client, clock)
        self._caller: Caller | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Caller]:
        """Find out who calls; raise AuditError where nobody can.

        The caller's own clients stay open while the context lasts.
        """
        try:
            async with self._client(self._own, "sts", attempts=_FIRST_ATTEMPTS) as sts:
                self._caller = await _identity(sts)
        except AwsFailure as failure:
            raise _no_caller(failure) from None
        async with AsyncExitStack() as self._clients:
            self._sts = await self._clients.enter_async_context(self._client(self._own, "sts"))
            yield self._caller

    def open(self, account: Account) -> AbstractAsyncContextManager[OpenAccount]:
        """Give a reader of the account while the context lasts; raise AwsFailure.

        A role is assumed except in the caller's own account and where a profile is the way in;
        a role ARN given for the account is assumed in any case.
        """
        if account.role_arn is not None:
            return self._open_role(account, [account.role_arn])
        if account.profile is not None or account.id == self.caller.account_id:
            return self._open_directly(account)
        prefix = f"arn:{self.caller.partition}:iam::{account.id}:role/"
        return self._open_role(account, [prefix + name for name in self._connection.role_names])

    @property
    def caller(self) -> Caller:
        """Who calls, once connected."""
        if self._caller is None:
            raise RuntimeError("connect() first")
        return self._caller

    @asynccontextmanager
    async def _open_directly(self, account: Account) -> AsyncIterator[OpenAccount]:
        session = self._own
        if account.profile is not None:
            session = self._profile(account.profile)
            async with self._client(session, "sts") as sts:
                found = (await _identity(sts)).account_id
            _check_account(account, found, f"the profile {account.profile}")
        async with self._client(session, "iam") as client:
            reader = ClientReader(client, self.caller.partition)
            yield OpenAccount(reader=reader, via=Via.CALLER, role_arn=None)

    @asynccontextmanager
    async def _open_role(self, account: Account, arns: list[str]) -> AsyncIterator[OpenAccount]:
        async with AsyncExitStack() as stack:
            sts = self._sts
            if account.profile is not None:
                session = self._profile(account.profile)
                sts = await stack.enter_async_context(self._client(session, "sts"))
            credentials, arn = await self._assume_first(sts, account, arns)
            with _acting_as(credentials):
                client = await stack.enter_async_context(self._client(self._own, "iam"))
            reader = ClientReader(client, self.caller.partition)
            yield OpenAccount(reader=reader, via=Via.ROLE, role_arn=arn)

    async def _assume_first(
        self, sts: Any, account: Account, arns: list[str]
    ) -> tuple[RoleCredentials, str]:
        """Assume the first role that lets us; raise the last refusal."""
        refused: AwsFailure | None = None
        for arn in arns:
            try:
                credentials = await RoleCredentials.assume(partial(self._assume, sts, account, arn))
            except AwsFailure as failure:
                if failure.kind is not FailureKind.DENIED:
                    raise
                refused = failure
            else:
                return credentials, arn
        if refused is None:
            raise RuntimeError("no role to assume")
        raise refused

    async def _assume(self, sts: Any, account: Account, arn: str) -> Mapping[str, Any]:
        optional = {
            "ExternalId": account.external_id or self._connection.external_id,
            "SourceIdentity": self._connection.source_identity,
        }
        with failures("sts:AssumeRole"):
            answer = await sts.assume_role(
                RoleArn=arn,
                RoleSessionName=self._session_name,
                Policy=session_policy(),
                **{name: value for name, value in optional.items() if value is not None},
            )
            credentials: Mapping[str, Any] = answer["Credentials"]
            assumed = str(answer["AssumedRoleUser"]["Arn"])
        _check_account(account, assumed.split(":")[4], f"the role {arn}")
        return credentials

    @asynccontextmanager
    async def _client(
        self, session: aioboto3.Session, service: str, *, attempts: int | None = None
    ) -> AsyncIterator[Any]:
        """Give a client; its creation fails as AwsFailure, like its calls."""
        config = AioConfig(
            retries={"mode": "adaptive", "total_max_attempts": attempts or self._attempts},
            max_pool_connections=self._concurrency,
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            user_agent_extra=f"iamaudit/{__version__}",
        )
        async with AsyncExitStack() as stack:
            made = session.client(
                service,
                region_name=session.region_name or _DEFAULT_REGION,
                endpoint_url=self._connection.endpoint_url,
                config=config,
            )
            with failures(f"{service}:*"), _endpoint_mistakes(service):
                client = await stack.enter_async_context(made)
            yield client

    async def _organizations_client(self) -> Any:
        if self._organizations is None:
            client = self._client(self._own, "organizations")
            self._organizations = await self._clients.enter_async_context(client)
        return self._organizations

    def _profile(self, name: str) -> aioboto3.Session:
        if name not in self._profiles:
            self._profiles[name] = self._session(name, loader=self._loader)
        return self._profiles[name]

    def _session(self, profile: str | None, *, loader: Any = None) -> aioboto3.Session:
        inner = _SharedSession()
        if loader is not None:
            inner.register_component("data_loader", loader)
        events = inner.get_component("event_emitter")
        events.register("before-call", self._before_call)
        events.register("response-received", self._response_received)
        with failures("sts:GetCallerIdentity"):
            return aioboto3.Session(
                botocore_session=inner, profile_name=profile, region_name=self._connection.region
            )

    def _before_call(self, model: Any, **_: Any) -> None:
        """Count every call; refuse what no scan has a reason to ask for."""
        action = f"{model.service_model.signing_name}:{model.name}"
        if action not in PERMITTED:
            raise ForbiddenActionError(action)
        if action not in CREDENTIAL_ACTIONS:
            self._progress.called(action)

    def _response_received(self, parsed_response: Mapping[str, Any] | None, **_: Any) -> None:
        code = (parsed_response or {}).get("Error", {}).get("Code")
        if code in THROTTLE_CODES:
            self._progress.throttled()


@contextmanager
def _endpoint_mistakes(service: str) -> Iterator[None]:
    """Raise AwsFailure for what the SDK raises where an endpoint is no URL."""
    try:
        yield
    except ValueError as error:
        raise AwsFailure(
            operation=f"{service}:*",
            code="InvalidEndpoint",
            message=str(error),
            kind=FailureKind.OTHER,
        ) from None


@contextmanager
def _acting_as(credentials: RoleCredentials) -> Iterator[None]:
    """Make the clients created inside sign with these credentials."""
    token = _assumed.set(credentials)
    try:
        yield
    finally:
        _assumed.reset(token)


async def _identity(sts: Any) -> Caller:
    with failures("sts:GetCallerIdentity"):
        answer = await sts.get_caller_identity()
        arn = str(answer["Arn"])
        return Caller(
            account_id=parse_account_id(answer["Account"]), arn=arn, partition=arn.split(":")[1]
        )


def _check_account(account: Account, found: str, by: str) -> None:
    """Raise AwsFailure unless the credentials that were had are those of the account."""
    if found != account.id:
        raise AwsFailure(
            operation="sts:GetCallerIdentity",
            code="WrongAccount",
            message=f"{by} leads to account {found}",
            kind=FailureKind.OTHER,
        )


def _no_caller(failure: AwsFailure) -> AuditError:
    """Say what is wrong with the caller's credentials, and the mend."""
    if failure.code == "NoCredentialsError":
        return AuditError(
            "no AWS credentials were found",
            hint="sign in (aws sso login), set AWS_PROFILE, or give --profile",
        )
    if failure.code == "ProfileNotFound":
        return AuditError(failure.message, hint="aws configure list-profiles shows those there are")
    if failure.code == "InvalidEndpoint":
        return AuditError(failure.message, hint="mend --endpoint-url, or AWS_ENDPOINT_URL")
    if failure.kind is FailureKind.DENIED:
        return AuditError(
            f"AWS refuses the credentials: {failure}",
            hint="check the role that the profile assumes, or choose another with --profile",
        )
    if failure.kind is FailureKind.CREDENTIALS:
        return AuditError(
            f"AWS does not accept the credentials: {failure.code}: {failure.message}",
            hint="renew them (aws sso login), or choose others with --profile; "
            "outside the commercial partition, give --region as well",
        )
    return NothingAuditedError(
        f"AWS can't be reached: {failure.code}: {failure.message}",
        hint="check the network, the proxy, --region and --endpoint-url",
    )
