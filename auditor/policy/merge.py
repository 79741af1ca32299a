"""Laying a policy over the pack that it extends."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from auditor.policy.document import (
    ClassSection,
    Parameters,
    PolicyDocument,
    RuleSection,
)

_PARAMETER = re.compile(r"params\.([a-z][a-z0-9_]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """What a policy judges with, and all of that which it inherits."""

    params: Parameters = field(hash=False)
    classes: tuple[ClassSection, ...]
    rules: tuple[RuleSection, ...]

    def written(self, rule: RuleSection, user_class: str) -> Parameters:
        """Return the parameters of a rule in a class: policy < class < rule < rule in class."""
        own = next((each.params for each in self.classes if each.name == user_class), {})
        return self.params | own | rule.params | rule.classes.get(user_class, {})


NOTHING = Layered(params={}, classes=(), rules=())


def layer(document: PolicyDocument, base: Layered) -> Layered:
    """Return the policy over its base: parameters and classes replaced, rules merged by id.

    A rule of the base keeps its place; rules of the document's own come after, and its classes
    before. A rule keeps the base's controls only where it still says what the base said: a
    threshold of one's own is not the control's.
    """
    own = {rule.id: rule for rule in document.rules}
    inherited = {rule.id: rule for rule in base.rules}
    merged = [_over(rule, own.get(rule.id)) for rule in base.rules]
    named = {section.name for section in document.classes}
    result = Layered(
        params=base.params | document.params,
        classes=(
            *document.classes,
            *(section for section in base.classes if section.name not in named),
        ),
        rules=(*merged, *(rule for rule in document.rules if rule.id not in inherited)),
    )
    rules = tuple(
        rule
        if rule.id not in inherited
        or _controls_given(own.get(rule.id))
        or _same(result, rule, base, inherited[rule.id])
        else rule.model_copy(update={"controls": []})
        for rule in result.rules
    )
    return replace(result, rules=rules)


def _over(rule: RuleSection, over: RuleSection | None) -> RuleSection:
    """Return the rule with what `over` says put in the place of what it said."""
    if over is None:
        return rule
    said = {name: getattr(over, name) for name in over.model_fields_set if name != "id"}
    for name in ("params", "classes"):
        if name in said:
            said[name] = getattr(rule, name) | said[name]
    return rule.model_copy(update=said)


def _controls_given(over: RuleSection | None) -> bool:
    return over is not None and over.controls is not None


def _same(layered: Layered, rule: RuleSection, base: Layered, before: RuleSection) -> bool:
    """Whether a rule judges as it did in the base, in every class."""
    used = set(_PARAMETER.findall(rule.when or ""))
    names = {section.name for section in (*layered.classes, *base.classes)}
    names |= {*rule.classes, *before.classes, ""}
    return rule.when == before.when and all(
        _of(layered.written(rule, name), used) == _of(base.written(before, name), used)
        for name in names
    )


def _of(params: Mapping[str, object], names: set[str]) -> dict[str, object]:
    return {name: value for name, value in params.items() if name in names}
