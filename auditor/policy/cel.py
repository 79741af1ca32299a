"""The only module that knows the CEL runtime.

`cel-expr-python` is Google's C++ implementation, and young: whatever it changes is mended here.
See docs/decisions/0003-cel-runtime.md.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from auditor.policy.growth import growth
from auditor.policy.questions import questions

_MOST_GROWTH = 256
"""So many times the size of what it looks at, at most, is what a condition may make of it."""
_MOST_TOLD = 4096
"""Answers remembered of some conditions; baseline comes to a few hundred."""


class FactType(Enum):
    """The types that facts and parameters can have."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    DURATION = "duration"
    TIMESTAMP = "timestamp"
    STRINGS = "list(string)"
    TAGS = "map(string, string)"


_COMPARABLE = frozenset({FactType.INT, FactType.STRING, FactType.DURATION})
_TYPES = {
    FactType.BOOL: cel.Type.BOOL,
    FactType.INT: cel.Type.INT,
    FactType.STRING: cel.Type.STRING,
    FactType.DURATION: cel.Type.DURATION,
    FactType.TIMESTAMP: cel.Type.TIMESTAMP,
    FactType.STRINGS: cel.Type.List(cel.Type.STRING),
    FactType.TAGS: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CelProblem:
    """One reason why a condition does not compile."""

    line: int
    """1 for the condition's first line."""
    column: int
    """1 for the line's first character."""
    message: str


class CelSyntaxError(ValueError):
    """Raised when a condition does not parse, or names or types don't fit."""

    def __init__(self, problems: tuple[CelProblem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class CelEvaluationError(ValueError):
    """Raised when a condition fails for another reason than a missing fact."""


@dataclass(frozen=True, slots=True)
class Unbound:
    """The condition needs a fact that is not known."""

    fact: str


class Condition:
    """A compiled boolean expression."""

    __slots__ = ("_expression", "facts", "place", "text")

    def __init__(self, text: str, expression: Any, facts: frozenset[str], place: str = "") -> None:
        self.text = text
        self.facts = facts
        """The declared names it looks at."""
        self.place = place
        """Where it stands, as `file:line:column`; empty for one that is in no file."""
        self._expression = expression

    def decide(self, facts: "Activation") -> bool | Unbound:
        """Return what it comes to; raise CelEvaluationError for anything but a missing fact."""
        try:
            value = self._expression.eval(facts.native).value()
        except RuntimeError as error:  # it would loop too long
            raise CelEvaluationError(str(error)) from None
        if value is True or value is False:
            return bool(value)
        missing = _UNBOUND.fullmatch(str(value))
        if missing is None:
            raise CelEvaluationError(str(value))
        return Unbound(missing[1])


class Conditions:
    """Several conditions, decided at once: asking CEL costs more than what it then does."""

    def __init__(self, environment: "Environment", conditions: Iterable[Condition]) -> None:
        self._environment = environment
        self._conditions = tuple(conditions)
        self._all = tuple(range(len(self._conditions)))
        self._facts = frozenset(fact for each in self._conditions for fact in each.facts)
        self._joined = lru_cache(maxsize=256)(self._join)
        """By what is unknown: that is the same for many keys."""
        self._questions = questions(
            (each.text for each in self._conditions),
            flags=environment.of_type(FactType.BOOL),
            comparable=environment.of_type(*_COMPARABLE),
        )
        self._told: dict[tuple[object, ...], Sequence[bool | None]] = {}
        """What they came to, by the answers to their questions."""

    def decide(self, facts: "Activation") -> Sequence[bool | None]:
        """Return what each comes to; None for one that may have no answer, to be asked by itself.

        One that looks at something unknown would leave all of them without an answer.
        """
        if self._questions is None:
            return self._ask(facts)
        answers = self._questions.answers(facts.values)
        told = self._told.get(answers)
        if told is None:
            told = self._ask(facts)
            if len(self._told) < _MOST_TOLD:
                self._told[answers] = told
        return told

    def _ask(self, facts: "Activation") -> Sequence[bool | None]:
        known = _only(self._facts, facts.values)
        places = self._all
        if len(known) < len(self._facts):
            places = tuple(at for at in places if self._conditions[at].facts <= known.keys())
        joined = self._joined(places)
        try:
            told = joined.eval(data=known).plain_value() if joined else None
        except RuntimeError:  # together they loop too long; which one does is asked singly
            told = None
        if not isinstance(told, list):
            return [None] * len(self._conditions)
        if places is self._all:
            return told
        found = dict(zip(places, told, strict=True))
        return [found.get(at) for at in self._all]

    def _join(self, places: tuple[int, ...]) -> Any:
        """Return them as one expression; None where it is longer than an expression may be.

        Each has its own line, as it may end in a comment.
        """
        text = ", ".join(f"({self._conditions[at].text}\n)" for at in places)
        try:
            return self._environment.native.compile(f"[{text}]")
        except RuntimeError:
            return None


class Activation:
    """Facts bound to their values, to be looked at by several conditions."""

    __slots__ = ("_environment", "_looked_at", "_native", "values")

    def __init__(
        self,
        environment: "Environment",
        values: Mapping[str, object],
        looked_at: Set[str] | None = None,
    ) -> None:
        """Take all that is known; no condition looks at other names than these, if they are given.

        Binding what nothing looks at takes time.
        """
        self.values = values
        self._environment = environment
        self._looked_at = looked_at
        self._native: Any = None

    @property
    def native(self) -> Any:
        """The runtime's own, made where conditions are asked one by one."""
        if self._native is None:
            bound: Mapping[str, object] = self.values
            if self._looked_at is not None:
                bound = _only(self._looked_at, bound)
            self._native = self._environment.native.Activation(bound)
        return self._native


class Environment:
    """The names and types that conditions may use."""

    def __init__(self, names: Mapping[str, FactType]) -> None:
        self.names = dict(names)
        self.native = _native(self.names)
        self._without: dict[str, Any] = {}

    def compile(self, text: str, *, place: str = "") -> Condition:
        """Return the condition; raise CelSyntaxError with every problem and its place.

        `place` is where the text stands, for messages.
        """
        if growth(text) > _MOST_GROWTH:
            problem = CelProblem(
                line=1, column=1, message="its loops multiply what they go through"
            )
            raise CelSyntaxError((problem,))
        try:
            expression = self.native.compile(text)
        except RuntimeError as error:
            raise CelSyntaxError(_problems(str(error))) from None
        if expression.return_type() != cel.Type.BOOL:
            found = expression.return_type().name()
            problem = CelProblem(
                line=1, column=1, message=f"a condition must be true or false, not a {found}"
            )
            raise CelSyntaxError((problem,))
        return Condition(text, expression, self._used(text), place)

    def of_type(self, *types: FactType) -> frozenset[str]:
        """Return the names of these types."""
        return frozenset(name for name, type_ in self.names.items() if type_ in types)

    def _used(self, text: str) -> frozenset[str]:
        """Return the names that the expression can't do without."""
        words = set(_WORD.findall(text))
        return frozenset(
            name
            for name in self.names
            if name.rpartition(".")[2] in words and not self._compiles_without(name, text)
        )

    def _compiles_without(self, name: str, text: str) -> bool:
        if name not in self._without:
            others = {key: kind for key, kind in self.names.items() if key != name}
            self._without[name] = _native(others)
        try:
            self._without[name].compile(text)
        except RuntimeError:
            return False
        return True


def _only(names: Iterable[str], values: Mapping[str, object]) -> Mapping[str, object]:
    return {name: values[name] for name in names if name in values}


def _days(count: int) -> timedelta:
    return timedelta(days=count)


_DAYS = cel.FunctionDecl(
    "days",
    [cel.Overload("days_int", cel.Type.DURATION, [cel.Type.INT], is_member=False, impl=_days)],
)
_WORD = re.compile(r"[A-Za-z0-9_]+")
_UNBOUND = re.compile(r'UNKNOWN: No value with name "([^"]+)" found in Activation')
_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


def _native(names: Mapping[str, FactType]) -> Any:
    variables = {name: _TYPES[kind] for name, kind in names.items()}
    return cel.NewEnv(variables=variables, functions=[_DAYS])


def _problems(text: str) -> tuple[CelProblem, ...]:
    found = tuple(
        CelProblem(line=int(line), column=int(column), message=_plain(message))
        for line, column, message in _PROBLEM.findall(text)
    )
    return found or (CelProblem(line=1, column=1, message=text.splitlines()[0]),)


def _plain(message: str) -> str:
    """Say it in the policy's words, not in the runtime's."""
    message = message.replace(" (in container '')", "")
    message = message.replace("google.protobuf.Duration", "duration")
    return message.replace("google.protobuf.Timestamp", "timestamp")
