"""Commands to run next, written so that they can be copied."""

import shlex
from pathlib import Path

from auditor.aws.connection import Connection
from auditor.formats.templates import printable

DEFAULT_OUTPUT = Path("reports")
SESSIONS_REMAIN = (
    "Sessions that were begun with a key outlive it: those of GetSessionToken and"
    " GetFederationToken for up to 36 hours, those of assumed roles for up to 12. See"
    " docs/remediation.md for how to end them."
)


def command(
    *parts: str,
    output: Path = DEFAULT_OUTPUT,
    store: Path | None = None,
    connection: Connection | None = None,
) -> str:
    """Return a command with the options that lead it to the same store and the same caller."""
    words = ["iamaudit", *parts]
    if store is not None:
        words += ["--store", str(store)]
    elif output != DEFAULT_OUTPUT:
        words += ["--output", str(output)]
    if connection is not None:
        words += _connecting(connection)
    return printable(shlex.join(words))


def _connecting(connection: Connection) -> list[str]:
    default = Connection()
    words: list[str] = []
    for option, name in (
        ("--profile", "profile"),
        ("--region", "region"),
        ("--endpoint-url", "endpoint_url"),
        ("--write-role-name", "write_role_name"),
        ("--external-id", "external_id"),
        ("--source-identity", "source_identity"),
    ):
        value = getattr(connection, name)
        if value != getattr(default, name):
            words += [option, str(value)]
    if connection.allow_http:
        words.append("--allow-http")
    return words
