"""Credentials of `aws login` (a profile with login_session), for SDKs that lack the provider.

The AWS CLI leaves the sign-in in a cache; it is renewed here as botocore 1.43 does, with a proof
that this machine holds the key of the sign-in.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiobotocore._helpers import resolve_awaitable
from botocore.awsrequest import AWSRequest
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.credentials import CredentialProvider
from botocore.utils import get_environ_proxies

from auditor.aws.configuration import EXPORT, Origin, bad_setting
from auditor.aws.credentials import RoleCredentials
from auditor.aws.dpop import dpop_proof
from auditor.aws.errors import AnsweredFailure
from auditor.aws.login_cache import Login, LoginCache, LoginCacheError
from auditor.aws.region import DEFAULT_REGION
from auditor.aws.tls import VerifyingSession, check_encrypted, configured_certificates
from auditor.errors import ConfigurationFailure

_OPERATION = "signin:CreateOAuth2Token"
_SETTING = "login_session"
# As the CLI does: what ends sooner is renewed before it is used.
_ADVANCE, _SHORTEST = 5 * 60, 60
_TIMEOUTS = (5.0, 30.0)
_HOSTS = {
    "aws": "signin.aws.amazon.com",
    "aws-cn": "signin.amazonaws.cn",
    "aws-us-gov": "signin.amazonaws-us-gov.com",
    "aws-eusc": "signin.amazonaws-eusc.eu",
    "aws-iso": "signin.c2shome.ic.gov",
    "aws-iso-b": "signin.sc2shome.sgov.gov",
    "aws-iso-e": "signin.csphome.adc-e.uk",
    "aws-iso-f": "signin.csphome.hci.ic.gov",
}
_ENDED = frozenset({"AUTHCODE_EXPIRED", "TOKEN_EXPIRED", "USER_CREDENTIALS_CHANGED"})
_NOT_ALLOWED = "INSUFFICIENT_PERMISSIONS"
_CODE = re.compile(r"[A-Za-z_]{1,40}").fullmatch
_OK, _CLIENT_ERROR, _TOO_MANY, _SERVER_ERROR = 200, 400, 429, 500


class LoginProvider(CredentialProvider):  # type: ignore[misc]  # the SDK is untyped
    """Gives the credentials of a profile's sign-in; None where the profile has none."""

    METHOD = "login"

    def __init__(self, session: Any, origin: Origin, cache: LoginCache, region: str | None) -> None:
        super().__init__(session)
        self._origin = origin
        self._cache = cache
        self._region = region or DEFAULT_REGION

    async def load(self) -> Any:
        """Return the credentials, which renew themselves; raise ConfigurationFailure."""
        name = self._origin.profile or "default"
        settings = self.session.full_config["profiles"].get(name, {})
        if _SETTING not in settings:
            return None
        # A setting with indented lines below it is no text, and no name of a sign-in.
        value = settings[_SETTING]
        found = _SignIn(
            self.session,
            self._origin,
            self._cache,
            self._cache.file(value if isinstance(value, str) else ""),
            str(settings.get("region") or self._region),
        )
        return LoginCredentials.create_from_metadata(
            found.cached(),
            refresh_using=found.renewed,
            method=self.METHOD,
            advisory_timeout=_ADVANCE,
            mandatory_timeout=_SHORTEST,
        )


class LoginCredentials(RoleCredentials):
    """Credentials of a sign-in: they last 15 minutes, as long as the SDK's own window."""


class _SignIn:
    """A sign-in in the CLI's cache."""

    def __init__(
        self, session: Any, origin: Origin, cache: LoginCache, file: Path, region: str
    ) -> None:
        self._session = session
        self._origin = origin
        self._cache = cache
        self._file = file
        self._region = region
        self._used = ""

    def cached(self) -> dict[str, str]:
        """Return what the cache has, expired or not."""
        return self._given(self._read())

    async def renewed(self) -> dict[str, str]:
        """Return other credentials than those given before; raise ConfigurationFailure."""
        async with self._cache.one_at_a_time:
            login = self._read()
            if not self._renewed_elsewhere(login):
                login = await self._renew(login)
            return self._given(login)

    def _renewed_elsewhere(self, login: Login) -> bool:
        left = login.expires_at - datetime.now(UTC)
        return login.access_key_id != self._used and left > timedelta(seconds=_SHORTEST)

    async def _renew(self, login: Login) -> Login:
        url = self._endpoint() + "/v1/token"
        status, answer = await self._post(url, login)
        if status != _OK:
            other = self._read()
            # The CLI or another process has been faster, and the refresh token holds no more.
            if self._renewed_elsewhere(other):
                return other
            raise self._refused(status, answer)
        seconds = answer.get("expiresIn")
        if not isinstance(seconds, int) or not 0 < seconds <= timedelta(days=1).total_seconds():
            raise self._broken("expiresIn is not a number of seconds")
        try:
            new = login.renewed(answer, datetime.now(UTC) + timedelta(seconds=seconds))
        except LoginCacheError as error:
            raise self._broken(str(error)) from None
        self._cache.write(self._file, new)
        return new

    async def _post(self, url: str, login: Login) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the JSON of the answer; raise the SDK's error where none comes."""
        now = int(datetime.now(UTC).timestamp())
        try:
            proof = dpop_proof(login.dpop_key, url, issued_at=now, identifier=str(uuid4()))
        except ValueError:
            raise self._failure("its dpopKey is not a private key of the curve P-256") from None
        asked = {
            "clientId": login.client_id,
            "refreshToken": login.refresh_token,
            "grantType": "refresh_token",
        }
        headers = {"Content-Type": "application/json", "DPoP": proof}
        request = AWSRequest("POST", url, headers=headers, data=json.dumps(asked).encode())
        session = VerifyingSession(
            verify=configured_certificates(self._session),
            proxies=get_environ_proxies(url),
            timeout=_TIMEOUTS,
        )
        async with session:
            response = await session.send(request.prepare())
            body = await resolve_awaitable(response.content)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        return response.status_code, answer if isinstance(answer, dict) else {}

    def _endpoint(self) -> str:
        session, setting = self._session, self._session.get_config_variable
        found = None
        if not setting("ignore_configured_endpoint_urls"):
            found = ConfiguredEndpointProvider(
                full_config=session.full_config,
                scoped_config=session.get_scoped_config(),
                client_name="signin",
            ).provide()
        if found is not None:
            if not session.allow_http:
                check_encrypted(found)
            return str(found).rstrip("/")
        for each in ("use_fips_endpoint", "use_dualstack_endpoint"):
            if setting(each):
                raise bad_setting(
                    f"{self._place}: the sign-in can't be renewed with {each}",
                    hint=f"use credentials from {EXPORT.format(self._name)}",
                )
        partition = session.get_partition_for_region(self._region)
        return f"https://{self._region}.{_HOSTS[partition]}"

    def _read(self) -> Login:
        try:
            return self._cache.read(self._file)
        except FileNotFoundError:
            raise self._failure("there is no sign-in", code="NoSignIn") from None
        except OSError as error:
            raise self._failure(f"{self._file} can't be read: {error.strerror}") from None
        except LoginCacheError as error:
            raise self._failure(f"{self._file} can't be used: {error}") from None

    def _given(self, login: Login) -> dict[str, str]:
        self._used = login.access_key_id
        return {
            "access_key": login.access_key_id,
            "secret_key": login.secret_access_key,
            "token": login.session_token,
            "expiry_time": login.expires_at.isoformat(),
        }

    def _refused(self, status: int, answer: Mapping[str, Any]) -> Exception:
        """Return the failure; of the answer only its code, as it may repeat the refresh token."""
        code = answer.get("error")
        code = code if isinstance(code, str) and _CODE(code) else f"HTTP {status}"
        if code in _ENDED:
            return self._failure(f"the sign-in has ended ({code})", code=code)
        if code == _NOT_ALLOWED:
            return ConfigurationFailure(
                f"{self._place}: the sign-in may not be renewed ({code})",
                hint=f"allow {_OPERATION}, then sign in: {self._command}",
                code=code,
            )
        if status == _TOO_MANY or not _CLIENT_ERROR <= status < _SERVER_ERROR:
            return AnsweredFailure(operation=_OPERATION, code=code, message=code, status=status)
        return self._failure(f"the sign-in service refuses to renew it ({code})", code=code)

    def _broken(self, why: str) -> AnsweredFailure:
        message = f"the answer is not what AWS documents: {why}"
        return AnsweredFailure(
            operation=_OPERATION, code="MalformedAnswer", message=message, status=_SERVER_ERROR
        )

    def _failure(self, what: str, *, code: str = "LoginCache") -> ConfigurationFailure:
        export = EXPORT.format(self._name)
        return ConfigurationFailure(
            f"{self._place}: {what}", hint=f"sign in: {self._command}, or {export}", code=code
        )

    @property
    def _name(self) -> str:
        return self._origin.profile or "default"

    @property
    def _place(self) -> str:
        return self._origin.place(_SETTING)

    @property
    def _command(self) -> str:
        return f"aws login --profile {self._name}"
