"""Options that several commands share as one value: CONNECTION, for all that reach AWS."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, get_type_hints

from auditor.aws.connection import Connection
from auditor.cli import options as given
from auditor.errors import AuditError
from auditor.model import names

Command = Callable[..., None]


def given_as(name: str, make: Callable[..., object]) -> Callable[[Command], Command]:
    """Give a command the options that `make` takes, and what it returns of them as `name`."""

    def change(command: Command) -> Command:
        parameters = inspect.signature(command).parameters.values()
        own = [each for each in parameters if each.name != name]
        added = list(inspect.signature(make).parameters.values())

        @wraps(command)
        def run(**values: Any) -> None:
            made = make(**{each.name: values.pop(each.name) for each in added})
            command(**{name: made}, **values)

        hints = {
            option: hint
            for function in (command, make)
            for option, hint in get_type_hints(function, include_extras=True).items()
            if option not in {name, "return"}
        }
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [*own, *added], return_annotation=None
        )
        run.__annotations__ = hints
        return run

    return change


def _connection(
    *,
    role_name: given.RoleNames = ["iamaudit-read"],
    write_role_name: given.WriteRoleName = "iamaudit-write",
    external_id: given.ExternalId = None,
    source_identity: given.SourceIdentity = None,
    profile: given.Profile = None,
    region: given.Region = None,
    endpoint_url: given.EndpointUrl = None,
    allow_http: given.AllowHttp = False,
) -> Connection:
    return as_given(
        role_names=role_name,
        write_role_name=write_role_name,
        external_id=external_id,
        source_identity=source_identity,
        profile=profile,
        region=region,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
    )


def as_given(
    *,
    role_names: Sequence[str],
    write_role_name: str = "iamaudit-write",
    external_id: str | None,
    source_identity: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    allow_http: bool,
) -> Connection:
    """Return how AWS is to be reached; raise AuditError for a name that AWS would not take."""
    if not role_names:
        raise AuditError("--role-name is empty", hint=names.ROLE_NAME.hint)

    def optional(kind: names.Kind, text: str | None, option: str) -> str | None:
        return None if text is None else names.checked(kind, text, option=option)

    return Connection(
        role_names=tuple(
            names.checked(names.ROLE_NAME, each, option="--role-name") for each in role_names
        ),
        write_role_name=names.checked(names.ROLE_NAME, write_role_name, option="--write-role-name"),
        external_id=optional(names.EXTERNAL_ID, external_id, "--external-id"),
        source_identity=optional(names.SOURCE_IDENTITY, source_identity, "--source-identity"),
        profile=profile,
        region=optional(names.REGION, region, "--region"),
        endpoint_url=endpoint_url,
        allow_http=allow_http,
    )


def connected(command: Command) -> Command:
    """Give the command the CONNECTION options in the place of its parameter `connection`."""
    return given_as("connection", _connection)(command)
