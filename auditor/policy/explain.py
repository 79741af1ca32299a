"""Why a rule says what it says about a key: its parts, what they looked at, which one decided."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auditor.model.unknown import Unknown
from auditor.policy.cel import Activation, CelEvaluationError, CelSyntaxError, Condition, Unbound
from auditor.policy.compiled import CompiledPolicy, CompiledRule
from auditor.policy.evaluate import Judge, Verdict
from auditor.policy.facts import Facts
from auditor.policy.parts import Part, parts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One part of a condition, about one key."""

    text: str
    depth: int
    """How many parts it stands in."""
    value: str
    """`true`, `false`, `unknown`, or `error: …`."""
    decides: bool
    """Whether the verdict hangs on it."""
    facts: Mapping[str, str]
    """What it looks at, as text: values, or why there is none. Empty where its parts tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One rule about one key."""

    verdict: Verdict
    parts: Mapping[str, tuple[Told, ...]]
    """By each class that the user may be of; the parts of a part follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One policy about one key."""

    classes: tuple[str, ...]
    """The classes that the user may be of."""
    class_unknown: Unknown | None
    """What is missing to tell them apart."""
    rules: tuple[Explanation, ...]


def explain(facts: Facts, policy: CompiledPolicy, *, now: datetime) -> Explained:
    """Return every rule's verdict with its reasons; raise PolicyError as `judge` does."""
    judge = Judge(facts, policy, now)
    classes, unknown = judge.classes()
    return Explained(
        classes=tuple(classes),
        class_unknown=unknown,
        rules=tuple(
            Explanation(
                verdict=judge.verdict(rule, classes, unknown),
                parts={name: _told(rule, name, judge, facts, policy) for name in classes},
            )
            for rule in policy.rules
        ),
    )


def shown(value: object) -> str:
    """Return a fact or parameter as text, exactly."""
    match value:
        case bool():
            text = "true" if value else "false"
        case timedelta():
            text = _duration(value)
        case datetime():
            text = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case str():
            text = f'"{value}"'
        case list():
            text = f"[{', '.join(shown(each) for each in value)}]"
        case Mapping():
            pairs = (f"{shown(name)}: {shown(each)}" for name, each in value.items())
            text = f"{{{', '.join(pairs)}}}"
        case _:
            text = str(value)
    return text


@dataclass(frozen=True, slots=True)
class _Decided:
    """A part with its value, and the parts it is joined of."""

    part: Part
    value: bool | Unbound | str
    facts: frozenset[str]
    parts: tuple["_Decided", ...]

    def deciding(self) -> tuple["_Decided", ...]:
        """Return those of its parts that its value hangs on."""
        if isinstance(self.value, bool):
            same = tuple(each for each in self.parts if each.value is self.value)
            one_is_enough = self.value is (self.part.joined_by == "||")
            return same[:1] if one_is_enough else same
        return tuple(each for each in self.parts if not isinstance(each.value, bool))


def _told(
    rule: CompiledRule, user_class: str, judge: Judge, facts: Facts, policy: CompiledPolicy
) -> tuple[Told, ...]:
    def decided(part: Part) -> _Decided:
        condition = policy.environment.compile(part.text)
        try:
            inner = tuple(decided(each) for each in part.parts)
        except CelSyntaxError:  # a piece that does not stand alone
            inner = ()
        return _Decided(part, _value(condition, activation), condition.facts, inner)

    def told(node: _Decided, depth: int, decides: bool) -> Iterator[Told]:
        values = {name: said(name) for name in sorted(node.facts)} if not node.parts else {}
        yield Told(
            text=" ".join(node.part.text.split()),
            depth=depth,
            value=_word(node.value),
            decides=decides,
            facts=values,
        )
        deciding = node.deciding()
        for each in node.parts:
            yield from told(each, depth + 1, decides and each in deciding)

    def said(name: str) -> str:
        if name in known:
            return shown(known[name])
        unknown = facts.missing(name)
        return "none" if unknown is None else f"unknown ({unknown.reason})"

    activation = judge.activation(rule, user_class)
    known = {**facts.known, "user.class": user_class, **rule.values[user_class]}
    return tuple(told(decided(parts_of(rule.when.text)), 0, True))


def _value(condition: Condition, activation: Activation) -> bool | Unbound | str:
    try:
        return condition.decide(activation)
    except CelEvaluationError as error:
        return f"error: {error}"


def _word(value: bool | Unbound | str) -> str:
    if isinstance(value, Unbound):
        return "unknown"
    return value if isinstance(value, str) else shown(value)


def _duration(value: timedelta) -> str:
    hours, seconds = divmod(value.seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    rest = f"{seconds}.{value.microseconds:06d}" if value.microseconds else str(seconds)
    named = ((value.days, "d"), (hours, "h"), (minutes, "m"), (rest if rest != "0" else 0, "s"))
    return " ".join(f"{number}{unit}" for number, unit in named if number) or "0s"
