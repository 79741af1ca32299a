"""The SDK's chain of credential providers, with providers that say what failed, and where.

The order is the SDK's own. `_Profile` makes the providers of a profile.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE
from tempfile import NamedTemporaryFile
from typing import Any, Literal

from aiobotocore._helpers import resolve_awaitable
from aiobotocore.credentials import (
    AioAssumeRoleProvider,
    AioAssumeRoleWithWebIdentityProvider,
    AioBotoProvider,
    AioCanonicalNameCredentialSourcer,
    AioContainerProvider,
    AioCredentialResolver,
    AioEnvProvider,
    AioInstanceMetadataProvider,
    AioOriginalEC2Provider,
    AioProcessProvider,
    AioProfileProviderBuilder,
    AioRefreshableCredentials,
)
from aiobotocore.utils import (
    AioContainerMetadataFetcher,
    AioInstanceMetadataFetcher,
    create_nested_client,
)
from botocore.compat import compat_shell_split
from botocore.credentials import _parse_if_needed
from botocore.exceptions import CredentialRetrievalError
from botocore.tokens import _sso_json_dumps
from botocore.utils import (
    FileWebIdentityTokenLoader,
    JSONFileCache,
    resolve_imds_endpoint_mode,
)

from auditor.aws.configuration import Origin, configured
from auditor.aws.errors import first_line
from auditor.aws.login import LoginProvider
from auditor.aws.login_cache import LoginCache
from auditor.aws.mfa import MfaPrompt
from auditor.aws.settings import check_expiry, check_values, fits_a_header
from auditor.aws.tls import MetadataSession, configured_certificates
from auditor.errors import ConfigurationFailure
from auditor.paths import expanded

_REFRESH_WINDOW = 15 * 60
# Seconds: a person may be signing in meanwhile, in a browser say.
_LONGEST_PROCESS = 120.0
_LARGEST_ANSWER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shared:
    """What the sessions of one run share, so that each role is assumed once."""

    mfa: MfaPrompt
    roles: dict[str, Any] = field(default_factory=dict)
    """Credentials of assumed roles, as the SDK caches them."""
    tokens: "TokenCache" = field(default_factory=lambda: TokenCache(expanded("~/.aws/sso/cache")))
    logins: LoginCache = field(default_factory=LoginCache)


class TokenCache(JSONFileCache):  # type: ignore[misc]  # the SDK is untyped
    """The CLI's cache of SSO tokens; a token that can't be written there serves this run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), dumps_func=_sso_json_dumps)
        self._unwritten: dict[str, Any] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._unwritten or super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        """Return the token; raise ValueError for one that no request can carry."""
        found = self._unwritten[key] if key in self._unwritten else super().__getitem__(key)
        token = found.get("accessToken") if isinstance(found, dict) else None
        if not isinstance(token, str) or not fits_a_header(token):
            raise ValueError("no token")
        return found

    def __setitem__(self, key: str, value: Any) -> None:
        """Replace the file whole, or not at all: it holds the only way to renew the token."""
        text, file = self._dumps(value), Path(self._convert_cache_key(key)).resolve()
        written: Path | None = None
        try:
            with NamedTemporaryFile("w", dir=file.parent, delete=False) as new:
                written = Path(new.name)
                new.write(text)
            written.replace(file)
        except OSError:
            self._unwritten[key] = json.loads(text)
            if written is not None:
                written.unlink(missing_ok=True)


class Chain(AioCredentialResolver):  # type: ignore[misc]  # likewise
    """Asks one provider after the other; what fails is a ConfigurationFailure, then and later."""

    def __init__(self, providers: list[Any], origin: Origin) -> None:
        super().__init__(providers=providers)
        self._origin = origin

    async def load_credentials(self) -> Any:
        """Return the credentials of the first provider that has some; None where none has."""
        for provider in self.providers:
            with configured(self._origin, provider.METHOD):
                credentials = await provider.load()
            if credentials is not None:
                return self._checked(credentials)
        return None

    def _checked(self, credentials: Any) -> Any:
        origin, method = self._origin, credentials.method
        if not isinstance(credentials, AioRefreshableCredentials):
            values = credentials.access_key, credentials.secret_key, credentials.token
            check_values(*values, origin, method)
            return credentials
        if credentials._access_key is not None:  # or they are yet to be asked for
            values = credentials._access_key, credentials._secret_key, credentials._token
            check_values(*values, origin, method)
            _check_end(credentials._expiry_time, origin, renewed=False)
        refresh = credentials._refresh_using

        async def refreshed() -> Mapping[str, Any]:
            with configured(origin, method):
                metadata: Mapping[str, Any] = await resolve_awaitable(refresh())
                if not metadata:
                    raise CredentialRetrievalError(provider=method, error_msg="nothing came")
                access_key, secret_key = metadata.get("access_key"), metadata.get("secret_key")
                check_values(access_key, secret_key, metadata.get("token"), origin, method)
                _check_end(_parse_if_needed(metadata.get("expiry_time")), origin, renewed=True)
            return metadata

        credentials._refresh_using = refreshed
        return credentials


def _check_end(at: datetime | None, origin: Origin, *, renewed: bool) -> None:
    check_expiry(at, origin, now=datetime.now(UTC), renewed=renewed)


def chain_of(session: Any, origin: Origin, shared: Shared, region: str | None) -> Chain:
    """Return the chain of a session, as aiobotocore's `create_credential_resolver` makes it."""
    name = origin.profile or "default"
    explicit = session.instance_variables().get("profile") is not None
    environment = AioEnvProvider()
    # An empty variable, as an unset one of a job, means not given.
    container = _ContainerProvider(environ={each: v for each, v in os.environ.items() if v})
    # Not as an argument: aiobotocore replaces what it is given by one that checks no host name.
    container._fetcher = _container_fetcher(configured_certificates(session))
    instance = AioInstanceMetadataProvider(iam_role_fetcher=_metadata_fetcher(session))

    def client(service: str, **named: Any) -> Any:
        return create_nested_client(session, service, **({"region_name": region} | named))

    profiles = _Profile(session, origin, shared, region)
    role = AioAssumeRoleProvider(
        load_config=lambda: session.full_config,
        client_creator=client,
        cache=shared.roles,
        profile_name=name,
        prompter=partial(shared.mfa.ask, origin),
        credential_sourcer=AioCanonicalNameCredentialSourcer([environment, container, instance]),
        profile_provider_builder=profiles,
    )
    providers = [role, *profiles.providers(profile_name=name, disable_env_vars=explicit)]
    others = [AioOriginalEC2Provider(), AioBotoProvider(), container, instance]
    return Chain([*([] if explicit else [environment]), *providers, *others], origin)


def _container_fetcher(certificates: str | Literal[True]) -> AioContainerMetadataFetcher:
    timeout = AioContainerMetadataFetcher.TIMEOUT_SECONDS
    return AioContainerMetadataFetcher(
        session=MetadataSession(verify=certificates, timeout=timeout)
    )


class _MetadataFetcher(AioInstanceMetadataFetcher):  # type: ignore[misc]  # likewise
    """Reads the credentials of an instance's role; the SDK takes a refusal for "no role"."""

    async def _get_credentials(self, role_name: str, token: str | None = None) -> Any:
        found = await super()._get_credentials(role_name, token)
        if isinstance(found, dict) and self._contains_all_credential_fields(found):
            return found
        answer = found if isinstance(found, dict) else {}
        code, message = (first_line(str(answer.get(each) or "-")) for each in ("Code", "Message"))
        why = "the answer lacks a part of credentials" if code in {"-", "Success"} else code
        raise ConfigurationFailure(
            f"the instance metadata service gives no credentials for role {first_line(role_name)}:"
            f" {why}" + ("" if message == "-" else f": {message}"),
            hint="check the instance profile, its role, and that EC2 may assume the role",
            code="InstanceMetadata",
        )


def _metadata_fetcher(session: Any) -> AioInstanceMetadataFetcher:
    setting = session.get_config_variable
    return _MetadataFetcher(
        timeout=setting("metadata_service_timeout"),
        num_attempts=setting("metadata_service_num_attempts"),
        user_agent=session.user_agent(),
        # Never through a proxy, which would ask for the credentials of its own machine.
        session=MetadataSession(timeout=setting("metadata_service_timeout")),
        config={
            "ec2_metadata_service_endpoint": setting("ec2_metadata_service_endpoint"),
            "ec2_metadata_service_endpoint_mode": resolve_imds_endpoint_mode(session),
            "ec2_credential_refresh_window": _REFRESH_WINDOW,
            "ec2_metadata_v1_disabled": setting("ec2_metadata_v1_disabled"),
        },
    )


class _Profile(AioProfileProviderBuilder):  # type: ignore[misc]  # likewise
    """Makes the providers of one profile, the caller's own or a source profile."""

    def __init__(self, session: Any, origin: Origin, shared: Shared, region: str | None) -> None:
        super().__init__(
            session, cache=shared.roles, region_name=region, sso_token_cache=shared.tokens
        )
        self._origin = origin
        self._region = region
        self._logins = shared.logins

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        """Return the providers, that of `aws login` where newer SDKs have it."""
        made = super().providers(profile_name, disable_env_vars)
        origin = self._origin.of_profile(profile_name)
        login = LoginProvider(self._session, origin, self._logins, self._region)
        place = next(n for n, each in enumerate(made) if each.METHOD == AioProcessProvider.METHOD)
        return [*made[:place], login, *made[place:]]

    def _create_process_provider(self, profile_name: str) -> "_ProcessProvider":
        return _ProcessProvider(
            profile_name, lambda: self._session.full_config, self._origin.of_profile(profile_name)
        )

    def _create_web_identity_provider(
        self, profile_name: str, disable_env_vars: bool
    ) -> AioAssumeRoleWithWebIdentityProvider:
        provider = super()._create_web_identity_provider(profile_name, disable_env_vars)
        variable = None if disable_env_vars else "AWS_WEB_IDENTITY_TOKEN_FILE"
        provider._token_loader_cls = partial(
            _WebIdentityToken, self._origin.of_profile(profile_name), variable
        )
        return provider


class _ProcessProvider(AioProcessProvider):  # type: ignore[misc]  # likewise
    """Gets credentials from a command, of whose output nothing is shown: it may be a secret."""

    def __init__(
        self,
        profile_name: str,
        load_config: Any,
        origin: Origin,
        *,
        longest: float = _LONGEST_PROCESS,
    ) -> None:
        """Give the command up after `longest` seconds."""
        super().__init__(profile_name, load_config)
        self._origin = origin
        self._longest = longest

    async def _retrieve_credentials_using(self, credential_process: str) -> dict[str, Any]:
        try:
            command = compat_shell_split(credential_process)
        except ValueError:
            raise self._failed("its command ends within a quotation") from None
        if not command:
            raise self._failed("there is no command")
        name = command[0]
        try:
            process = await self._popen(*command, stdout=PIPE, stderr=DEVNULL)
        except OSError as error:
            raise self._failed(f"{name} can't be started: {error.strerror}") from None
        except ValueError:
            raise self._failed("its command holds a null byte") from None
        answer = await self._answer(name, process)
        if process.returncode != 0:
            raise self._failed(f"{name} failed with exit code {process.returncode}")
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._failed(f"{name} did not print a JSON object")
        if found.get("Version") != 1:
            raise self._failed(f"{name} printed no Version 1")
        missing = [each for each in ("AccessKeyId", "SecretAccessKey") if not found.get(each)]
        if missing:
            raise self._failed(f"{name} printed no {missing[0]}")
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found.get("SessionToken"),
            "expiry_time": self._time(name, found.get("Expiration")),
            "account_id": self._get_account_id(found),
        }

    async def _answer(self, name: str, process: Any) -> bytes:
        """Return all that the command printed, and wait for its end, both within bounds."""
        try:
            async with asyncio.timeout(self._longest):
                try:
                    await process.stdout.readexactly(_LARGEST_ANSWER)
                except asyncio.IncompleteReadError as whole:
                    await process.wait()
                    return whole.partial
                raise self._failed(f"{name} printed more than any credentials")
        except TimeoutError:
            raise self._failed(f"{name} did not end within {self._longest:g} seconds") from None
        finally:
            if process.returncode is None:
                process.kill()

    def _time(self, name: str, text: object) -> str | None:
        if text is None:
            return None
        try:
            _parse_if_needed(text)
        except (OverflowError, TypeError, ValueError):
            raise self._failed(f"{name} printed an Expiration that is not a time") from None
        return str(text)

    def _failed(self, what: str) -> ConfigurationFailure:
        return ConfigurationFailure(
            f"{self._origin.place('credential_process')}: {what}",
            hint="run the command by hand to see why, or correct credential_process",
            code="CredentialProcess",
        )


class _WebIdentityToken(FileWebIdentityTokenLoader):  # type: ignore[misc]  # likewise
    """Reads the token each time that the role is assumed: it is replaced by whoever issues it."""

    def __init__(self, origin: Origin, variable: str | None, path: str) -> None:
        super().__init__(path)
        self._place = origin.place("web_identity_token_file", variable)
        self._path = path

    def __call__(self) -> str:
        try:
            token: str = super().__call__()
        except OSError as error:
            raise _no_token(self._place, self._path, f"{error.strerror}") from None
        except ValueError:
            raise _no_token(self._place, self._path, "it is not text") from None
        if not token.strip():
            raise _no_token(self._place, self._path, "it is empty")
        return token


class _ContainerProvider(AioContainerProvider):  # type: ignore[misc]  # likewise
    """Gets credentials from the endpoint of a container: ECS, EKS Pod Identity."""

    def _build_headers(self) -> Any:
        variable, path = self.ENV_VAR_AUTH_TOKEN_FILE, os.environ.get(self.ENV_VAR_AUTH_TOKEN_FILE)
        try:
            return super()._build_headers()
        except OSError as error:
            raise _no_token(variable, str(path), f"{error.strerror}") from None
        except UnicodeDecodeError:
            raise _no_token(variable, str(path), "it is not text") from None
        except ValueError:
            place = self.ENV_VAR_AUTH_TOKEN if path is None else f"{variable} ({path})"
            raise ConfigurationFailure(
                f"{place} holds a line break", hint="write the token alone", code="TokenFile"
            ) from None

    def _create_fetcher(self, full_uri: str, *arguments: Any, **named: Any) -> Any:
        fetch = super()._create_fetcher(full_uri, *arguments, **named)
        variable = self.ENV_VAR if self.ENV_VAR in self._environ else self.ENV_VAR_FULL

        async def fetched() -> Any:
            try:
                found: Mapping[str, Any] = await fetch()
            except UnicodeDecodeError:
                raise _no_endpoint(variable, "the answer is not text") from None
            except CredentialRetrievalError as error:
                said = error.kwargs["error_msg"].partition(" from container metadata:")[0]
                raise _no_endpoint(variable, first_line(said)) from None
            except ValueError:
                raise _no_endpoint(variable, "only this machine may be asked by it") from None
            except (LookupError, TypeError):
                raise _no_endpoint(variable, "the answer lacks a part of credentials") from None
            for part in ("access_key", "secret_key"):
                if not isinstance(found.get(part), str) or not found[part]:
                    raise _no_endpoint(variable, "the answer lacks a part of credentials")
            try:
                _parse_if_needed(found.get("expiry_time"))
            except (OverflowError, TypeError, ValueError):
                raise _no_endpoint(variable, "its Expiration is not a time") from None
            return found

        return fetched


def _no_token(place: str, path: str, why: str) -> ConfigurationFailure:
    return ConfigurationFailure(
        f"{place}: the token file {path} can't be read: {why}",
        hint="check that the file is mounted and can be read by this user",
        code="TokenFile",
    )


def _no_endpoint(variable: str, why: str) -> ConfigurationFailure:
    return ConfigurationFailure(
        f"{variable} gives no credentials: {why}",
        hint="check the role of the task or pod, and the variable",
        code="ContainerCredentials",
    )
