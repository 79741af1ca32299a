"""The CONNECTION options, for every command that reaches AWS."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

from auditor.aws.connection import Connection
from auditor.cli import options as given

Command = Callable[..., None]


def connected(command: Command) -> Command:
    """Give the command the CONNECTION options in the place of its parameter `connection`."""
    signature = inspect.signature(command)
    own = [each for each in signature.parameters.values() if each.name != "connection"]
    added = [
        each
        for each in inspect.signature(_connection).parameters.values()
        if "connection" in signature.parameters
    ]

    @wraps(command)
    def run(**values: Any) -> None:
        connection = _connection(**{each.name: values.pop(each.name) for each in added})
        command(connection=connection, **values)

    hints = {
        name: hint
        for function in (command, _connection)
        for name, hint in get_type_hints(function, include_extras=True).items()
        if name not in {"connection", "return"}
    }
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*own, *added], return_annotation=None
    )
    run.__annotations__ = hints
    return run


def _connection(
    *,
    role_name: given.RoleNames = ["iamaudit-read"],
    write_role_name: given.WriteRoleName = "iamaudit-write",
    external_id: given.ExternalId = None,
    source_identity: given.SourceIdentity = None,
    profile: given.Profile = None,
    region: given.Region = None,
    endpoint_url: given.EndpointUrl = None,
) -> Connection:
    return Connection(
        role_names=tuple(role_name),
        write_role_name=write_role_name,
        external_id=external_id,
        source_identity=source_identity,
        profile=profile,
        region=region,
        endpoint_url=endpoint_url,
    )
