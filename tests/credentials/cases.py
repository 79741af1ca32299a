"""Configurations of credentials, right and broken: what is in the files and the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.credentials.sources import CONTAINER_TOKEN, METADATA, WEB_TOKEN
from tests.faults.cloud import CALLER_KEY, CALLER_SECRET, MANAGEMENT

ROLE = f"arn:aws:iam::{MANAGEMENT}:role/Auditor"
KEYS = f"aws_access_key_id = {CALLER_KEY}\naws_secret_access_key = {CALLER_SECRET}\n"
BASE = f"[profile base]\n{KEYS}"
BY_ROLE = f"role_arn = {ROLE}\nsource_profile = base\n"
SSO = f"sso_session = CORP\nsso_account_id = {MANAGEMENT}\nsso_role_name = Auditor\n"
CENTRE = "[sso-session CORP]\nsso_region = us-east-1\nsso_start_url = https://CORP.example/start\n"
OLD_SSO = (
    f"sso_account_id = {MANAGEMENT}\nsso_role_name = Auditor\nsso_region = us-east-1\n"
    "sso_start_url = https://CORP.example/start\n"
)
SECRET = "secret-of-the-process"
"""What a process prints that fails: it must never be shown."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One configuration; where `profile` is given, it is a profile of that text, named PROF.

    In texts HOME stands for a folder and URL for the sources; PROF, SRC and CORP for the profile,
    another one and an SSO session, which have names of their own where many cases share a file.
    """

    profile: str | None = None
    more: str = ""
    """Further sections of the config file."""
    config: str | bytes | None = None
    """The whole config file, in place of a profile."""
    credentials: str | bytes = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """By the path in the home folder; what begins with #! can be executed."""
    sign_in: str = ""
    """What the cache of the CLI holds: valid, expired, refreshable, damaged, naive, two lines."""
    spoilt: tuple[str, int, str] | None = None
    options: tuple[str, ...] = ()
    code: int = 2
    says: tuple[str, ...] = ()
    """What the one line names: the file or variable, the profile, the setting."""


def process(text: str, *, code: int = 0) -> Mapping[str, str]:
    return {"get": f"#!/bin/sh\necho {SECRET} >&2\ncat <<'END'\n{text}\nEND\nexit {code}\n"}


_GOOD = f'{{"Version": 1, "AccessKeyId": "{CALLER_KEY}", "SecretAccessKey": "{CALLER_SECRET}"'
_BY_PROCESS = "credential_process = HOME/get\n"
_CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container"}
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_WEB = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/token"}
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": CALLER_KEY, "AWS_SECRET_ACCESS_KEY": CALLER_SECRET}

RIGHT: Mapping[str, Case] = {
    "keys in the credentials file": Case(config="", credentials=f"[default]\n{KEYS}"),
    "keys in the config file": Case(config=f"[default]\n{KEYS}"),
    "keys in the environment": Case(variables=ENVIRONMENT),
    "a profile of the environment": Case(
        config=f"[profile q]\n{KEYS}", variables={"AWS_PROFILE": "q"}
    ),
    "a process": Case(profile=_BY_PROCESS, files=process(_GOOD + "}")),
    "a process whose credentials end": Case(
        profile=_BY_PROCESS,
        files=process(_GOOD + ', "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}'),
    ),
    "a role": Case(profile=BY_ROLE, more=BASE),
    "a role by a role": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = SRC\n",
        more=f"[profile SRC]\n{BY_ROLE}{BASE}",
    ),
    "a role by a process": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = SRC\n",
        more=f"[profile SRC]\n{_BY_PROCESS}",
        files=process(_GOOD + "}"),
    ),
    "a role by the environment": Case(
        profile=f"role_arn = {ROLE}\ncredential_source = Environment\n", variables=ENVIRONMENT
    ),
    "SSO": Case(profile=SSO, more=CENTRE, sign_in="valid"),
    "SSO without a session": Case(profile=OLD_SSO, sign_in="valid"),
    "SSO with a token to refresh": Case(profile=SSO, more=CENTRE, sign_in="refreshable"),
    "web identity of a profile": Case(
        profile=f"role_arn = {ROLE}\nweb_identity_token_file = HOME/token\n",
        files={"token": WEB_TOKEN},
    ),
    "web identity of the environment": Case(variables=_WEB, files={"token": WEB_TOKEN}),
    "a container": Case(
        variables=_CONTAINER | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN}
    ),
    "a container with a token file": Case(
        variables=_CONTAINER | {_TOKEN_FILE: "HOME/token"}, files={"token": CONTAINER_TOKEN}
    ),
    "an instance": Case(variables={"AWS_EC2_METADATA_DISABLED": "false"}),
    "another profile that is broken": Case(
        profile=KEYS, more="[profile other]\ncredential_process = /gone\nregion = a b\n"
    ),
}

BROKEN_PROFILES: Mapping[str, Case] = {
    "a process that is not installed": Case(
        profile="credential_process = /opt/corp/login --all\n",
        says=(
            "credential_process of profile PROF",
            ".aws/config",
            "/opt/corp/login can't be started",
        ),
    ),
    "a process that may not be executed": Case(
        profile="credential_process = HOME/get\n",
        files={"get": "text"},
        says=("credential_process of profile PROF", "get can't be started"),
    ),
    "a process that prints no JSON": Case(
        profile=_BY_PROCESS,
        files=process("hello"),
        says=("credential_process of profile PROF", "/get did not print a JSON object"),
    ),
    "a process that prints a list": Case(
        profile=_BY_PROCESS, files=process("[1]"), says=("/get did not print a JSON object",)
    ),
    "a process that prints without an end": Case(
        profile="credential_process = yes\n",
        says=("credential_process of profile PROF", "yes printed more than any credentials"),
    ),
    "a process with indented lines below it": Case(
        profile="credential_process =\n  a = b\n",
        says=("credential_process of profile PROF", "indented lines"),
    ),
    "a sign-in with indented lines below it": Case(
        profile="sso_start_url =\n  a = b\n",
        says=("sso_start_url of profile PROF", "indented lines"),
    ),
    "a role with indented lines below it": Case(
        profile="role_arn =\n  a = b\nsource_profile = default\n",
        says=("role_arn of profile PROF", "indented lines"),
    ),
    "a process that fails": Case(
        profile=_BY_PROCESS,
        files=process(SECRET, code=7),
        says=("credential_process of profile PROF", "/get failed with exit code 7"),
    ),
    "a process without a key": Case(
        profile=_BY_PROCESS,
        files=process(f'{{"Version": 1, "AccessKeyId": "{CALLER_KEY}"}}'),
        says=("/get printed no SecretAccessKey",),
    ),
    "a process of another version": Case(
        profile=_BY_PROCESS, files=process('{"Version": 2}'), says=("/get printed no Version 1",)
    ),
    "a process with an end that is no time": Case(
        profile=_BY_PROCESS,
        files=process(_GOOD + ', "SessionToken": "t", "Expiration": "soon"}'),
        says=("/get printed an Expiration that is not a time",),
    ),
    "a process with an end without a zone": Case(
        profile=_BY_PROCESS,
        files=process(_GOOD + ', "SessionToken": "t", "Expiration": "2099-01-01T00:00:00"}'),
        says=("profile PROF", "without a time zone"),
    ),
    "a process whose credentials have ended": Case(
        profile=_BY_PROCESS,
        files=process(_GOOD + ', "SessionToken": "t", "Expiration": "2020-01-01T00:00:00Z"}'),
        says=("profile PROF", "have expired, too"),
    ),
    "a process with a number for a key": Case(
        profile=_BY_PROCESS,
        files=process('{"Version": 1, "AccessKeyId": 7, "SecretAccessKey": "s"}'),
        says=("aws_access_key_id that profile PROF gets",),
    ),
    "a process within a quotation": Case(
        profile='credential_process = get "all\n',
        says=("credential_process of profile PROF", "ends within a quotation"),
    ),
    "no process": Case(
        profile="credential_process =\n", says=("credential_process of profile PROF", "no command")
    ),
    "web identity without its file": Case(
        profile=f"role_arn = {ROLE}\nweb_identity_token_file = HOME/gone\n",
        says=("web_identity_token_file of profile PROF", "/gone can't be read: No such file"),
    ),
    "web identity with an empty file": Case(
        profile=f"role_arn = {ROLE}\nweb_identity_token_file = HOME/token\n",
        files={"token": ""},
        says=("web_identity_token_file of profile PROF", "it is empty"),
    ),
    "web identity with a folder": Case(
        profile=f"role_arn = {ROLE}\nweb_identity_token_file = HOME\n",
        files={"token": ""},
        says=("web_identity_token_file of profile PROF", "Is a directory"),
    ),
    "web identity that AWS refuses": Case(
        profile=f"role_arn = {ROLE}\nweb_identity_token_file = HOME/token\n",
        files={"token": "another"},
        says=(
            "AssumeRoleWithWebIdentity for profile PROF",
            "InvalidIdentityToken: The token can't",
        ),
    ),
    "web identity without a role": Case(
        profile="web_identity_token_file = HOME/token\n", says=("profile PROF in ", "no role ARN")
    ),
    "a source profile that there is not": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = typo\n",
        says=("profile PROF in ", '"typo"', "does not exist", ".aws/config"),
    ),
    "source profiles in a circle": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = SRC\n",
        more=f"[profile SRC]\nrole_arn = {ROLE}\nsource_profile = PROF\n",
        says=("profile PROF in ", "Infinite loop"),
    ),
    "a source profile without keys": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = SRC\n",
        more="[profile SRC]\nregion = us-east-1\n",
        says=("profile PROF in ", '"SRC" must have credentials'),
    ),
    "a source profile whose process fails": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = SRC\n",
        more="[profile SRC]\ncredential_process = /gone\n",
        says=("credential_process of profile SRC", "/gone can't be started"),
    ),
    "a role without a source": Case(
        profile=f"role_arn = {ROLE}\n",
        says=(
            "profile PROF in ",
            ": source_profile or credential_source",
        ),
    ),
    "two sources": Case(
        profile=f"{BY_ROLE}credential_source = Environment\n",
        more=BASE,
        says=('"PROF" contains both source_profile and credential_source',),
    ),
    "a source that there is not": Case(
        profile=f"role_arn = {ROLE}\ncredential_source = Envrionment\n",
        says=('"Envrionment" referenced in profile "PROF" is not valid',),
    ),
    "a source that has none": Case(
        profile=f"role_arn = {ROLE}\ncredential_source = EcsContainer\n",
        says=("No credentials found in credential_source referenced in profile PROF",),
    ),
    "a role that AWS refuses": Case(
        profile="role_arn = arn:aws:iam::999999999999:role/Auditor\nsource_profile = base\n",
        more=BASE,
        says=("AWS refuses AssumeRole for profile PROF: AccessDenied: not authorized",),
    ),
    "a session that is too long": Case(
        profile=f"{BY_ROLE}duration_seconds = 2h\n",
        more=BASE,
        says=("duration_seconds of profile PROF in", "'2h' is not a number of seconds"),
    ),
    "an MFA code that nobody can give": Case(
        profile=f"{BY_ROLE}mfa_serial = arn:aws:iam::{MANAGEMENT}:mfa/j\n",
        more=BASE,
        says=("profile PROF needs an MFA code (mfa_serial)",),
    ),
    "an MFA code for the source profile": Case(
        profile=f"role_arn = {ROLE}\nsource_profile = SRC\n",
        more=f"[profile SRC]\n{BY_ROLE}mfa_serial = arn:aws:iam::{MANAGEMENT}:mfa/j\n{BASE}",
        says=("profile PROF needs an MFA code (mfa_serial)",),
    ),
    "SSO without a sign-in": Case(
        profile=SSO, more=CENTRE, says=("there is no SSO sign-in for profile PROF",)
    ),
    "SSO that has ended": Case(
        profile=SSO,
        more=CENTRE,
        sign_in="expired",
        says=("the SSO sign-in of profile PROF has ended",),
    ),
    "SSO without a session that has ended": Case(
        profile=OLD_SSO, sign_in="expired", says=("the SSO sign-in of profile PROF has ended",)
    ),
    "SSO with a damaged cache": Case(
        profile=SSO, more=CENTRE, sign_in="damaged", says=("the SSO token of profile PROF",)
    ),
    "SSO with a token of two lines": Case(
        profile=SSO, more=CENTRE, sign_in="two lines", says=("the SSO token of profile PROF",)
    ),
    "SSO without a session, with a token of two lines": Case(
        profile=OLD_SSO, sign_in="two lines", says=("the SSO token of profile PROF",)
    ),
    "SSO whose session has indented lines": Case(
        profile=SSO,
        more="[sso-session CORP]\nsso_region =\n  a = b\nsso_start_url = https://CORP.example\n",
        says=("sso_region of [sso-session CORP]", ".aws/config", "indented lines"),
    ),
    "SSO with a time without a zone": Case(
        profile=SSO, more=CENTRE, sign_in="naive", says=("the SSO token of profile PROF",)
    ),
    "SSO without its session": Case(
        profile=SSO, says=("profile PROF", "CORP", "does not exist", ".aws/config")
    ),
    "SSO without a role": Case(
        profile=SSO.replace("sso_role_name = Auditor\n", ""),
        more=CENTRE,
        says=('"PROF" is configured to use SSO', "sso_role_name"),
    ),
    "half of a key": Case(
        profile=f"aws_access_key_id = {CALLER_KEY}\n",
        says=(
            "profile PROF in ",
            ": aws_secret_access_key is missing",
        ),
    ),
    "a key in quotes": Case(
        profile=KEYS.replace(CALLER_KEY, f'"{CALLER_KEY}"'),
        says=("aws_access_key_id of profile PROF in", "quotes"),
    ),
    "a comment behind a secret": Case(
        profile=KEYS.rstrip() + " # mine\n",
        says=("aws_secret_access_key of profile PROF in", "a comment behind the value"),
    ),
    "a region with a comment": Case(
        profile=f"{KEYS}region = us-east-1 # Virginia\n",
        says=("region of profile PROF in", ".aws/config", "a comment behind the value"),
    ),
    "a region that is none": Case(
        profile=f"{KEYS}region = us east 1\n",
        says=("region of profile PROF in", "'us east 1' is not a region"),
    ),
    "a number that is none": Case(
        profile=f"{KEYS}metadata_service_timeout = 1.5\n",
        says=("metadata_service_timeout of profile PROF in", "not a whole number"),
    ),
    "a mode that there is not": Case(
        profile=f"{KEYS}retry_mode = often\n",
        says=("retry_mode of profile PROF in", "'often' is not one of"),
    ),
    "certificates that are not there": Case(
        profile=f"{KEYS}ca_bundle = ~/corp.pem\n",
        says=("ca_bundle of profile PROF in", "~/corp.pem", "No such file"),
    ),
    "certificates that are none": Case(
        profile=f"{KEYS}ca_bundle = HOME/corp.pem\n",
        files={"corp.pem": "hello"},
        says=("ca_bundle of profile PROF in", "/corp.pem can't be used as certificates"),
    ),
    "no credentials": Case(
        profile="region = us-east-1\n", says=("no AWS credentials were found for profile PROF",)
    ),
}

BROKEN: Mapping[str, Case] = {
    **BROKEN_PROFILES,
    "services that there are not": Case(
        profile=f"{KEYS}services = here\n",
        variables={"AWS_ENDPOINT_URL": ""},
        says=("profile PROF in ", '"here"', "does not exist"),
    ),
    "an unknown profile": Case(
        config=f"[default]\n{KEYS}", options=("--profile", "nobody"), says=("profile 'nobody'",)
    ),
    "an unknown profile of the environment": Case(
        config=f"[default]\n{KEYS}",
        variables={"AWS_PROFILE": "nobody"},
        says=("profile 'nobody'", ".aws/config"),
    ),
    "an empty variable for the profile": Case(
        config=f"[default]\n{KEYS}",
        variables={"AWS_PROFILE": ""},
        says=("names no profile: it is empty",),
    ),
    "an option twice": Case(
        config="[default]\nregion=us-east-1\nregion=eu-west-1\n",
        says=(".aws/config: line 3: region is given twice in [default]",),
    ),
    "a profile twice": Case(
        config="", credentials="[a]\n[b]\n[a]\n", says=("credentials: line 3: [a] is there twice",)
    ),
    "a byte order mark": Case(
        config=b"\xef\xbb\xbf[default]\nregion = us-east-1\n",
        says=(".aws/config: it begins with a byte order mark",),
    ),
    "a byte order mark before keys": Case(
        config="",
        credentials=b"\xef\xbb\xbf" + f"[default]\n{KEYS}".encode(),
        says=(".aws/credentials: it begins with a byte order mark",),
    ),
    "UTF-16": Case(
        config="[default]\nregion = us-east-1\n".encode("utf-16"),
        says=(".aws/config: it is not UTF-8 text",),
    ),
    "a secret before any section": Case(
        config="", credentials=f"{SECRET} = 1\n", says=(".aws/credentials: line 1: no [section]",)
    ),
    "a secret on a line of its own": Case(
        config="",
        credentials=f"[default]\n{SECRET}\n",
        says=(".aws/credentials: line 2 is neither a [section] nor a setting",),
    ),
    "an indented line": Case(
        config=f"[default]\ns3 =\n  {SECRET}\n", says=(".aws/config: an indented line",)
    ),
    "a blank behind the region": Case(
        variables=ENVIRONMENT | {"AWS_DEFAULT_REGION": "us-east-1 "},
        says=("AWS_DEFAULT_REGION: 'us-east-1 ' is not a region",),
    ),
    "a region of the environment that is none": Case(
        profile=KEYS,
        variables={"AWS_REGION": "us east 1", "AWS_DEFAULT_REGION": "us-east-1"},
        says=("AWS_REGION: 'us east 1' is not a region",),
    ),
    "an instance whose role may not be assumed": Case(
        variables={"AWS_EC2_METADATA_DISABLED": "false"},
        spoilt=(
            f"{METADATA}Auditor",
            200,
            '{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role."}',
        ),
        says=("the instance metadata service", "role Auditor", "AssumeRoleUnauthorizedAccess"),
    ),
    "an instance that gives a list": Case(
        variables={"AWS_EC2_METADATA_DISABLED": "false"},
        spoilt=(f"{METADATA}Auditor", 200, "[1]"),
        says=("the instance metadata service", "lacks a part of credentials"),
    ),
    "a region of the command line": Case(
        variables=ENVIRONMENT, options=("--region", "a b"), says=("--region: 'a b'",)
    ),
    "half of a key in the environment": Case(
        variables={"AWS_ACCESS_KEY_ID": CALLER_KEY},
        says=("AWS_* variables", "AWS_SECRET_ACCESS_KEY is missing"),
    ),
    "the other half": Case(
        variables={"AWS_SECRET_ACCESS_KEY": CALLER_SECRET},
        says=("no AWS credentials", "AWS_ACCESS_KEY_ID is not"),
    ),
    "a line break in a token": Case(
        variables=ENVIRONMENT | {"AWS_SESSION_TOKEN": f"{SECRET}\n"},
        says=("AWS_SESSION_TOKEN holds a blank, a line break",),
    ),
    "an end that is no time": Case(
        variables=ENVIRONMENT | {"AWS_CREDENTIAL_EXPIRATION": "soon"},
        says=("AWS_* variables of the environment",),
    ),
    "a number of the environment": Case(
        variables=ENVIRONMENT | {"AWS_METADATA_SERVICE_TIMEOUT": "1.5"},
        says=("AWS_METADATA_SERVICE_TIMEOUT is not a whole number",),
    ),
    "attempts that are none": Case(
        variables=ENVIRONMENT | {"AWS_MAX_ATTEMPTS": "many"},
        says=("AWS_MAX_ATTEMPTS is not a whole number",),
    ),
    "a file that there is not": Case(
        variables={"AWS_SHARED_CREDENTIALS_FILE": "/gone/keys"},
        says=("no AWS credentials", "AWS_SHARED_CREDENTIALS_FILE names /gone/keys"),
    ),
    "certificates of the environment": Case(
        variables=ENVIRONMENT | {"AWS_CA_BUNDLE": "/gone.pem"}, says=("AWS_CA_BUNDLE: /gone.pem",)
    ),
    "a proxy that is none": Case(
        variables=ENVIRONMENT | {"HTTPS_PROXY": f"http://me:{SECRET}@proxy:port"},
        says=("HTTPS_PROXY is not the URL of a proxy",),
    ),
    "an endpoint that is none": Case(
        variables=ENVIRONMENT | {"AWS_ENDPOINT_URL": "aws"},
        says=("AWS_ENDPOINT_URL: 'aws' is not an endpoint",),
    ),
    "web identity of the environment without its file": Case(
        variables=_WEB, says=("AWS_WEB_IDENTITY_TOKEN_FILE: the token file", "No such file")
    ),
    "an empty endpoint of a container": Case(
        variables={"AWS_CONTAINER_CREDENTIALS_FULL_URI": ""},
        says=("no AWS credentials were found",),
    ),
    "a container without its token file": Case(
        variables=_CONTAINER | {_TOKEN_FILE: "/gone"},
        says=(f"{_TOKEN_FILE}: the token file /gone can't be read: No such file",),
    ),
    "a container with a line break in the token": Case(
        variables=_CONTAINER | {_TOKEN_FILE: "HOME/token"},
        files={"token": f"{SECRET}\n"},
        says=(_TOKEN_FILE, "token) holds a line break"),
    ),
    "a container of another machine": Case(
        variables={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.7/"},
        says=("AWS_CONTAINER_CREDENTIALS_FULL_URI gives no credentials: only this machine",),
    ),
    "a container with half of an answer": Case(
        variables=_CONTAINER,
        spoilt=("/container", 200, '{"AccessKeyId": "a"}'),
        says=("AWS_CONTAINER_CREDENTIALS_FULL_URI gives no credentials: the answer lacks",),
    ),
    "an instance without credentials": Case(
        variables={"AWS_EC2_METADATA_DISABLED": "false"},
        spoilt=("/latest/meta-data/iam/security-credentials/Auditor", 404, "none"),
        says=("no AWS credentials were found",),
    ),
    "a region that is off": Case(
        profile=BY_ROLE,
        more=BASE,
        spoilt=(
            "AssumeRole",
            403,
            "<ErrorResponse><Error><Code>RegionDisabledException</Code><Message>STS is not"
            " activated in this region</Message></Error></ErrorResponse>",
        ),
        says=("profile PROF: RegionDisabledException: STS is not activated", "activate the region"),
    ),
    "a region that is off for the caller": Case(
        variables=ENVIRONMENT,
        spoilt=(
            "GetCallerIdentity",
            403,
            "<ErrorResponse><Error><Code>RegionDisabledException</Code><Message>STS is not"
            " activated in this region</Message></Error></ErrorResponse>",
        ),
        says=("RegionDisabledException: STS is not activated", "activate the region"),
    ),
    "a chained role for too long": Case(
        profile=f"{BY_ROLE}duration_seconds = 7200\n",
        more=BASE,
        spoilt=(
            "AssumeRole",
            400,
            "<ErrorResponse><Error><Code>ValidationError</Code><Message>The requested"
            " DurationSeconds exceeds the 1 hour session limit for roles assumed by role"
            " chaining</Message></Error></ErrorResponse>",
        ),
        says=(
            "profile PROF: ValidationError: The requested DurationSeconds",
            "set duration_seconds",
        ),
    ),
    "a filter in between": Case(
        variables=ENVIRONMENT,
        spoilt=(
            "GetCallerIdentity",
            403,
            "<!DOCTYPE html><html><head><title>Blocked by ACME</title></head></html>",
        ),
        code=4,
        says=("HTTP 403", "'Blocked by ACME'", "a proxy or filter"),
    ),
    "a filter in between the role": Case(
        profile=BY_ROLE,
        more=BASE,
        spoilt=("AssumeRole", 403, "<html><title>Blocked by ACME</title><p>No.</html>"),
        code=4,
        says=("sts:AssumeRole: HTTP 403", "'Blocked by ACME'"),
    ),
    "nobody who answers": Case(
        variables=ENVIRONMENT | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        code=4,
        says=("AWS can't be reached", "check the network"),
    ),
}
