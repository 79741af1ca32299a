"""Trying a policy on a sample: what fails there would stop a scan when it judges."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from auditor.errors import PolicyError
from auditor.policy.cel import Condition
from auditor.policy.compiled import DEFAULT_CLASS, ROOT_CLASS, CompiledPolicy
from auditor.policy.evaluate import USE_GUARD, FailedConditionError, Judge, tag_guard
from auditor.policy.parts import without_literals
from auditor.policy.sample import SampleKey, sample_keys

_DOT = re.compile(r"(has\(\s*)?\b(user|account)\.tags\.([A-Za-z_]\w*)\b(?!\s*\()")
_INDEX = re.compile(r"""\b(user|account)\.tags\[\s*(["'])(.*?)\2\s*\]""")
_IN = re.compile(r"""(["'])([^"']*)\1\s+in\s+(user|account)\.tags\b""")
_NOT_OF_USE = re.compile(
    r"key\.last_used\.(?:service|region)\s*!=|!\s*\(?\s*\(?\s*key\.last_used\.(?:service|region)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying one policy."""

    failures: tuple[PolicyError, ...]
    """What fails for ordinary users: the policy can't judge."""
    warnings: tuple[str, ...]
    """What may fail, or surprise, for some users."""


def try_policy(policy: CompiledPolicy, *, now: datetime, thorough: bool = True) -> Trial:
    """Evaluate every condition on synthetic keys.

    Unless it is `thorough`, only the failures are looked for. Exemptions that have expired are left
    out.
    """
    failures: dict[str, FailedConditionError] = {}
    doubts: dict[str, FailedConditionError] = {}
    for sample in sample_keys(_tags_named(policy), now):
        if not (sample.ordinary or thorough):
            break
        found = failures if sample.ordinary else doubts
        for error in _failures(policy, sample, now=now):
            found.setdefault(error.placed, error)
        if thorough:
            for error in _doubts(policy, sample, now=now):
                doubts.setdefault(error.placed, error)
    refused = tuple(PolicyError(each.placed, hint=each.hint) for each in failures.values())
    if not thorough:
        return Trial(failures=refused, warnings=())
    warnings = [
        f"{each.placed}, for some users; {each.hint}"
        for each in doubts.values()
        if each.placed not in failures
    ]
    known = "\n".join([*failures, *doubts])
    warnings += [
        line
        for what, condition in _conditions(policy, now)
        if f"{condition.place}: {what}" not in known
        for line in _unguarded(what, condition)
    ]
    return Trial(failures=refused, warnings=tuple(warnings))


def _failures(
    policy: CompiledPolicy, sample: SampleKey, *, now: datetime
) -> Iterator[FailedConditionError]:
    """Yield what fails when one key is judged, each class and rule by itself.

    An exemption is asked as in a scan: where a rule that it covers is violated.
    """
    judge = Judge(sample.facts, policy, now)
    root = sample.facts.known["user.root"]
    classes, unknown = [ROOT_CLASS if root else DEFAULT_CLASS], None
    try:
        classes, unknown = judge.classes()
    except FailedConditionError as error:
        yield error
    for rule in policy.rules:
        try:
            judge.verdict(rule, classes, unknown)
        except FailedConditionError as error:
            yield error


def _doubts(
    policy: CompiledPolicy, sample: SampleKey, *, now: datetime
) -> Iterator[FailedConditionError]:
    """Yield what would fail if the user were of any class, and every exemption were asked."""
    judge = Judge(sample.facts, policy, now)
    for rule in policy.rules:
        try:
            for each in policy.classes:
                judge.verdict(rule, [each.name], None)
        except FailedConditionError as error:
            yield error
    for exemption in policy.exemptions:
        try:
            if now < exemption.ends_at:
                judge.exempts(exemption, DEFAULT_CLASS)
        except FailedConditionError as error:
            yield error


def _conditions(policy: CompiledPolicy, now: datetime) -> Iterator[tuple[str, Condition]]:
    """Yield every condition that judges, with what messages call it."""
    for each in policy.classes:
        yield f"class {each.name!r}", each.when
    for rule in policy.rules:
        yield f"rule {rule.id!r}", rule.when
    for exemption in policy.exemptions:
        if exemption.when is not None and now < exemption.ends_at:
            yield f"exemption {exemption.position + 1}", exemption.when


def _unguarded(what: str, condition: Condition) -> Iterator[str]:
    """Yield a line for each tag, or fact of a last use, that nothing in the text guards."""
    text = condition.text
    where = f"{condition.place}: {what}"
    code = without_literals(text)
    guarded = {(found[2], found[3]) for found in _DOT.finditer(code) if found[1]}
    guarded |= {(found[3], found[2]) for found in _IN.finditer(text)}
    for owner, tag in dict.fromkeys(_accesses(text, code)):
        if (owner, tag) not in guarded:
            guard = tag_guard(text, tag)
            yield f"{where} fails where there is no tag {tag!r}; guard it with {guard} &&"
    if "key.last_used.state" in condition.facts:
        return
    if "key.last_used.at" in condition.facts:
        yield f"{where} fails for a never-used key, which has no key.last_used.at; {USE_GUARD}"
    if _NOT_OF_USE.search(code):
        yield f'{where} may hold for never-used keys, whose service and region are ""; {USE_GUARD}'


def _accesses(text: str, code: str) -> Iterator[tuple[str, str]]:
    """Yield whose tag, and which, a condition reads."""
    yield from ((found[2], found[3]) for found in _DOT.finditer(code) if not found[1])
    yield from ((found[1], found[3]) for found in _INDEX.finditer(text))


def _tags_named(policy: CompiledPolicy) -> frozenset[str]:
    conditions = [each.when for each in policy.classes]
    conditions += [each.when for each in policy.rules]
    conditions += [each.when for each in policy.exemptions if each.when is not None]
    accesses = (_accesses(each.text, without_literals(each.text)) for each in conditions)
    return frozenset(tag for each in accesses for _, tag in each)
