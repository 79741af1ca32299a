"""From the text of a policy file to a compiled policy, with every mistake named in its place."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from auditor.errors import PolicyError
from auditor.model.run import PolicyStamp
from auditor.policy import compliance, parameters, places
from auditor.policy.cel import CelSyntaxError, Condition, Environment
from auditor.policy.compiled import (
    DEFAULT_CLASS,
    ROOT_CLASS,
    CompiledClass,
    CompiledExemption,
    CompiledPolicy,
    CompiledRule,
    ParameterValues,
)
from auditor.policy.document import ExemptionSection, PolicyDocument, RuleSection
from auditor.policy.facts import FACTS
from auditor.policy.places import Path

_HINT = "mend the policy file; the language is described in docs/policy.md"


def load(text: str, *, source: str) -> CompiledPolicy:
    """Return the compiled policy; raise PolicyError naming every mistake as `source:line:column`.

    `source` is what to call the file in messages.
    """
    try:
        placed = places.parse(text)
    except places.YamlError as error:
        raise PolicyError(f"{source}:{error.place}: {error}", hint=_HINT) from None
    try:
        document = PolicyDocument.model_validate(placed.data)
    except ValidationError as error:
        lines = [
            f"{source}:{placed.at(_path(each['loc']))}: {_where(each['loc'])}{each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise PolicyError("\n".join(lines), hint=_HINT) from None
    return _Compiler(document, placed, source).compile(text)


class _Compiler:
    """Collects the mistakes of one document while compiling it."""

    def __init__(self, document: PolicyDocument, placed: places.Placed, source: str) -> None:
        self._document = document
        self._placed = placed
        self._source = source
        self._mistakes: list[str] = []
        self._shared: dict[tuple[tuple[str, str], ...], ParameterValues] = {}
        params = {name: parameters.value_of(value) for name, value in document.params.items()}
        self._types = {name: parameters.type_of(value) for name, value in params.items()}
        self._environment = Environment(
            FACTS | {f"params.{name}": kind for name, kind in self._types.items()}
        )

    def compile(self, text: str) -> CompiledPolicy:
        """Return the policy, or raise PolicyError with all mistakes."""
        document = self._document
        classes = self._classes()
        rules = [self._rule(rule, ("rules", index)) for index, rule in enumerate(document.rules)]
        exemptions = [
            self._exemption(exemption, ("exemptions", index))
            for index, exemption in enumerate(document.exemptions)
        ]
        self._refuse_duplicates("rules", [rule.id for rule in document.rules])
        if self._mistakes:
            raise PolicyError("\n".join(self._mistakes), hint=_HINT)
        stamp = PolicyStamp(
            id=document.id,
            title=document.title,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            params={name: parameters.written(value) for name, value in document.params.items()},
        )
        return CompiledPolicy(
            stamp=stamp,
            environment=self._environment,
            classes=tuple(item for item in classes if item),
            rules=tuple(rule for rule in rules if rule),
            exemptions=tuple(item for item in exemptions if item),
        )

    def _classes(self) -> list[CompiledClass | None]:
        found: list[CompiledClass | None] = []
        for index, section in enumerate(self._document.classes):
            path: Path = ("classes", index)
            if section.name in {ROOT_CLASS, DEFAULT_CLASS}:
                self._mistake((*path, "class"), f"the class {section.name!r} is built in")
            self._check_overrides(section.params, (*path, "params"))
            when = self._condition(section.when, (*path, "when"))
            if when and "user.class" in when.facts:
                self._mistake((*path, "when"), "a class can't look at user.class")
            found.append(CompiledClass(name=section.name, when=when) if when else None)
        self._refuse_duplicates("classes", [item.name for item in self._document.classes])
        return found

    def _rule(self, rule: RuleSection, path: Path) -> CompiledRule | None:
        self._check_overrides(rule.params, (*path, "params"))
        for index, control in enumerate(rule.controls):
            problem = compliance.problem_with(control)
            if problem:
                self._mistake((*path, "controls", index), problem)
        when = self._condition(rule.when, (*path, "when"))
        try:
            titles, values = self._by_class(rule)
        except (KeyError, ValueError) as error:
            self._mistake((*path, "title"), f"the title names no parameter {error}")
            return None
        if when is None:
            return None
        return CompiledRule(
            id=rule.id,
            title=titles[DEFAULT_CLASS],
            severity=rule.severity,
            when=when,
            remedy=rule.remedy,
            controls=tuple(rule.controls),
            titles=titles,
            values=values,
        )

    def _by_class(self, rule: RuleSection) -> tuple[dict[str, str], dict[str, ParameterValues]]:
        """Return the rule's title and parameters in each class: policy < class < rule."""
        titles: dict[str, str] = {}
        values: dict[str, ParameterValues] = {}
        own = {section.name: section.params for section in self._document.classes}
        for name in (ROOT_CLASS, DEFAULT_CLASS, *own):
            written = self._document.params | own.get(name, {}) | rule.params
            titles[name] = parameters.fill(rule.title, written)
            key = tuple((each, repr(value)) for each, value in sorted(written.items()))
            values[name] = self._shared.setdefault(
                key,
                {f"params.{each}": parameters.value_of(value) for each, value in written.items()},
            )
        return titles, values

    def _exemption(self, section: ExemptionSection, path: Path) -> CompiledExemption | None:
        known = {rule.id for rule in self._document.rules}
        for index, rule_id in enumerate(section.rules or ()):
            if rule_id not in known:
                self._mistake((*path, "rules", index), f"there is no rule {rule_id!r}")
        when = None
        if section.when is not None:
            when = self._condition(section.when, (*path, "when"))
            if when is None:
                return None
        return CompiledExemption(
            account=section.account,
            ou=section.ou,
            user=section.user,
            path=section.path,
            key=section.key,
            tags=section.tags,
            when=when,
            rules=None if section.rules is None else frozenset(section.rules),
            reason=section.reason,
            owner=section.owner,
            ends_at=_end(section),
        )

    def _condition(self, text: str, path: Path) -> Condition | None:
        try:
            return self._environment.compile(text)
        except CelSyntaxError as error:
            for problem in error.problems:
                place = self._placed.inside(path, line=problem.line, column=problem.column)
                hint = self._hint(problem.message)
                self._mistakes.append(f"{self._source}:{place}: {problem.message}{hint}")
            return None

    def _hint(self, message: str) -> str:
        """Name the fact or parameter that was probably meant."""
        if "undeclared reference" not in message:
            return ""
        wrong = message.split("'")[1]
        meant = _closest(wrong, self._environment.names)
        return f" (did you mean {meant}?)" if meant else ""

    def _check_overrides(self, params: Mapping[str, object], path: Path) -> None:
        for name, value in params.items():
            if name not in self._types:
                self._mistake((*path, name), f"the policy has no parameter {name!r}")
                continue
            found = parameters.type_of(parameters.value_of(value))  # type: ignore[arg-type]
            if found is not self._types[name]:
                wanted = self._types[name].value
                self._mistake((*path, name), f"{name} must be a {wanted}, not a {found.value}")

    def _refuse_duplicates(self, section: str, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                self._mistake((section, index), f"{name!r} is defined twice")

    def _mistake(self, path: Path, message: str) -> None:
        self._mistakes.append(f"{self._source}:{self._placed.at(path)}: {message}")


def _closest(wrong: str, names: Mapping[str, object]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 -- only a mistake needs it

    return next(iter(get_close_matches(wrong, names, n=1, cutoff=0.6)), None)


def _end(section: ExemptionSection) -> datetime:
    """Return the instant from which the exemption no longer works: a date counts to its end."""
    expires = section.expires
    if isinstance(expires, datetime):
        return expires.astimezone(UTC) if expires.tzinfo else expires.replace(tzinfo=UTC)
    return datetime(expires.year, expires.month, expires.day, tzinfo=UTC) + timedelta(days=1)


def _path(loc: Sequence[str | int]) -> Path:
    return tuple(loc)


def _where(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in loc) + ": " if loc else ""
