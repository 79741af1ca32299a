"""The SDK's sessions and clients: all are made here, behind the door.

One loader of service models serves all sessions: loading them again costs each 109 ms of CPU.
"""

import logging
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigNotFound

from auditor import __version__
from auditor.aws.calls import counted_elsewhere
from auditor.aws.connection import Connection
from auditor.aws.errors import THROTTLE_CODES, failures
from auditor.aws.models import WantedLoader
from auditor.aws.permissions import CREDENTIAL_ACTIONS, PERMITTED, ForbiddenActionError
from auditor.aws.region import DEFAULT_REGION
from auditor.aws.tls import VerifyingSession, check_encrypted
from auditor.errors import AwsFailure, FailureKind
from auditor.ports import Progress

TEMPORARY = "ASIA"
_SIGNER = re.compile(r"Credential=([^/,\s]+)/")

_assumed: ContextVar[AioCredentials | None] = ContextVar("_assumed", default=None)


class _SharedSession(AioSession):  # type: ignore[misc]  # the SDK is untyped
    """A session whose clients have the credentials of the account at hand, and check TLS whole.

    That holds for the clients, too, that the SDK makes itself to get the caller's credentials.
    """

    allow_http = False

    async def get_credentials(self) -> Any:
        return _assumed.get() or await super().get_credentials()

    async def _create_client(self, *arguments: Any, config: Any = None, **named: Any) -> Any:
        config = AioConfig() if config is None else AioConfig().merge(config)
        config.http_session_cls = VerifyingSession
        client = await super()._create_client(*arguments, config=config, **named)
        if not self.allow_http:
            check_encrypted(client.meta.endpoint_url)
        return client


class Clients:
    """Makes the SDK's clients; counts their calls and refuses those that are not permitted."""

    def __init__(
        self,
        connection: Connection,
        *,
        concurrency: int,
        progress: Progress,
        permits: frozenset[str],
    ) -> None:
        """Raise AwsFailure where the operator's profile can't be read."""
        self._connection = connection
        self._concurrency = concurrency
        self._progress = progress
        self._permitted = PERMITTED | permits
        for name in ("botocore", "aiobotocore"):
            # At DEBUG the SDK logs requests and answers whole, secrets among them; where a renewal
            # of credentials fails, a traceback. What matters of it is raised as well.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.signers: set[str] = set()
        """Ids of the keys that signed a call to STS: for the caller, and on the way to a role."""
        self.own = self._session(connection.profile)
        """Of the caller."""
        self._loader = self.own._session.get_component("data_loader")
        self._profiles: dict[str, aioboto3.Session] = {}

    def profile(self, name: str) -> aioboto3.Session:
        """Return the session of a profile; raise AwsFailure where there is none of that name."""
        if name not in self._profiles:
            self._profiles[name] = self._session(name, loader=self._loader)
        return self._profiles[name]

    @asynccontextmanager
    async def client(
        self,
        session: aioboto3.Session,
        service: str,
        *,
        credentials: AioCredentials | None = None,
        region: str | None = None,
    ) -> AsyncIterator[Any]:
        """Give a client that repeats no call by itself; its creation fails as AwsFailure.

        It signs with `credentials`, None meaning those of the session.
        """
        config = AioConfig(
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=self._concurrency,
            connect_timeout=self._connection.connect_timeout,
            read_timeout=self._connection.read_timeout,
            user_agent_extra=f"iamaudit/{__version__}",
        )
        async with AsyncExitStack() as stack:
            made = session.client(
                service,
                region_name=region or session.region_name or DEFAULT_REGION,
                endpoint_url=self._connection.endpoint_url,
                config=config,
            )
            with failures(f"{service}:*"), _endpoint_mistakes(service), _acting_as(credentials):
                client = await stack.enter_async_context(made)
            yield client

    def _session(self, profile: str | None, *, loader: Any = None) -> aioboto3.Session:
        inner = _SharedSession()
        inner.allow_http = self._connection.allow_http
        if loader is not None:
            inner.register_component("data_loader", loader)
        events = inner.get_component("event_emitter")
        events.register("before-call", self._before_call)
        events.register("response-received", self._response_received)
        events.register("before-send.sts", self._before_send)
        with failures("sts:GetCallerIdentity"):
            session = aioboto3.Session(
                botocore_session=inner, profile_name=profile, region_name=self._connection.region
            )
        if loader is None:
            found = inner.get_component("data_loader")
            inner.register_component("data_loader", WantedLoader(found))
        return session

    def _before_call(self, model: Any, **_: Any) -> None:
        """Count every call; refuse what this run has no reason to ask for."""
        action = f"{model.service_model.signing_name}:{model.name}"
        if action not in self._permitted:
            raise ForbiddenActionError(action)
        if action not in CREDENTIAL_ACTIONS and not counted_elsewhere(action):
            self._progress.called(action)

    def _before_send(self, request: Any, **_: Any) -> None:
        """Keep the id of the key that signed: whichever provider it came from, it is in use."""
        authorization = request.headers.get("Authorization", "")
        text = authorization.decode() if isinstance(authorization, bytes) else str(authorization)
        found = _SIGNER.search(text)
        if found is not None:
            self.signers.add(found[1])

    def _response_received(
        self, parsed_response: Mapping[str, Any] | None, event_name: str, **_: Any
    ) -> None:
        service, operation = event_name.split(".")[1:]
        code = (parsed_response or {}).get("Error", {}).get("Code")
        if code in THROTTLE_CODES and not counted_elsewhere(f"{service}:{operation}"):
            self._progress.throttled()


async def signing_key_id(session: aioboto3.Session) -> str | None:
    """Return the id of the key that a session signs with; raise AwsFailure."""
    with failures("sts:GetCallerIdentity"):
        credentials = await session.get_credentials()
        if credentials is None:
            return None
        return str((await credentials.get_frozen_credentials()).access_key)


def configured_key_ids() -> frozenset[str]:
    """Return every static access key id in the machine's AWS configuration; raise AwsFailure.

    Read from the environment and from all profiles of both files; nothing else of them is kept.
    """
    session = AioSession()
    found = {os.environ.get("AWS_ACCESS_KEY_ID")}
    for file in ("config_file", "credentials_file"):
        with failures("sts:GetCallerIdentity"), suppress(ConfigNotFound):
            profiles = raw_config_parse(session.get_config_variable(file))
            found |= {profile.get("aws_access_key_id") for profile in profiles.values()}
    return frozenset(each for each in found if each and not each.startswith(TEMPORARY))


@contextmanager
def _endpoint_mistakes(service: str) -> Iterator[None]:
    """Raise AwsFailure where an endpoint is no URL, or one without TLS."""
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
def _acting_as(credentials: AioCredentials | None) -> Iterator[None]:
    """Make the clients created inside sign with these credentials."""
    token = _assumed.set(credentials)
    try:
        yield
    finally:
        _assumed.reset(token)
