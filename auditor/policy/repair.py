"""Reading on past mistakes of shape, so that all mistakes of a file are told at once."""

from datetime import date
from typing import Any

from pydantic import ValidationError

from auditor.policy.document import PolicyDocument
from auditor.policy.places import Path

_INSTEAD: dict[str | int, Any] = {
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
    """Replace every mistake of shape in `data`; return the document, None where it is hopeless."""
    for each in error.errors():
        _replace(data, tuple(each["loc"]), extra=each["type"] == "extra_forbidden")
    try:
        return PolicyDocument.model_validate(data)
    except ValidationError:
        return None


def _replace(data: Any, path: Path, *, extra: bool) -> None:
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
        if isinstance(parent, dict):
            if not extra and step in _INSTEAD:
                parent[step] = _INSTEAD[step]
            else:
                parent.pop(step, None)
            return
