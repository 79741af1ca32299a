"""IAM's XML answers, of which the wanted members are read and nothing else.

The tree is made by expat and the standard library without a line of Python.
"""

import http.client
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLParser

from botocore.parsers import ResponseParserError

from auditor.aws.bounds import check_xml
from auditor.aws.errors import AnsweredFailure
from auditor.aws.fast.shapes import ERROR, RESULTS, Struct

_SERVER_ERROR = 500
_ANSWERS = {name: Struct({f"{name}Result": shape}) for name, shape in RESULTS.items()}


def result(operation: str, body: bytes) -> dict[str, Any]:
    """Return the members of an operation's result.

    Raises what the SDK's parser does for what it can't parse: ResponseParserError, LookupError or
    ValueError.
    """
    answer = _ANSWERS[operation].read(_tree(body))
    found: dict[str, Any] = answer[f"{operation}Result"]
    return found


def refusal(operation: str, status: int, retry_after: str | None, body: bytes) -> AnsweredFailure:
    """Return the failure that an answer with an error status means; raise as `result` does.

    `operation` is the action. A server's error without a document goes by its number.
    """
    stripped = body.strip() if status >= _SERVER_ERROR else body
    if status >= _SERVER_ERROR and (not stripped or stripped.startswith(b"<html>")):
        code, message = str(status), http.client.responses.get(status)
    else:
        answer = ERROR.read(_tree(body))
        error = (answer.get("Errors") or answer).get("Error", {})
        code, message = error.get("Code"), error.get("Message")
    return AnsweredFailure(
        operation=operation, code=code, message=message, status=status, retry_after=retry_after
    )


def _tree(body: bytes) -> Element:
    check_xml(body)
    parser = XMLParser(encoding="utf-8")  # noqa: S314 -- without a document type there is no attack
    try:
        parser.feed(body)
        return parser.close()
    except ParseError as error:
        raise ResponseParserError(str(error)) from None
