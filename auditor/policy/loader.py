"""From the text of a policy file to a compiled policy, with every mistake named in its place."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from pydantic import ValidationError

from auditor.errors import PolicyError
from auditor.model.finding import Remedy
from auditor.model.run import PolicySource, PolicyStamp
from auditor.policy import compliance, parameters, places
from auditor.policy.catalogue import fact_types
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
from auditor.policy.merge import NOTHING, Layered, layer
from auditor.policy.places import Path, Placed
from auditor.policy.repair import repair

HINT = "mend the policy file; the language is described in docs/policies.md"
"""What to do about a mistake in a policy."""
_DEEPEST = 3

ReadPack = Callable[[str], str]
"""Returns the text of a pack by its name; raises KeyError for a name that is none."""


def load(
    text: str, *, source: str, read_pack: ReadPack, elsewhere: Collection[str] = ()
) -> CompiledPolicy:
    """Return the compiled policy; raise PolicyError naming every mistake as `source:line:column`.

    `source` is what to call the file in messages. `elsewhere` are the ids of rules of other
    policies, which the exemptions may name.
    """
    placed = _placed(text, source)
    shape: list[str] = []
    try:
        document = PolicyDocument.model_validate(placed.data)
    except ValidationError as error:
        shape = mistakes_of(error, placed, source)
        mended = repair(placed.data, error)
        if mended is None:
            raise PolicyError("\n".join(shape), hint=HINT) from None
        document = mended
    base, packs = _base(document, placed, source, read_pack, depth=1)
    compiler = _Compiler(document, base, placed, source, elsewhere, mistakes=shape)
    return compiler.compile(PolicySource(name=source, text=text, packs=packs))


def rule_ids(text: str, *, source: str, read_pack: ReadPack) -> frozenset[str]:
    """Return the ids of the policy's rules; none where it can't be read, which `load` tells."""
    try:
        document, placed = parse(text, source=source)
        base, _ = _base(document, placed, source, read_pack, depth=1)
    except PolicyError:
        return frozenset()
    return frozenset(rule.id for rule in layer(document, base).rules)


def parse(text: str, *, source: str) -> tuple[PolicyDocument, Placed]:
    """Return the document as written and the places of its parts; raise PolicyError."""
    placed = _placed(text, source)
    try:
        return PolicyDocument.model_validate(placed.data), placed
    except ValidationError as error:
        raise PolicyError("\n".join(mistakes_of(error, placed, source)), hint=HINT) from None


def _placed(text: str, source: str) -> Placed:
    try:
        return places.parse(text)
    except places.YamlError as error:
        raise PolicyError(f"{source}:{error.place}: {error}", hint=HINT) from None


def mistakes_of(error: ValidationError, placed: Placed, source: str) -> list[str]:
    """Return what does not fit the document's shape, one line each with its place."""
    lines = []
    errors = error.errors()
    if any(each["type"] == "missing" and each["loc"] == ("apiVersion",) for each in errors):
        # It is another kind of file: what is in it is not for a message.
        errors = [each for each in errors if each["type"] != "extra_forbidden"]
    for each in errors:
        find = placed.key_at if each["type"] == "extra_forbidden" else placed.at
        place = find(tuple(each["loc"]))
        lines.append(f"{source}:{place}: {_where(each['loc'])}{each['msg']}")
    return lines


def _base(
    document: PolicyDocument, placed: Placed, source: str, read_pack: ReadPack, *, depth: int
) -> tuple[Layered, dict[str, str]]:
    """Return what the document extends, and the packs that it was made of, the nearest first."""
    if document.extends is None:
        return NOTHING, {}
    place = f"{source}:{placed.at(('extends',))}"
    try:
        text = read_pack(document.extends)
    except KeyError as error:
        raise PolicyError(f"{place}: {error.args[0]}", hint="extend one of our packs") from None
    if depth > _DEEPEST:
        raise PolicyError(f"{place}: extends too deep", hint=HINT)
    base, base_placed = parse(text, source=document.extends)
    below, packs = _base(base, base_placed, document.extends, read_pack, depth=depth + 1)
    return layer(base, below), {document.extends: text, **packs}


class _Compiler:
    """Collects the mistakes of one document while compiling it."""

    def __init__(
        self,
        document: PolicyDocument,
        base: Layered,
        placed: Placed,
        source: str,
        elsewhere: Collection[str],
        *,
        mistakes: Sequence[str] = (),
    ) -> None:
        self._document = document
        self._elsewhere = elsewhere
        self._base = base
        self._layered = layer(document, base)
        self._placed = placed
        self._source = source
        self._mistakes: list[str] = list(mistakes)
        self._shared: dict[tuple[tuple[str, str], ...], ParameterValues] = {}
        self._types = {
            name: parameters.type_of(parameters.value_of(value))
            for name, value in self._layered.params.items()
        }
        self._environment = Environment(
            fact_types() | {f"params.{name}": kind for name, kind in self._types.items()}
        )
        self._class_names = (
            ROOT_CLASS,
            DEFAULT_CLASS,
            *(each.name for each in self._layered.classes),
        )

    def compile(self, written: PolicySource) -> CompiledPolicy:
        """Return the policy, or raise PolicyError with all mistakes."""
        document = self._document
        self._check_overrides(
            {name: value for name, value in document.params.items() if name in self._base.params},
            ("params",),
            self._base.params,
        )
        classes = self._classes()
        rules = self._rules()
        exemptions = [
            self._exemption(exemption, position)
            for position, exemption in enumerate(document.exemptions)
        ]
        self._check_new_params(
            [
                *(each.when for each in classes if each),
                *(rule.when for rule in rules if rule),
                *(each.when for each in exemptions if each and each.when),
            ]
        )
        if self._mistakes:
            raise PolicyError("\n".join(sorted(self._mistakes, key=_place)), hint=HINT)
        stamp = PolicyStamp(
            id=document.id,
            title=document.title,
            sha256=hashlib.sha256(
                "\x00".join([written.text, *written.packs.values()]).encode()
            ).hexdigest(),
            params={
                name: parameters.written(value) for name, value in self._layered.params.items()
            },
        )
        return CompiledPolicy(
            stamp=stamp,
            source=written,
            description=document.description,
            environment=self._environment,
            values=self._share(self._layered.params),
            classes=tuple(item for item in classes if item),
            rules=tuple(rule for rule in rules if rule),
            exemptions=tuple(item for item in exemptions if item),
        )

    def _classes(self) -> list[CompiledClass | None]:
        found: list[CompiledClass | None] = []
        own = [section.name for section in self._document.classes]
        self._refuse_duplicates("classes", own)
        for section in self._layered.classes:
            path: Path = ("extends",)
            if section.name in own:
                path = ("classes", own.index(section.name))
            if section.name in {ROOT_CLASS, DEFAULT_CLASS}:
                self._mistake((*path, "class"), f"the class {section.name!r} is built in")
            self._check_overrides(section.params, (*path, "params"), self._layered.params)
            when = self._condition(section.when, (*path, "when"))
            if when and "user.class" in when.facts:
                self._mistake((*path, "when"), "a class can't look at user.class")
            found.append(CompiledClass(name=section.name, when=when) if when else None)
        return found

    def _rules(self) -> list[CompiledRule | None]:
        own = [rule.id for rule in self._document.rules]
        self._refuse_duplicates("rules", own)
        found: list[CompiledRule | None] = []
        for rule in self._layered.rules:
            path: Path = ("rules", own.index(rule.id)) if rule.id in own else ("extends",)
            found.append(self._rule(rule, path))
        if not found and not self._document.exemptions:
            self._mistake(
                (), "a policy needs rules, of its own or of a pack that it extends, or exemptions"
            )
        return [rule for rule in found if rule]

    def _rule(self, rule: RuleSection, path: Path) -> CompiledRule | None:
        title, severity, text = rule.title, rule.severity, rule.when
        if title is None or severity is None or text is None:
            needed = {"title": title, "severity": severity, "when": text}
            missing = ", ".join(name for name, value in needed.items() if value is None)
            self._mistake(path, f"the rule {rule.id!r} lacks {missing}{self._meant_rule(rule.id)}")
            return None
        self._check_rule(rule, path)
        when = self._condition(text, (*path, "when"))
        titles: dict[str, str] = {}
        values: dict[str, ParameterValues] = {}
        for name in self._class_names:
            written = self._layered.written(rule, name)
            try:
                titles[name] = parameters.fill(title, written)
            except (KeyError, ValueError) as error:
                self._mistake((*path, "title"), f"the title names no parameter {error}")
                return None
            values[name] = self._share(written)
        if when is None or not rule.enabled:
            return None
        return CompiledRule(
            id=rule.id,
            title=titles[DEFAULT_CLASS],
            severity=severity,
            when=when,
            remedy=rule.remedy or Remedy.NONE,
            controls=tuple(rule.controls or ()),
            titles=titles,
            values=values,
        )

    def _check_rule(self, rule: RuleSection, path: Path) -> None:
        self._check_overrides(rule.params, (*path, "params"), self._layered.params)
        for name, params in rule.classes.items():
            if name not in self._class_names:
                self._mistake((*path, "classes", name), f"there is no class {name!r}")
            self._check_overrides(params, (*path, "classes", name), self._layered.params)
        for index, control in enumerate(rule.controls or ()):
            problem = compliance.problem_with(control)
            if problem:
                self._mistake((*path, "controls", index), problem)

    def _share(self, written: Mapping[str, parameters.Written]) -> ParameterValues:
        """Return the values under `params.`; equal ones are one object, so that rules share."""
        key = tuple((name, repr(value)) for name, value in sorted(written.items()))
        return self._shared.setdefault(
            key, {f"params.{name}": parameters.value_of(value) for name, value in written.items()}
        )

    def _exemption(self, section: ExemptionSection, position: int) -> CompiledExemption | None:
        path: Path = ("exemptions", position)
        known = {*self._elsewhere, *(rule.id for rule in self._layered.rules)}
        for index, rule_id in enumerate(section.rules or ()):
            if rule_id not in known:
                hint = meant(rule_id, sorted(known))
                self._mistake((*path, "rules", index), f"there is no rule {rule_id!r}{hint}")
        when = None
        if section.when is not None:
            when = self._condition(section.when, (*path, "when"))
            if when is None:
                return None
        globs = {
            "account.id": section.account,
            "account.ou": section.ou,
            "user.name": section.user,
            "user.path": section.path,
            "key.id": section.key,
        }
        return CompiledExemption(
            policy_id=self._document.id,
            position=position,
            globs={fact: glob for fact, glob in globs.items() if glob is not None},
            tags=section.tags,
            when=when,
            environment=self._environment,
            values=self._share(self._layered.params),
            rules=None if section.rules is None else frozenset(section.rules),
            where=section.model_dump(
                include={"account", "ou", "user", "path", "key", "tags", "when"},
                exclude_unset=True,
            ),
            reason=section.reason,
            owner=section.owner,
            expires=section.expires.isoformat(),
            ends_at=_end(section),
        )

    def _condition(self, text: str, path: Path) -> Condition | None:
        where = f"{self._source}:{self._placed.at(path)}"
        try:
            return self._environment.compile(text, place=where)
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
        return meant(message.split("'")[1], self._environment.names)

    def _meant_rule(self, rule_id: str) -> str:
        return meant(rule_id, [rule.id for rule in self._base.rules])

    def _check_overrides(
        self,
        params: Mapping[str, parameters.Written],
        path: Path,
        known: Mapping[str, parameters.Written],
    ) -> None:
        """Refuse values for parameters that are none, and values of another type."""
        for name, value in params.items():
            if name not in known:
                hint = meant(name, known)
                self._mistake((*path, name), f"the policy has no parameter {name!r}{hint}")
                continue
            wanted = parameters.type_of(parameters.value_of(known[name]))
            found = parameters.type_of(parameters.value_of(value))
            if found is not wanted:
                message = f"{name} must be a {wanted.value}, not a {found.value}"
                self._mistake((*path, name), message)

    def _check_new_params(self, conditions: Sequence[Condition]) -> None:
        """Refuse a parameter beside the pack's that nothing looks at: one of those, misspelt."""
        if self._document.extends is None:
            return
        used = {fact.removeprefix("params.") for each in conditions for fact in each.facts}
        used |= {
            name for rule in self._layered.rules for name in parameters.named_in(rule.title or "")
        }
        for name in self._document.params:
            if name not in self._base.params and name not in used:
                hint = meant(name, self._base.params)
                self._mistake(("params", name), f"nothing looks at the parameter {name!r}{hint}")

    def _refuse_duplicates(self, section: str, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                self._mistake((section, index), f"{name!r} is defined twice")

    def _mistake(self, path: Path, message: str) -> None:
        self._mistakes.append(f"{self._source}:{self._placed.at(path)}: {message}")


def _place(mistake: str) -> tuple[int, ...]:
    """Return line and column of a mistake, to sort by."""
    return tuple(map(int, re.findall(r":(\d+):(\d+): ", mistake)[0]))


def meant(wrong: str, names: Sequence[str] | Mapping[str, object]) -> str:
    """Return the words that suggest the closest name, if one is close."""
    close = get_close_matches(wrong, list(names))
    return f" (did you mean {close[0]}?)" if close else ""


def _end(section: ExemptionSection) -> datetime:
    """Return the instant from which the exemption no longer works: a date counts to its end."""
    expires = section.expires
    try:
        if isinstance(expires, datetime):
            return expires.astimezone(UTC) if expires.tzinfo else expires.replace(tzinfo=UTC)
        return datetime(expires.year, expires.month, expires.day, tzinfo=UTC) + timedelta(days=1)
    except OverflowError:  # 9999-12-31, which people write for "never"
        return datetime.max.replace(tzinfo=UTC)


def _where(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in loc) + ": " if loc else ""
