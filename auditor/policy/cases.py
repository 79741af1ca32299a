"""The user's own tests of a policy: facts in, verdicts out."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from auditor.errors import PolicyError
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.unknown import NOT_IN_ANSWER, Unknown
from auditor.policy import places
from auditor.policy.catalogue import FACTS
from auditor.policy.cel import FactType
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.document import RuleId, Section
from auditor.policy.evaluate import Verdict, judge
from auditor.policy.facts import Facts, Values
from auditor.policy.loader import HINT, meant, mistakes_of
from auditor.policy.parameters import parse_duration
from auditor.policy.places import Path, Placed

Expected = Literal["pass", "violation", "exempt", "indeterminate"]


class CaseSection(Section):
    """One key, by its facts, and what the rules shall say of it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    facts: dict[str, Any]
    """Facts by name; one that is not listed, or null, is unknown."""
    user_class: Annotated[str | None, Field(alias="class")] = None
    """The class that the policies shall put the user in; not looked at where left out."""
    expect: dict[RuleId, Expected]
    """Verdicts by rule; rules that are not listed are not looked at."""


class CasesDocument(Section):
    """A file of tests of policies, apiVersion iamaudit/v1."""

    api_version: Annotated[Literal["iamaudit/v1"], Field(alias="apiVersion")]
    policies: Annotated[list[str], Field(min_length=1)]
    """Packs of ours, or files beside this one."""
    now: date | datetime | None = None
    """The instant to judge at; where left out, the time of the test."""
    cases: Annotated[list[CaseSection], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test, checked."""

    name: str
    place: str
    facts: Facts
    user_class: str | None
    expect: Mapping[str, Expected]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that came out otherwise."""

    what: str
    """The rule's id, or `class`."""
    expected: str
    found: str


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a file of tests, for editors."""
    schema = CasesDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def parse(text: str, *, source: str) -> tuple[CasesDocument, Placed]:
    """Return the tests as written, and the places of their parts; raise PolicyError."""
    try:
        placed = places.parse(text)
        return CasesDocument.model_validate(placed.data), placed
    except places.YamlError as error:
        raise PolicyError(f"{source}:{error.place}: {error}", hint=HINT) from None
    except ValidationError as error:
        raise PolicyError("\n".join(mistakes_of(error, placed, source)), hint=HINT) from None


def instant_of(document: CasesDocument, default: datetime) -> datetime:
    """Return the instant to judge at."""
    return _instant(document.now) or default


def read(
    document: CasesDocument,
    placed: Placed,
    policies: Sequence[CompiledPolicy],
    *,
    source: str,
    now: datetime,
) -> list[Case]:
    """Return the cases with their facts completed; raise PolicyError with every mistake."""
    rules = [rule.id for policy in policies for rule in policy.rules]
    reader = _Reader(placed, source, now)
    cases = [reader.case(section, index, rules) for index, section in enumerate(document.cases)]
    if reader.mistakes:
        raise PolicyError("\n".join(reader.mistakes), hint=HINT)
    return cases


def differences(
    case: Case, policies: Sequence[CompiledPolicy], *, now: datetime
) -> list[Difference]:
    """Return what came out otherwise than the case expects; nothing where it holds."""
    found: dict[str, str] = {}
    classes: set[str | None] = set()
    for policy in policies:
        user_class, verdicts = judge(case.facts, policy, now=now)
        classes.add(user_class)
        found |= {verdict.rule.id: word(verdict) for verdict in verdicts}
    different = [
        Difference(what=rule, expected=expected, found=found[rule])
        for rule, expected in case.expect.items()
        if found[rule] != expected
    ]
    if case.user_class is not None and classes != {case.user_class}:
        names = " or ".join(sorted(name or "unknown" for name in classes))
        different.insert(0, Difference(what="class", expected=case.user_class, found=names))
    return different


def word(verdict: Verdict) -> Expected:
    """Return a verdict as tests write it."""
    match verdict.kind:
        case VerdictKind.PASS:
            return "pass"
        case VerdictKind.VIOLATION:
            return "violation" if verdict.exemption is None else "exempt"
        case VerdictKind.INDETERMINATE:
            return "indeterminate"


class _Reader:
    """Reads cases and collects their mistakes."""

    def __init__(self, placed: Placed, source: str, now: datetime) -> None:
        self._placed = placed
        self._source = source
        self._now = now
        self.mistakes: list[str] = []

    def case(self, section: CaseSection, index: int, rules: Collection[str]) -> Case:
        path: Path = ("cases", index)
        given = self._facts(section.facts, (*path, "facts"))
        for rule in section.expect:
            if rule not in rules:
                hint = meant(rule, sorted(rules))
                self._mistake((*path, "expect", rule), f"there is no rule {rule!r}{hint}")
        try:
            known = complete(given, self._now)
            problems = list(_contradictions(known))
        except OverflowError:
            known, problems = given, ["a time or duration is beyond what can be reckoned with"]
        for problem in problems:
            self._mistake((*path, "facts"), problem)
        return Case(
            name=section.name,
            place=f"{self._source}:{self._placed.at((*path, 'name'))}",
            facts=Facts(known=known, missing=_missing(known)),
            user_class=section.user_class,
            expect=section.expect,
        )

    def _facts(self, written: Mapping[str, object], path: Path) -> Values:
        values: Values = {}
        for name, value in written.items():
            if name not in FACTS:
                self._mistake((*path, name), f"there is no fact {name!r}{meant(name, FACTS)}")
            elif name in {"user.class", "now"}:
                hint = "say what the classes look at" if name == "user.class" else "write now above"
                self._mistake((*path, name), f"{name} is worked out: {hint}")
            elif value is not None:
                kind = FACTS[name].type
                read = _READ[kind](value)
                if read is None:
                    self._mistake((*path, name), f"{name} must be a {_LOOKS[kind]}")
                else:
                    values[name] = read
        return values

    def _mistake(self, path: Path, message: str) -> None:
        self.mistakes.append(f"{self._source}:{self._placed.key_at(path)}: {message}")


def complete(given: Values, now: datetime) -> Values:
    """Return the facts with those that follow from them; nothing is guessed.

    Status and activity, age and creation, idle time and last use follow from each other; a
    never-used key has been idle since its creation and has no service or region; the root user is
    who it is, and counts as administrator. A user is no root user unless it is said.
    """
    known: Values = {"user.root": False, "account.partition": "aws", **given, "now": now}
    _derive(known, "key.status", "key.active", lambda active: "Active" if active else "Inactive")
    _derive(known, "key.active", "key.status", lambda status: status == "Active")
    _derive(known, "key.created", "key.age", lambda age: now - age)
    _derive(known, "key.age", "key.created", lambda at: max(now - at, timedelta()))
    if "key.last_used.at" in known:
        known.setdefault("key.last_used.state", "used")
    if known.get("key.last_used.state") == "never":
        known = {"key.last_used.service": "", "key.last_used.region": "", **known}
        _derive(known, "key.idle", "key.age", lambda age: age)
    elif known.get("key.last_used.state") == "used":
        _derive(known, "key.idle", "key.last_used.at", lambda at: max(now - at, timedelta()))
        _derive(known, "key.last_used.at", "key.idle", lambda idle: now - idle)
    if known["user.root"]:
        known = {"user.name": ROOT_USER_NAME, "user.admin": True, "user.tags": {}, **known}
    return known


def _derive(known: Values, name: str, source: str, follow: Callable[[Any], object]) -> None:
    if name not in known and source in known:
        known[name] = follow(known[source])


def _contradictions(known: Values) -> Iterator[str]:
    if "key.status" in known and (known["key.status"] == "Active") is not known["key.active"]:
        yield "key.status and key.active contradict each other"
    if known.get("key.status", "Active") not in {"Active", "Inactive", "Expired"}:
        yield 'key.status must be "Active", "Inactive" or "Expired"'
    if known.get("key.last_used.state", "used") not in {"used", "never"}:
        yield 'key.last_used.state must be "used" or "never"; leave it out where it is unknown'
    if known.get("key.last_used.state") == "never" and "key.last_used.at" in known:
        yield "a never-used key has no key.last_used.at"
    created, at, now = (known.get(name) for name in ("key.created", "key.last_used.at", "now"))
    if _apart(known.get("key.age"), created, now) or _apart(known.get("key.idle"), at, now):
        yield "key.age and key.created, or key.idle and key.last_used.at, contradict each other"
    idle, age = known.get("key.idle"), known.get("key.age")
    if isinstance(idle, timedelta) and isinstance(age, timedelta) and idle > age:
        yield "key.idle is greater than key.age: no key is idle for longer than it exists"


def _apart(passed: object, then: object, now: object) -> bool:
    """Whether a time that passed is not that since an instant."""
    if not (isinstance(passed, timedelta) and isinstance(then, datetime)):
        return False
    return isinstance(now, datetime) and passed != max(now - then, timedelta())


def _missing(known: Values) -> Callable[[str], Unknown | None]:
    def why(fact: str) -> Unknown | None:
        if fact == "key.last_used.at" and known.get("key.last_used.state") == "never":
            return None
        return Unknown(operation=FACTS[fact].source, code=NOT_IN_ANSWER)

    return why


_MIN, _MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _instant(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        if not _MIN < value.replace(tzinfo=UTC) < _MAX:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None


def _duration(value: object) -> timedelta | None:
    """Return `90d`, or several such parts: `90d 1s`."""
    parts = [parse_duration(part) for part in value.split()] if isinstance(value, str) else []
    found = [part for part in parts if part is not None]
    try:
        return sum(found, timedelta()) if found and len(found) == len(parts) else None
    except OverflowError:
        return None


def _strings(value: object) -> list[str] | None:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    return None


def _tags(value: object) -> dict[str, str] | None:
    if isinstance(value, dict) and all(
        isinstance(each, str) for pair in value.items() for each in pair
    ):
        return value
    return None


def _of(kind: type) -> Callable[[object], object | None]:
    return lambda value: value if type(value) is kind else None


_READ: Mapping[FactType, Callable[[object], object | None]] = {
    FactType.BOOL: _of(bool),
    FactType.INT: _of(int),
    FactType.STRING: _of(str),
    FactType.DURATION: _duration,
    FactType.TIMESTAMP: _instant,
    FactType.STRINGS: _strings,
    FactType.TAGS: _tags,
}
_LOOKS = {
    FactType.BOOL: "true or false",
    FactType.INT: "whole number",
    FactType.STRING: "text",
    FactType.DURATION: 'duration, as in 90d or "90d 1s"',
    FactType.TIMESTAMP: "time, as in 2026-01-31T12:00:00Z",
    FactType.STRINGS: "list of texts",
    FactType.TAGS: "mapping of texts",
}
