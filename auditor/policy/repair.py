"""Reading on past mistakes of shape, so that all mistakes of a file are told at once."""

import copy
from datetime import date
from typing import Any

from pydantic import ValidationError

from auditor.policy.document import PolicyDocument
from auditor.policy.places import Path

_TRIES = 3
_INSTEAD: dict[str, Any] = {
    "api_version": "iamaudit/v1",
    "apiVersion": "iamaudit/v1",
    "id": "unnamed",
    "title": "untitled",
    "class": "unnamed",
    "when": "true",
    "severity": "info",
    "remedy": "none",
    "reason": "-",
    "owner": "-",
    "expires": date(2100, 1, 1),
}
"""What stands for a member that is missing or of a wrong kind; others are left out."""


def repair(data: Any, error: ValidationError) -> PolicyDocument | None:
    """Return the document with every mistake of shape replaced; None where that is hopeless."""
    data = copy.deepcopy(data)
    for _ in range(_TRIES):
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            if not _replace(data, tuple(each["loc"]), extra=each["type"] == "extra_forbidden"):
                return None
        try:
            return PolicyDocument.model_validate(data)
        except ValidationError as again:
            error = again
    return None


def _replace(data: Any, path: Path, *, extra: bool) -> bool:
    """Replace, or leave out, what stands at the nearest part of the path that is a member."""
    parents: list[tuple[Any, str | int]] = []
    for step in path:
        parents.append((data, step))
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            break
    while parents:
        parent, step = parents.pop()
        if isinstance(parent, dict) and isinstance(step, str):
            if not extra and step in _INSTEAD:
                parent[step] = _INSTEAD[step]
            else:
                parent.pop(step, None)
            return True
    return False
