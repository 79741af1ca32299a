"""The boundary to the SDK's configuration and credentials: one typed failure for all they raise.

The SDK raises OSError, ValueError, LookupError and TypeError of its own providers as they come, and
a dozen errors of its own. Here each becomes a ConfigurationFailure that names the profile, the file
and the setting. Values are never part of it: they may be secrets.
"""

import configparser
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    HTTPClientError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NotConnectedError

from auditor.aws.errors import THROTTLE_CODES, first_line
from auditor.errors import AwsFailure, ConfigurationFailure, FailureKind
from auditor.paths import expanded

EXPORT = "aws configure export-credentials --profile {} --format env"
_SERVER_ERROR = 500
_PARAMETER = re.compile(r"parameter:? \"?(\w+)")
_NEVER = "does not exist"
_METADATA = frozenset({"iam-role", "container-role"})
_SOURCES = {
    "env": "the AWS_* variables of the environment",
    "iam-role": "the instance metadata service",
    "container-role": "the container's credentials endpoint",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose settings a session of the SDK uses, and the files that they come from."""

    profile: str | None
    """None for the default profile."""
    config_file: Path
    credentials_file: Path

    @classmethod
    def of(cls, session: Any) -> "Origin":
        """Return the origin of a session's settings; nothing is read."""
        files = (session.get_config_variable(f"{each}_file") for each in ("config", "credentials"))
        config, credentials = (expanded(os.path.expandvars(str(file))) for file in files)
        return cls(
            profile=session.get_config_variable("profile"),
            config_file=config,
            credentials_file=credentials,
        )

    @property
    def name(self) -> str:
        """The profile in a message."""
        return "the default profile" if self.profile is None else f"profile {self.profile}"

    @property
    def files(self) -> tuple[Path, Path]:
        """Both files, the one for settings first."""
        return self.config_file, self.credentials_file

    def of_profile(self, name: str) -> "Origin":
        """Return the origin of another profile's settings: those of a source profile."""
        return Origin(
            profile=None if name == "default" else name,
            config_file=self.config_file,
            credentials_file=self.credentials_file,
        )

    def place(self, setting: str, variable: str | None = None) -> str:
        """Say where a setting is: the variable that gives it, else the profile and its file."""
        if variable is not None and os.environ.get(variable) is not None:
            return variable
        return f"{setting} of {self.name} in {self.file(setting)}"

    def login(self) -> str:
        """Return the command that signs in anew."""
        return "aws sso login" + ("" if self.profile is None else f" --profile {self.profile}")

    def file(self, setting: str | None = None) -> Path:
        """Return the file that has the profile, with the setting where one is named."""
        name = self.profile or "default"
        sections = {f"profile {name}", f'profile "{name}"', f"profile '{name}'", name}
        for file in self.files:
            parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
            try:
                if file.is_file():
                    parser.read_string(file.read_text("utf-8-sig", errors="replace"))
            except (OSError, configparser.Error):
                continue
            found = [parser[each] for each in sections & set(parser.sections())]
            if any(setting is None or setting in each for each in found):
                return file
        return self.config_file


class configured:  # noqa: N801 -- used as a verb, as `failures` is
    """Raise ConfigurationFailure for what configuration and credentials of an origin raise inside.

    What says that AWS could not be reached, or is busy, is left as it is. `method` is the SDK's
    name of the provider that is asked for credentials.
    """

    __slots__ = ("_method", "_origin")

    def __init__(self, origin: Origin, method: str | None = None) -> None:
        self._origin = origin
        self._method = method

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, AwsFailure):
            failure = _failure_of(error, self._origin, self._method)
            if failure is not None:
                raise failure from None


def bad_setting(message: str, *, hint: str, code: str = "InvalidConfiguration") -> AwsFailure:
    """Return the failure of a setting that makes no sense."""
    return ConfigurationFailure(message, hint=hint, code=code, kind=FailureKind.OTHER)


def no_credentials(origin: Origin) -> ConfigurationFailure:
    """Return the failure that no provider of the chain has any credentials."""
    missing = [
        f"{variable} names {file}, which is not a file"
        for variable, file in (
            ("AWS_CONFIG_FILE", origin.config_file),
            ("AWS_SHARED_CREDENTIALS_FILE", origin.credentials_file),
        )
        if os.environ.get(variable) and not file.exists()
    ]
    if os.environ.get("AWS_SECRET_ACCESS_KEY") and not os.environ.get("AWS_ACCESS_KEY_ID"):
        missing.append("AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not")
    why = f" ({'; '.join(missing)})" if missing else ""
    if origin.profile is None:
        return ConfigurationFailure(
            f"no AWS credentials were found{why}",
            hint="sign in (aws sso login), set AWS_PROFILE, or give --profile",
            code="NoCredentialsError",
        )
    return ConfigurationFailure(
        f"no AWS credentials were found for {origin.name} in {origin.config_file} or"
        f" {origin.credentials_file}{why}",
        hint=f"add credentials to the profile, or get some: {EXPORT.format(origin.profile)}",
        code="NoCredentialsError",
    )


def _failure_of(
    error: BaseException, origin: Origin, method: str | None
) -> ConfigurationFailure | None:
    """Return the failure that an error means; None where it is no matter of configuration."""
    match error:
        case ClientError():
            return _refused(error, origin)
        case HTTPClientError() | NotConnectedError():  # before OSError: some of them are one, too
            return _of_provider(error, origin, method) if method in _METADATA else None
        case BotoCoreError() | OSError() | ValueError() | LookupError() | TypeError():
            # All that the SDK's providers are seen to raise; AttributeError would be a bug.
            return _known(error, origin) or _of_provider(error, origin, method)
        case _:
            return None


def _known(error: BaseException, origin: Origin) -> ConfigurationFailure | None:
    """Return the failure of an error that the SDK has a name for; None for any other."""
    match error:
        case ProfileNotFound() if not error.kwargs["profile"]:
            return ConfigurationFailure(
                "AWS_PROFILE names no profile: it is empty",
                hint="unset it, or name a profile",
                code="ProfileNotFound",
                kind=FailureKind.OTHER,
            )
        case ProfileNotFound():
            return ConfigurationFailure(
                f"there is no profile {error.kwargs['profile']!r} in {origin.config_file}"
                f" or {origin.credentials_file}",
                hint="aws configure list-profiles shows those there are",
                code="ProfileNotFound",
                kind=FailureKind.OTHER,
            )
        case ConfigParseError():
            return _unparsable(error)
        case RefreshWithMFAUnsupportedError():
            return ConfigurationFailure(
                f"the session of {origin.name} has ended, and a new one needs an MFA code",
                hint="run the command again, or make the session longer (duration_seconds)",
                code=type(error).__name__,
            )
        case SSOError() | TokenRetrievalError():
            never = _NEVER in str(error)
            return ConfigurationFailure(
                f"there is no SSO sign-in for {origin.name}"
                if never
                else f"the SSO sign-in of {origin.name} has ended",
                hint=f"sign in: {origin.login()}",
                code=type(error).__name__,
            )
        case _:
            return None


def _of_provider(error: BaseException, origin: Origin, method: str | None) -> ConfigurationFailure:
    """Return the failure of a provider, or of a setting where no provider was asked."""
    name = type(error).__name__
    source = _SOURCES.get(method or "")
    if method == "sso" and not isinstance(error, BotoCoreError):
        return ConfigurationFailure(
            f"the SSO token of {origin.name} in ~/.aws/sso/cache is damaged ({name})",
            hint=f"sign in: {origin.login()}",
            code=name,
        )
    if isinstance(error, PartialCredentialsError):
        reason = f"{error.kwargs['cred_var']} is missing"
    elif isinstance(error, ParamValidationError):
        # Without the value: it may be a token that stands where a name belongs.
        named = _PARAMETER.findall(str(error))
        reason = f"{', '.join(named) or 'a setting'} is not what AWS takes"
    elif isinstance(error, BotoCoreError):
        reason = first_line(str(error)).rstrip(".")
    elif isinstance(error, OSError):
        at = "" if error.filename is None else f"{error.filename}: "
        reason = f"{at}{error.strerror or name}"
    else:
        reason = f"what they hold makes no sense ({name})"
    return ConfigurationFailure(
        f"{source or f'{origin.name} in {origin.file()}'}: {reason}",
        hint="correct the profile, or choose another with --profile"
        if source is None
        else "correct it, or choose other credentials with --profile",
        code=name,
        kind=FailureKind.OTHER if method is None else FailureKind.CREDENTIALS,
    )


def _refused(error: ClientError, origin: Origin) -> ConfigurationFailure | None:
    """Return the failure of credentials that AWS refuses to give; None where it may yet."""
    answer = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(answer.get("Code")), first_line(str(answer.get("Message") or "-"))
    if code in THROTTLE_CODES or status >= _SERVER_ERROR:
        return None
    hint = "check role_arn, external_id and mfa_serial of the profile, and whom the role trusts"
    if "DurationSeconds" in message:
        hint = "set duration_seconds of the profile to what AWS allows; chained roles last 1 hour"
    elif "Expired" in code or code == "InvalidClientTokenId":
        hint = f"renew the credentials of its source profile ({origin.login()})"
    elif error.operation_name == "GetRoleCredentials":
        hint = "check sso_account_id and sso_role_name of the profile, and who is assigned to it"
    elif code == "RegionDisabledException":
        hint = "activate the region for STS in the account, or choose another with --region"
    return ConfigurationFailure(
        f"AWS refuses {error.operation_name} for {origin.name}: {code}: {message}",
        hint=hint,
        code=code,
    )


def _unparsable(error: ConfigParseError) -> ConfigurationFailure:
    """Return the failure of a file that is no configuration; a line of it may be a secret."""
    cause, hint = error.kwargs["error"], "correct the file"
    match cause:
        case configparser.DuplicateOptionError():
            what = f"line {cause.lineno}: {cause.option} is given twice in [{cause.section}]"
            hint = "remove one of them"
        case configparser.DuplicateSectionError():
            what = f"line {cause.lineno}: [{cause.section}] is there twice"
            hint = "put its settings into one section"
        case configparser.MissingSectionHeaderError() if cause.line.startswith("\ufeff"):
            what, hint = "it begins with a byte order mark", "save it as UTF-8 without one"
        case configparser.MissingSectionHeaderError():
            what, hint = f"line {cause.lineno}: no [section] before it", "begin with [default]"
        case configparser.ParsingError():
            what = f"line {cause.errors[0][0]} is neither a [section] nor a setting"
        case UnicodeDecodeError():
            what, hint = "it is not UTF-8 text", "save it as UTF-8"
        case _:
            what = "an indented line is not of the form name = value"
    return ConfigurationFailure(
        f"{error.kwargs['path']}: {what}",
        hint=hint,
        code="ConfigParseError",
        kind=FailureKind.OTHER,
    )
