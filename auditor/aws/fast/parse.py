"""IAM's XML answers, of which the wanted members are read and nothing else."""

import http.client
from typing import Any

from auditor.aws.errors import AnsweredFailure, page_failure
from auditor.aws.fast.markup import Documents, tree
from auditor.aws.fast.shapes import ERROR, RESULTS, Struct

_SERVER_ERROR = 500
_ANSWERS = {name: Struct({f"{name}Result": shape}) for name, shape in RESULTS.items()}


def result(operation: str, body: bytes, documents: Documents) -> dict[str, Any]:
    """Return the members of an operation's result, one of many documents of an account.

    Raises what the SDK's parser does for what it can't parse: ResponseParserError, LookupError or
    ValueError.
    """
    answer = documents.read(body, _ANSWERS[operation])
    found: dict[str, Any] = answer[f"{operation}Result"]
    return found


def refusal(operation: str, status: int, retry_after: str | None, body: bytes) -> AnsweredFailure:
    """Return the failure that an answer with an error status means; raise as `result` does.

    `operation` is the action. A server's error without a document goes by its number.
    """
    page = page_failure(operation, status, body)
    if page is not None:
        return page
    stripped = body.strip() if status >= _SERVER_ERROR else body
    if status >= _SERVER_ERROR and (not stripped or stripped.startswith(b"<html>")):
        code, message = str(status), http.client.responses.get(status)
    else:
        answer = ERROR.read(tree(body))
        error = (answer.get("Errors") or answer).get("Error", {})
        code, message = error.get("Code"), error.get("Message")
    return AnsweredFailure(
        operation=operation, code=code, message=message, status=status, retry_after=retry_after
    )
