"""Parameters: `90d` and its kin, their types, and their place in a title."""

import re
from collections.abc import Mapping
from datetime import timedelta
from string import Formatter
from typing import TypeAlias

from auditor.policy.cel import FactType
from auditor.policy.compiled import ParameterValue

Written: TypeAlias = bool | int | str | list[str]
"""A parameter as the policy file has it."""

_DURATION = re.compile(r"(\d{1,5})([wdhms])")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def parse_duration(text: str) -> timedelta | None:
    """Return `90d`, `12h`, `2w`, `30m` or `45s` as a duration; None for other text."""
    match = _DURATION.fullmatch(text)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None


def value_of(written: Written) -> ParameterValue:
    """Return a parameter as CEL sees it: text that reads as a duration is one."""
    if isinstance(written, str):
        duration = parse_duration(written)
        return written if duration is None else duration
    return written


def type_of(value: ParameterValue) -> FactType:
    """Return the CEL type of a parameter."""
    match value:
        case bool():
            return FactType.BOOL
        case int():
            return FactType.INT
        case str():
            return FactType.STRING
        case timedelta():
            return FactType.DURATION
        case list():
            return FactType.STRINGS


def written(value: object) -> str:
    """Return a parameter as the policy file writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)


def named_in(title: str) -> list[str]:
    """Return the names in braces; none where the title is not well formed."""
    try:
        return [name for _, name, _, _ in Formatter().parse(title) if name is not None]
    except ValueError:
        return []


def fill(title: str, params: Mapping[str, object]) -> str:
    """Put parameters in the place of `{name}`; raise KeyError for a name that is none.

    Only plain names are taken: no attributes, indexes or formats.
    """
    parts = []
    for text, name, spec, conversion in Formatter().parse(title):
        parts.append(text)
        if name is None:
            continue
        if spec or conversion or name not in params:
            raise KeyError(name)
        parts.append(written(params[name]))
    return "".join(parts)
