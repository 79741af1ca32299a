"""Settings that the SDK would misread in silence, or fail on far from where they are."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, ConfiguredEndpointProvider
from botocore.exceptions import InvalidRegionError
from botocore.httpsession import get_cert_path
from botocore.utils import (
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    validate_region_name,
)

from auditor.aws.configuration import Origin, bad_setting, configured
from auditor.aws.errors import first_line
from auditor.aws.region import REGION_VARIABLE
from auditor.aws.tls import configured_certificates, trusting
from auditor.errors import ConfigurationFailure
from auditor.paths import expanded

# A comment behind one of these is read as a part of it.
_ONE_WORD = (
    "region", "role_arn", "source_profile", "credential_source", "mfa_serial", "role_session_name",
    "external_id", "duration_seconds", "sso_session", "sso_start_url", "sso_region",
    "sso_account_id", "login_session", "aws_access_key_id", "aws_secret_access_key",
    "aws_session_token",
)  # fmt: skip
# These have one value, too, which may have any form.
_ONE_VALUE = (
    *_ONE_WORD, "credential_process", "web_identity_token_file", "sso_role_name", "ca_bundle",
    "services", "sso_registration_scopes", "endpoint_url",
)  # fmt: skip
_COMMENTS = (" #", " ;", "\t#", "\t;")
_CHOICES = {
    "account_id_endpoint_mode": ("preferred", "disabled", "required"),
    "defaults_mode": ("legacy", "standard", "cross-region", "in-region", "mobile", "auto"),
    "ec2_metadata_service_endpoint_mode": ("ipv4", "ipv6"),
    "request_checksum_calculation": ("when_supported", "when_required"),
    "response_checksum_validation": ("when_supported", "when_required"),
    "retry_mode": ("legacy", "standard", "adaptive"),
    "sts_regional_endpoints": ("legacy", "regional"),
}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")
# Neither quotes around it, nor blanks, line breaks or what is not ASCII.
fits_a_header = re.compile(r"(?![\"'])[!-~]*").fullmatch
_SHORTEST_SESSION, _LONGEST_SESSION = 900, 43_200


def check_settings(session: Any, origin: Origin, *, region_option: str | None) -> None:
    """Raise ConfigurationFailure for a setting of a session's profile that makes no sense.

    `region_option` is the region of the command line, if there is one.
    """
    _check_files(origin)
    with configured(origin):
        profiles: Mapping[str, Any] = session.full_config["profiles"]
        session.get_scoped_config()
    sign_ins: Mapping[str, Any] = session.full_config.get("sso_sessions", {})
    for name in role_chain(profiles, origin.profile or "default"):
        settings, its = profiles.get(name, {}), origin.of_profile(name)
        _check_profile(settings, its)
        sign_in = settings.get("sso_session")
        _check_one_value(sign_ins.get(sign_in, {}), partial(_sign_in_place, sign_in, its))
    _check_region(session, origin, region_option)
    for name, (setting, variable, _, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        if convert is int:
            _check_number(session, name, setting, variable, origin)
    for name, allowed in _CHOICES.items():
        setting, variable, _, _ = BOTOCORE_DEFAUT_SESSION_VARIABLES[name]
        value = session.get_config_variable(name)
        if value is not None and str(value).lower() not in allowed:
            raise bad_setting(
                f"{origin.place(setting, variable)}: {value!r} is not one of {', '.join(allowed)}",
                hint=f"write one of them, or leave out {setting}",
            )
    _check_bundle(session, origin)
    _check_proxies()


def role_chain(profiles: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield a profile, and the profiles that its role's credentials come from in turn."""
    seen: set[str] = set()
    following: object = name
    while isinstance(following, str) and following not in seen:
        seen.add(following)
        yield following
        following = profiles.get(following, {}).get("source_profile")


def asks_for_mfa(profiles: Mapping[str, Any], name: str) -> bool:
    """Whether credentials of a profile need an MFA code."""
    return any("mfa_serial" in profiles.get(each, {}) for each in role_chain(profiles, name))


def check_endpoint(session: Any, origin: Origin, service: str, given: str | None) -> str | None:
    """Return the setting that gives a service its endpoint, None where AWS's own is used.

    `given` is --endpoint-url, if there is one. Raises ConfigurationFailure for what is no URL.
    """
    place, url = _endpoint(session, origin, service, given)
    if url is None:
        return None
    if not _is_url(url):
        raise bad_setting(
            f"{place}: {first_line(url)!r} is not an endpoint",
            hint=f"correct {place}: https://HOST, or leave it out",
            code="InvalidEndpoint",
        )
    return place


def check_values(
    access_key: object, secret_key: object, token: object, origin: Origin, method: str | None
) -> None:
    """Raise ConfigurationFailure for credentials that can't be in a request."""
    named = {
        ("AWS_ACCESS_KEY_ID", "aws_access_key_id"): access_key,
        ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"): secret_key,
        ("AWS_SESSION_TOKEN", "aws_session_token"): "" if token is None else token,
    }
    for (variable, setting), value in named.items():
        if isinstance(value, str) and fits_a_header(value):
            continue
        place = variable if method == "env" else origin.place(setting)
        if method not in {"env", "shared-credentials-file", "config-file"}:
            place = f"{setting} that {origin.name} gets ({method})"
        raise ConfigurationFailure(
            f"{place} holds a blank, a line break, quotes or another character that no key has",
            hint="write the value alone, on one line, without quotes",
            code="InvalidCredentials",
        )


def check_expiry(at: datetime | None, origin: Origin, *, now: datetime, renewed: bool) -> None:
    """Raise ConfigurationFailure for credentials whose end can't be told, or has come."""
    if at is None:
        return
    if at.tzinfo is None:
        raise ConfigurationFailure(
            f"the credentials of {origin.name} expire at a time without a time zone",
            hint="write the expiration as 2026-12-31T23:59:59Z",
            code="InvalidExpiration",
        )
    if renewed and at <= now:
        raise ConfigurationFailure(
            f"the new credentials of {origin.name} have expired, too",
            hint="renew them at their source, and check this machine's clock",
            code="ExpiredCredentials",
        )


def _check_files(origin: Origin) -> None:
    """Raise for a file that is there and can't be read: the SDK would do without it in silence."""
    for file in origin.files:
        try:
            if file.is_file():
                with file.open("rb"):
                    pass
        except OSError as error:
            raise bad_setting(
                f"{file}: {error.strerror}", hint="make it readable, or name another file"
            ) from None


def _sign_in_place(name: str, origin: Origin, setting: str) -> str:
    return f"{setting} of [sso-session {name}] in {origin.config_file}"


def _check_one_value(settings: Mapping[str, Any], place: Callable[[str], str]) -> None:
    """Raise for a setting that the SDK reads as a section of its own, and then fails on."""
    for setting in _ONE_VALUE:
        if isinstance(settings.get(setting), Mapping):
            raise bad_setting(
                f"{place(setting)} has indented lines below it",
                hint="write its value behind the =",
            )


def _check_profile(settings: Mapping[str, Any], origin: Origin) -> None:
    _check_one_value(settings, origin.place)
    for setting in _ONE_WORD:
        value = settings.get(setting)
        if isinstance(value, str) and any(each in value for each in _COMMENTS):
            raise bad_setting(
                f"{origin.place(setting)} has a comment behind the value",
                hint="give the comment a line of its own",
            )
    duration = settings.get("duration_seconds")
    if duration is not None:
        seconds = int(duration) if str(duration).isdecimal() else 0
        if not _SHORTEST_SESSION <= seconds <= _LONGEST_SESSION:
            raise bad_setting(
                f"{origin.place('duration_seconds')}: {duration!r} is not a number of seconds"
                f" from {_SHORTEST_SESSION} to {_LONGEST_SESSION}",
                hint="write the number alone",
            )


def _check_region(session: Any, origin: Origin, option: str | None) -> None:
    region = session.get_config_variable("region")
    if option is not None:
        place = "--region"
    elif os.environ.get(REGION_VARIABLE):
        place = REGION_VARIABLE
    else:
        place = origin.place("region", "AWS_DEFAULT_REGION")
    try:
        if region:
            validate_region_name(region)
    except (InvalidRegionError, TypeError):  # TypeError: it is a section of its own
        raise bad_setting(
            f"{place}: {region!r} is not a region",
            hint="write its name alone, as us-east-1",
        ) from None


def _check_number(
    session: Any, name: str, setting: str, variable: str | None, origin: Origin
) -> None:
    try:
        session.get_config_variable(name)
    except (TypeError, ValueError):
        raise bad_setting(
            f"{origin.place(setting, variable)} is not a whole number",
            hint=f"write a number without a fraction or a unit, or leave out {setting}",
        ) from None


def _check_bundle(session: Any, origin: Origin) -> None:
    """Raise for certificates that can't be loaded; empty means not given."""
    given = configured_certificates(session)
    if given is True:
        return

    def place() -> str:
        for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            if os.environ.get(variable) == given:
                return variable
        return origin.place("ca_bundle")

    try:
        trusting(str(get_cert_path(given)))
    except OSError as error:  # ssl.SSLError is one
        relative = str(given).startswith("~") and expanded(str(given)).exists()
        raise bad_setting(
            f"{place()}: {given} can't be used as certificates: {error.strerror or error}",
            hint="write the whole path: ~ is not replaced here"
            if relative
            else "name a file of certificates in PEM",
        ) from None


def _check_proxies() -> None:
    for variable in _PROXIES:
        proxy = os.environ.get(variable, "")
        try:
            parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
            usable = not proxy or (parts.hostname and (parts.port is None or parts.port > 0))
        except ValueError:
            usable = False
        if not usable:  # without its text: it may hold a password
            raise bad_setting(
                f"{variable} is not the URL of a proxy", hint="write it as http://HOST:PORT"
            )


def _endpoint(
    session: Any, origin: Origin, service: str, given: str | None
) -> tuple[str, str | None]:
    if given is not None:
        return "--endpoint-url", given
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return "", None
    with configured(origin):
        found = ConfiguredEndpointProvider(
            full_config=session.full_config,
            scoped_config=session.get_scoped_config(),
            client_name=service,
        ).provide()
    own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    for variable in (own, "AWS_ENDPOINT_URL"):
        if found is not None and os.environ.get(variable) == found:
            return variable, found
    return origin.place("endpoint_url"), found


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return usable and bool(is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url))
