"""Pages as AWS cuts them, with tokens that callers can't make up."""

import base64
from collections.abc import Sequence
from typing import Any, TypeVar

from auditor.demo.wire import Call, RefusedError
from auditor.demo.world import World

T = TypeVar("T")

_IAM_DEFAULT, _IAM_LIMIT = 100, 1000
_ORGANIZATIONS_LIMIT = 20
_SECURITY_HUB_LIMIT = 100
_EVERY = 3
"""Each third list of Organizations begins with an empty page."""


def iam_page(items: Sequence[T], call: Call) -> tuple[list[T], dict[str, Any]]:
    """Return the page that `MaxItems` and `Marker` ask for, and `IsTruncated` and `Marker`."""
    size = int(call.params.get("MaxItems", _IAM_DEFAULT))
    if not 1 <= size <= _IAM_LIMIT:
        raise _invalid_iam(f"Value '{size}' at 'maxItems' failed to satisfy constraint")
    start = _offset(call, call.params.get("Marker"))
    if start is None:
        raise _invalid_iam("Invalid Marker.")
    more = start + size < len(items)
    marker = _token(call, start + size) if more else None
    return list(items[start : start + size]), {"IsTruncated": more, "Marker": marker}


def organizations_page(
    items: Sequence[T], call: Call, world: World
) -> tuple[list[T], dict[str, Any]]:
    """Return the page that `MaxResults` and `NextToken` ask for, and `NextToken` if there is more.

    Each third list begins with an empty page and a token: AWS sends such, and callers must go on.
    """
    size = int(call.params.get("MaxResults", _ORGANIZATIONS_LIMIT))
    if not 1 <= size <= _ORGANIZATIONS_LIMIT:
        raise _invalid_input("You specified a value for MaxResults that is out of range.")
    token = call.params.get("NextToken")
    start = _offset(call, token)
    if start is None:
        raise _invalid_input("You specified an invalid NextToken.")
    if token is None and next(world.lists) % _EVERY == 0:
        return [], {"NextToken": _token(call, 0)}
    more = {"NextToken": _token(call, start + size)} if start + size < len(items) else {}
    return list(items[start : start + size]), more


def security_hub_page(items: Sequence[T], call: Call) -> tuple[list[T], dict[str, Any]]:
    """Return the page that `MaxResults` and `NextToken` ask for, and what leads to the next."""
    size = int(call.params.get("MaxResults", _SECURITY_HUB_LIMIT))
    if not 1 <= size <= _SECURITY_HUB_LIMIT:
        raise _invalid_input("Invalid parameter: MaxResults")
    start = _offset(call, call.params.get("NextToken"))
    if start is None:
        raise _invalid_input("Invalid parameter: NextToken")
    more = {"NextToken": _token(call, start + size)} if start + size < len(items) else {}
    return list(items[start : start + size]), more


def _token(call: Call, offset: int) -> str:
    return base64.urlsafe_b64encode(f"{call.request.operation}:{offset}".encode()).decode()


def _offset(call: Call, token: str | None) -> int | None:
    if token is None:
        return 0
    try:
        operation, _, offset = base64.urlsafe_b64decode(token).decode().partition(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8
        return None
    return int(offset) if operation == call.request.operation and offset.isdecimal() else None


def _invalid_iam(message: str) -> RefusedError:
    return RefusedError(status=400, code="ValidationError", message=message)


def _invalid_input(message: str) -> RefusedError:
    return RefusedError(status=400, code="InvalidInputException", message=message)
