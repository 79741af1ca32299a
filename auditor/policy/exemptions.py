"""Whether an exemption applies to a key; what can't be read never exempts."""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase

from auditor.model.tags import values_of
from auditor.policy.cel import Unbound
from auditor.policy.compiled import CompiledExemption
from auditor.policy.facts import Values

Decide = Callable[[CompiledExemption], bool | Unbound]
"""Decides an exemption's own condition about the key that is judged."""


def applies(
    rule_id: str, exemption: CompiledExemption, values: Values, decide: Decide
) -> bool | Unbound:
    """Return whether the exemption covers this rule and key; Unbound where that can't be known.

    `values` are the known facts of the key.
    """
    if not (exemption.rules is None or rule_id in exemption.rules):
        return False
    unknown: Unbound | None = None
    for part in _parts(exemption, values, decide):
        if isinstance(part, Unbound):
            unknown = unknown or part
        elif not part:
            return False
    return unknown or True


def _parts(
    exemption: CompiledExemption, values: Values, decide: Decide
) -> Iterator[bool | Unbound]:
    """Yield what each part of the exemption says of the key; all must hold."""
    for fact, glob in exemption.globs.items():
        yield fnmatchcase(str(values[fact]), glob) if fact in values else Unbound(fact)
    if exemption.tags:
        tags = values.get("user.tags")
        yield _tagged(exemption.tags, tags) if isinstance(tags, Mapping) else Unbound("user.tags")
    if exemption.when is not None:
        yield decide(exemption)


def _tagged(wanted: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Whether the user has all the tags."""
    return all(
        any(fnmatchcase(value, glob) for value in values_of(tags, name))
        for name, glob in wanted.items()
    )
