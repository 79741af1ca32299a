"""A policy ready to judge with."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TypeAlias

from auditor.model.finding import Remedy, Severity
from auditor.model.run import PolicySource, PolicyStamp
from auditor.policy.cel import Condition, Conditions, Environment

ParameterValue: TypeAlias = bool | int | str | timedelta | list[str]
ParameterValues: TypeAlias = Mapping[str, ParameterValue]

ROOT_CLASS = "root"
DEFAULT_CLASS = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledClass:
    """A kind of user."""

    name: str
    when: Condition


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledRule:
    """One rule, with its parameters worked out for every class. It equals itself alone."""

    id: str
    title: str
    """With the parameters filled in, as they are without a class's own."""
    severity: Severity
    when: Condition
    remedy: Remedy
    controls: tuple[str, ...]
    titles: Mapping[str, str]
    """By class."""
    values: Mapping[str, ParameterValues]
    """By class: `params.*` as CEL values. Rules that share parameters share the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledExemption:
    """Keys that rules shall not count against until it expires."""

    policy_id: str
    position: int
    """Among the policy's exemptions, from 0."""
    globs: Mapping[str, str] = field(hash=False)
    """By fact: `{"user.name": "svc-*"}`."""
    tags: Mapping[str, str] = field(hash=False)
    """Globs by the name of a tag of the user."""
    when: Condition | None
    environment: Environment
    """What `when` was compiled in."""
    values: ParameterValues = field(hash=False)
    """The policy's `params.*`, for `when`."""
    rules: frozenset[str] | None
    """None: every rule of the policies that judge together."""
    where: Mapping[str, object] = field(hash=False)
    """What it looks at, as written."""
    reason: str
    owner: str
    expires: str
    """As written."""
    ends_at: datetime
    """The first instant at which it no longer works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Rules of one policy with the same parameters: they can be decided at once."""

    places: tuple[int, ...]
    """Of the rules among the policy's."""
    values: ParameterValues = field(hash=False)
    whens: Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicy:
    """One policy file, checked whole."""

    stamp: PolicyStamp
    source: PolicySource
    """With the packs that it extends."""
    description: str
    environment: Environment
    values: ParameterValues = field(hash=False)
    """The policy's own `params.*`, which the conditions of classes look at."""
    classes: tuple[CompiledClass, ...]
    rules: tuple[CompiledRule, ...]
    exemptions: tuple[CompiledExemption, ...]
    """Its own, and those of the policies that it judges together with."""
    looked_at: frozenset[str] = field(init=False)
    """What the conditions of its rules and exemptions name."""
    class_facts: frozenset[str] = field(init=False)
    """What the conditions of its classes name."""
    class_whens: Conditions = field(init=False)
    """The conditions of its classes."""
    groups: Mapping[str, tuple[RuleGroup, ...]] = field(init=False, hash=False)
    """All its rules, by class."""

    def __post_init__(self) -> None:
        """Work out once what binding each key's facts would ask for every time."""
        judging = [
            *(rule.when for rule in self.rules),
            *(each.when for each in self.exemptions if each.when is not None),
        ]
        object.__setattr__(self, "looked_at", _facts(judging))
        classes = [each.when for each in self.classes]
        object.__setattr__(self, "class_facts", _facts(classes))
        object.__setattr__(self, "class_whens", Conditions(self.environment, classes))
        object.__setattr__(self, "groups", self._groups())

    def _groups(self) -> dict[str, tuple[RuleGroup, ...]]:
        @cache
        def join(places: tuple[int, ...]) -> Conditions:
            return Conditions(self.environment, (self.rules[place].when for place in places))

        classes = (ROOT_CLASS, *(each.name for each in self.classes), DEFAULT_CLASS)
        return {name: tuple(_grouped(self.rules, name, join)) for name in classes}

    @property
    def classes_look_at_keys(self) -> bool:
        """Whether keys of one user may put it in different classes."""
        return any(fact.startswith("key.") for fact in self.class_facts)

    @property
    def facts(self) -> frozenset[str]:
        """The facts that some condition looks at."""
        return self.looked_at.union(self.class_facts, *(each.globs for each in self.exemptions))


def _facts(conditions: Iterable[Condition]) -> frozenset[str]:
    return frozenset(fact for condition in conditions for fact in condition.facts)


def _grouped(
    rules: Sequence[CompiledRule],
    user_class: str,
    join: Callable[[tuple[int, ...]], Conditions],
) -> Iterator[RuleGroup]:
    places: dict[int, list[int]] = {}
    for place, rule in enumerate(rules):
        places.setdefault(id(rule.values[user_class]), []).append(place)
    for group in map(tuple, places.values()):
        yield RuleGroup(places=group, values=rules[group[0]].values[user_class], whens=join(group))
