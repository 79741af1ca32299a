"""Answers, and how AWS words a refusal in its two protocols."""

from dataclasses import dataclass
from typing import TypeAlias

IAM, STS = "https://iam.amazonaws.com/doc/2010-05-08/", "https://sts.amazonaws.com/doc/2011-06-15/"
REQUEST_ID = "f4ce0000-fa4e-4a3e-b0a0-000000000000"

Answer: TypeAlias = tuple[int, str]
"""Status and body."""


@dataclass(frozen=True, slots=True)
class RefusedError(Exception):
    """Raised to answer a call with an error."""

    status: int
    code: str
    message: str


def xml(operation: str, namespace: str, result: str) -> str:
    """Return the body of a good answer of IAM or STS."""
    return (
        f'<{operation}Response xmlns="{namespace}"><{operation}Result>{result}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )


def xml_error(refused: RefusedError, namespace: str = IAM) -> Answer:
    """Return an error as IAM and STS write it."""
    return refused.status, (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type>'
        f"<Code>{refused.code}</Code><Message>{refused.message}</Message></Error>"
        f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    )


def json_error(refused: RefusedError) -> Answer:
    """Return an error as Organizations writes it."""
    return refused.status, f'{{"__type":"{refused.code}","Message":"{refused.message}"}}'


def members(items: list[str]) -> str:
    """Return the items of a list."""
    return "".join(f"<member>{item}</member>" for item in items)


def no_such_entity(what: str) -> RefusedError:
    """Return what IAM says of what it does not have."""
    return RefusedError(404, "NoSuchEntity", f"The {what} cannot be found.")
