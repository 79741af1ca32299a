"""The SDK's sessions and clients: all are made here, behind the door.

One loader of service models serves all sessions: loading them again costs each 109 ms of CPU.
"""

import logging
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import aioboto3
import anyio
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession

from auditor import __version__
from auditor.aws.calls import counted_elsewhere
from auditor.aws.configuration import Origin, bad_setting, configured, no_credentials
from auditor.aws.connection import Connection
from auditor.aws.errors import THROTTLE_CODES, check_answered_by_aws, failures
from auditor.aws.mfa import AskMfa, MfaPrompt, on_terminal
from auditor.aws.models import WantedLoader
from auditor.aws.permissions import CREDENTIAL_ACTIONS, PERMITTED, ForbiddenActionError
from auditor.aws.providers import Chain, Shared, chain_of
from auditor.aws.region import DEFAULT_REGION, use_region_variable
from auditor.aws.settings import asks_for_mfa, check_endpoint, check_settings
from auditor.aws.tls import VerifyingSession, check_encrypted, configured_certificates
from auditor.errors import AwsFailure
from auditor.ports import Progress

TEMPORARY = "ASIA"
_SIGNER = re.compile(r"Credential=([^/,\s]+)/")
_STATIC_KEY = re.compile(r"(?im)^[ \t]*aws_access_key_id[ \t]*[=:]\s*[\"']?(\w+)")

_assumed: ContextVar[AioCredentials | None] = ContextVar("_assumed", default=None)


class _SharedSession(AioSession):  # type: ignore[misc]  # the SDK is untyped
    """A session whose clients have the credentials of the account at hand, and check TLS whole.

    That holds for the clients, too, that the SDK makes itself to get the caller's credentials.
    What its configuration and its credentials raise is a ConfigurationFailure.
    """

    def __init__(self, profile: str | None, shared: Shared, *, allow_http: bool) -> None:
        super().__init__(profile=profile)
        use_region_variable(self)
        self._credentials: Any = None
        self.origin = Origin.of(self)
        self._shared = shared
        self.allow_http = allow_http
        self._one_at_a_time = anyio.Lock()

    def _create_credential_resolver(self) -> Chain:
        with configured(self.origin):
            # No client may have been made yet, and a role is assumed in some region.
            region = self._last_client_region_used or self.get_config_variable("region")
            return chain_of(self, self.origin, self._shared, region or DEFAULT_REGION)

    async def get_credentials(self) -> Any:
        assumed = _assumed.get()
        if assumed is not None:
            return assumed
        async with self._one_at_a_time:
            if self._credentials is None:
                # A chain that failed once calls the same source profile a loop.
                self._credentials = await self._create_credential_resolver().load_credentials()
        if self._credentials is None:
            raise no_credentials(self.origin)
        return self._credentials

    async def _create_client(
        self, service_name: str, *arguments: Any, config: Any = None, **named: Any
    ) -> Any:
        config = AioConfig() if config is None else AioConfig().merge(config)
        config.http_session_cls = VerifyingSession
        named["verify"] = configured_certificates(self)
        place = check_endpoint(self, self.origin, service_name, named.get("endpoint_url"))
        client = await super()._create_client(service_name, *arguments, config=config, **named)
        if not self.allow_http:
            try:
                check_encrypted(client.meta.endpoint_url)
            except ValueError as error:
                hint = f"correct {place or 'the endpoint'}"
                raise bad_setting(str(error), hint=hint, code="InvalidEndpoint") from None
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
        ask_mfa: AskMfa = on_terminal,
    ) -> None:
        """Raise ConfigurationFailure where the operator's profile can't be used."""
        self._connection = connection
        self._concurrency = concurrency
        self._progress = progress
        self._permitted = PERMITTED | permits
        for name in ("botocore", "aiobotocore"):
            # At DEBUG the SDK logs requests and answers whole, secrets among them; where a renewal
            # of credentials fails, a traceback. What matters of it is raised as well.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._shared = Shared(MfaPrompt(ask_mfa))
        self.signers: set[str] = set()
        """Ids of the keys that signed a call to STS: for the caller, and on the way to a role."""
        self.own = self._session(connection.profile)
        """Of the caller."""
        self._loader = self.own._session.get_component("data_loader")
        self._profiles: dict[str, aioboto3.Session | AwsFailure] = {}
        if connection.profile is not None:
            self._profiles[connection.profile] = self.own

    def profile(self, name: str) -> aioboto3.Session:
        """Return the session of a profile; raise ConfigurationFailure where it can't be used."""
        if name not in self._profiles:
            self._profiles[name] = self._session(name, loader=self._loader)
        found = self._profiles[name]
        if isinstance(found, AwsFailure):
            raise found
        return found

    async def sign_in(self, names: Iterable[str]) -> None:
        """Ask for the MFA codes of profiles now, and for none later; a failure is kept.

        Whoever asks for a session of a profile whose credentials could not be had is told why.
        """
        profiles = self.own._session.full_config["profiles"]
        for name in names:
            if not asks_for_mfa(profiles, name):
                continue
            try:
                with failures("sts:AssumeRole"):
                    await (await self.profile(name).get_credentials()).get_frozen_credentials()
            except AwsFailure as failure:
                self._profiles[name] = failure
        self._shared.mfa.close()

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
            with (
                failures(f"{service}:*"),
                configured(session._session.origin),
                _acting_as(credentials),
            ):
                client = await stack.enter_async_context(made)
            yield client

    def _session(self, profile: str | None, *, loader: Any = None) -> aioboto3.Session:
        connection = self._connection
        inner = _SharedSession(profile, self._shared, allow_http=connection.allow_http)
        if loader is not None:
            inner.register_component("data_loader", loader)
        events = inner.get_component("event_emitter")
        events.register("before-call", self._before_call)
        events.register("before-parse", check_answered_by_aws)
        events.register("response-received", self._response_received)
        events.register("before-send.sts", self._before_send)
        with configured(inner.origin):
            session = aioboto3.Session(botocore_session=inner, region_name=connection.region)
        check_settings(inner, inner.origin, region_option=connection.region)
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
        return str((await credentials.get_frozen_credentials()).access_key)


def configured_key_ids() -> frozenset[str]:
    """Return every static access key id in the machine's AWS configuration.

    Read from the environment and from all profiles of both files, whatever is wrong with other
    settings; nothing else of them is kept. Raises ConfigurationFailure for a file that can't be
    read.
    """
    found = {os.environ.get("AWS_ACCESS_KEY_ID", "")}
    for file in Origin.of(AioSession()).files:
        try:
            text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
        except OSError as error:
            raise bad_setting(
                f"{file}: {error.strerror}", hint="make it readable, or name another file"
            ) from None
        found |= set(_STATIC_KEY.findall(text))
    return frozenset(each for each in found if each and not each.startswith(TEMPORARY))


@contextmanager
def _acting_as(credentials: AioCredentials | None) -> Iterator[None]:
    """Make the clients created inside sign with these credentials."""
    token = _assumed.set(credentials)
    try:
        yield
    finally:
        _assumed.reset(token)
