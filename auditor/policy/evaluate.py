"""Judging keys: facts and a policy in, verdicts out."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from typing import TypeAlias

from auditor.errors import PolicyError
from auditor.model.account import Account
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME, Identity
from auditor.model.inventory import UserInventory
from auditor.model.unknown import NOT_IN_ANSWER, Unknown
from auditor.policy.cel import Activation, CelEvaluationError, Condition, Environment, Unbound
from auditor.policy.compiled import (
    DEFAULT_CLASS,
    ROOT_CLASS,
    CompiledExemption,
    CompiledPolicy,
    CompiledRule,
    ParameterValues,
)
from auditor.policy.exemptions import applies
from auditor.policy.facts import Case, Facts, facts_of_keys, shared_values

Standing: TypeAlias = tuple[list[str], Unknown | None]
"""The classes that a user may be of, and what is missing to tell them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says about one key."""

    rule: CompiledRule
    kind: VerdictKind
    title: str
    """The rule's title with the parameters of the key's class."""
    unknown: Unknown | None = None
    """For an indeterminate verdict: what was missing."""
    exemption: CompiledExemption | None = None
    """For a violation: the exemption in force that covers it."""
    unread: CompiledExemption | None = None
    """For a violation: an exemption in force that looks at something unknown, so does not cover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts on one key, in the policy's order."""

    case: Case
    user_class: str | None
    """None where what the class depends on is unknown and the classes differ."""
    verdicts: tuple[Verdict, ...]


def judge_user(
    account: Account, partition: str, user: UserInventory, policy: CompiledPolicy, *, now: datetime
) -> Iterator[Judgement]:
    """Judge every key of a user, in order.

    Raises PolicyError where a condition fails for another reason than an unknown fact.
    """
    yield from judge_keys(facts_of_keys(account, partition, user, now), policy, now=now)


def judge_keys(
    keys: Iterable[tuple[Case, Facts]], policy: CompiledPolicy, *, now: datetime
) -> Iterator[Judgement]:
    """Judge keys of one user, given with their facts, as `judge_user` does."""
    standing: Standing | None = None
    for case, facts in keys:
        judge = Judge(facts, policy, now)
        if standing is None or policy.classes_look_at_keys:
            standing = judge.classes()
        yield Judgement(
            case=case, user_class=_one_of(standing[0]), verdicts=judge.verdicts(*standing)
        )


def judge(
    facts: Facts, policy: CompiledPolicy, *, now: datetime
) -> tuple[str | None, tuple[Verdict, ...]]:
    """Return the class of one key's user, None where it is not known, and the verdicts.

    The verdicts are in the policy's order. Raises PolicyError as `judge_user` does.
    """
    judge = Judge(facts, policy, now)
    classes, unknown = judge.classes()
    return _one_of(classes), judge.verdicts(classes, unknown)


def rules_that_root_keys_could_break(
    account: Account, partition: str, policy: CompiledPolicy, *, now: datetime
) -> list[CompiledRule]:
    """Return the rules that a root key could break of which nothing is known.

    Raises PolicyError as `judge_user` does.
    """
    unknown = Unknown(operation="iam:GetCredentialReport", code=NOT_IN_ANSWER)
    root = Identity(
        name=ROOT_USER_NAME,
        arn=f"arn:{partition}:iam::{account.id}:root",
        path="/",
        created_at=None,
        root=True,
        password_enabled=unknown,
        mfa=unknown,
        tags={},
        groups=(),
        policies=(),
        admin=True,
        quarantined=False,
    )
    known = shared_values(account, partition, root, now) | {"user.class": ROOT_CLASS}

    def could_break(rule: CompiledRule) -> bool:
        values = {**known, **rule.values[ROOT_CLASS]}
        activation = Activation(policy.environment, values)
        return _decide(policy, f"rule {rule.id!r}", rule.when, activation) is not False

    return [rule for rule in policy.rules if could_break(rule)]


def _decide(
    policy: CompiledPolicy, what: str, condition: Condition, activation: Activation
) -> bool | Unbound:
    try:
        return condition.decide(activation)
    except CelEvaluationError as error:
        raise _broken(what, policy.stamp.id, condition, str(error)) from None


class Judge:
    """Judges one key; conditions with the same parameters share one activation."""

    def __init__(self, facts: Facts, policy: CompiledPolicy, now: datetime) -> None:
        self._facts = facts
        self._policy = policy
        self._now = now
        self._activations: dict[tuple[str, int], Activation] = {}

    def classes(self) -> Standing:
        """Return the classes the user may be of, and what is missing to tell them apart."""
        if self._facts.known["user.root"]:
            return [ROOT_CLASS], None
        if not self._policy.classes:
            return [DEFAULT_CLASS], None
        possible: list[str] = []
        missing: Unknown | None = None
        known = {**self._facts.known, **self._policy.values}
        activation = Activation(self._policy.environment, known, self._policy.class_facts)
        answers = self._policy.class_whens.decide(activation)
        for each, answer in zip(self._policy.classes, answers, strict=True):
            decided: bool | Unbound | None = answer
            if decided is None:
                what = f"class {each.name!r}"
                decided = _decide(self._policy, what, each.when, activation)
            if isinstance(decided, Unbound):
                missing = missing or self._why(f"class {each.name!r}", each.when, decided)
                possible.append(each.name)
            elif decided:
                return [*possible, each.name], missing
        return [*possible, DEFAULT_CLASS], missing

    def verdicts(self, classes: list[str], class_unknown: Unknown | None) -> tuple[Verdict, ...]:
        """Return one verdict per rule, in the policy's order."""
        rules = self._policy.rules
        answers = [self._answers(name) for name in classes]
        if len(classes) == 1:
            mine, answered = classes[0], tuple(answers[0])
            if None not in answered and not self._policy.exemptions:
                return _all_plain(rules, mine, answered)
            return tuple(
                _plain(rule, mine, VerdictKind.PASS)
                if answer is False
                else self._verdict_in(rule, mine, answer)
                for rule, answer in zip(rules, answered, strict=True)
            )
        return tuple(
            _agreed(rule, map(self._verdict_in, repeat(rule), classes, each), class_unknown)
            for rule, *each in zip(rules, *answers, strict=True)
        )

    def verdict(
        self, rule: CompiledRule, classes: list[str], class_unknown: Unknown | None
    ) -> Verdict:
        """Return what one rule says."""
        verdicts = (self._verdict_in(rule, name) for name in classes)
        return _agreed(rule, verdicts, class_unknown)

    def activation(self, rule: CompiledRule, user_class: str) -> Activation:
        """Return what the rule's condition looks at, for a user of this class."""
        return self._activation(self._policy.environment, user_class, rule.values[user_class])

    def _answers(self, user_class: str) -> list[bool | None]:
        """Return what each rule's condition comes to; None where it has to be asked by itself."""
        answers: list[bool | None] = [None] * len(self._policy.rules)
        for group in self._policy.groups[user_class]:
            activation = self._activation(self._policy.environment, user_class, group.values)
            for place, answer in zip(group.places, group.whens.decide(activation), strict=True):
                answers[place] = answer
        return answers

    def _verdict_in(
        self, rule: CompiledRule, user_class: str, answer: bool | None = None
    ) -> Verdict:
        decided: bool | Unbound | None = answer
        if decided is None:
            what, activation = f"rule {rule.id!r}", self.activation(rule, user_class)
            decided = _decide(self._policy, what, rule.when, activation)
        if decided is False:
            return _plain(rule, user_class, VerdictKind.PASS)
        title = rule.titles[user_class]
        if isinstance(decided, Unbound):
            unknown = self._why(f"rule {rule.id!r}", rule.when, decided)
            return Verdict(rule=rule, kind=VerdictKind.INDETERMINATE, title=title, unknown=unknown)
        exemption, unread = self._exemption(rule, user_class)
        if exemption is None and unread is None:
            return _plain(rule, user_class, VerdictKind.VIOLATION)
        return Verdict(
            rule=rule,
            kind=VerdictKind.VIOLATION,
            title=title,
            exemption=exemption,
            unread=unread,
        )

    def _exemption(
        self, rule: CompiledRule, user_class: str
    ) -> tuple[CompiledExemption | None, CompiledExemption | None]:
        """Return the first exemption in force that covers the rule, or else one that may."""
        unread: CompiledExemption | None = None
        for exemption in self._policy.exemptions:
            if self._now >= exemption.ends_at:
                continue
            covers = self._covers(exemption, rule.id, user_class)
            if isinstance(covers, Unbound):
                unread = unread or exemption
            elif covers:
                return exemption, None
        return None, unread

    def _covers(
        self, exemption: CompiledExemption, rule_id: str, user_class: str
    ) -> bool | Unbound:
        """Return whether an exemption covers the rule for this key; raise PolicyError."""

        def decide(exemption: CompiledExemption) -> bool | Unbound:
            return self.exempts(exemption, user_class)

        return applies(rule_id, exemption, self._facts.known, decide)

    def exempts(self, exemption: CompiledExemption, user_class: str) -> bool | Unbound:
        """Return what an exemption's own condition says of this key; raise PolicyError."""
        if exemption.when is None:
            return True
        activation = self._activation(exemption.environment, user_class, exemption.values)
        what, policy_id = f"exemption {exemption.position + 1}", exemption.policy_id
        try:
            decided = exemption.when.decide(activation)
        except CelEvaluationError as error:
            raise _broken(what, policy_id, exemption.when, str(error)) from None
        if isinstance(decided, Unbound) and self._facts.missing(decided.fact) is None:
            message = _NEVER_USED.format(decided.fact)
            raise _broken(what, policy_id, exemption.when, message)
        return decided

    def _activation(
        self, environment: Environment, user_class: str, values: ParameterValues
    ) -> Activation:
        key = (user_class, id(values))  # each policy has values of its own
        found = self._activations.get(key)
        if found is None:
            mine = environment is self._policy.environment
            found = self._activations[key] = Activation(
                environment,
                {**self._facts.known, "user.class": user_class, **values},
                self._policy.looked_at if mine else None,
            )
        return found

    def _why(self, what: str, condition: Condition, unbound: Unbound) -> Unknown:
        unknown = self._facts.missing(unbound.fact)
        if unknown is None:
            message = _NEVER_USED.format(unbound.fact)
            raise _broken(what, self._policy.stamp.id, condition, message)
        return unknown


@lru_cache(maxsize=4096)
def _plain(rule: CompiledRule, user_class: str, kind: VerdictKind) -> Verdict:
    """Return a verdict that needs no reason: one for all the keys that get it."""
    return Verdict(rule=rule, kind=kind, title=rule.titles[user_class])


@lru_cache(maxsize=4096)
def _all_plain(
    rules: tuple[CompiledRule, ...], user_class: str, broken: tuple[bool | None, ...]
) -> tuple[Verdict, ...]:
    """Return the verdicts where each rule is broken or not: many keys get the same."""
    kinds = (VerdictKind.VIOLATION if each else VerdictKind.PASS for each in broken)
    return tuple(_plain(rule, user_class, kind) for rule, kind in zip(rules, kinds, strict=True))


def _one_of(classes: list[str]) -> str | None:
    return classes[0] if len(classes) == 1 else None


def _agreed(
    rule: CompiledRule, verdicts: Iterator[Verdict], class_unknown: Unknown | None
) -> Verdict:
    """Return the verdict of all possible classes: equal ones stand, else it is indeterminate."""
    first = next(verdicts)
    for other in verdicts:
        if other.kind is not first.kind:
            return Verdict(
                rule=rule,
                kind=VerdictKind.INDETERMINATE,
                title=rule.title,
                unknown=first.unknown or other.unknown or class_unknown,
            )
        first = _common(first, other)
    return first


def _common(first: Verdict, other: Verdict) -> Verdict:
    """Return the verdict that holds in both classes: what only one of them says is left out."""
    exemption = first.exemption if other.exemption else None
    lost = first.exemption or other.exemption
    return replace(
        first,
        exemption=exemption,
        unread=None if exemption else first.unread or other.unread or lost,
        title=first.title if other.title == first.title else first.rule.title,
    )


_NO_TAG = re.compile(r'Key not found in map : "(.*)"', re.DOTALL)
_NEVER_USED = "a never-used key has no {}"
USE_GUARD = 'guard it with key.last_used.state == "used" &&'


class FailedConditionError(PolicyError):
    """Raised when a condition fails for another reason than an unknown fact."""

    def __init__(self, message: str, *, hint: str, place: str) -> None:
        super().__init__(message, hint=hint)
        self.place = place
        """Where the condition stands, as `file:line:column`; empty where that is not known."""

    @property
    def placed(self) -> str:
        """The message behind the place."""
        return f"{self.place}: {self}" if self.place else str(self)


def _broken(what: str, policy_id: str, condition: Condition, message: str) -> FailedConditionError:
    failed, place = f"{what} of policy {policy_id!r} failed", condition.place
    missing = _NO_TAG.search(message)
    if missing is not None:
        tag = missing[1]
        hint = f"guard it with {tag_guard(condition.text, tag)} &&"
        return FailedConditionError(f"{failed}: there is no tag {tag!r}", hint=hint, place=place)
    hint = USE_GUARD if "a never-used key" in message else "mend its condition"
    return FailedConditionError(f"{failed}: {message}", hint=hint, place=place)


def tag_guard(text: str, tag: str) -> str:
    """Return what must hold before a condition may look at a tag of the user or the account."""
    of_account = re.search(rf"""account\.tags(\.|\[\s*["']){re.escape(tag)}\b""", text)
    tags = "account.tags" if of_account else "user.tags"
    return f"has({tags}.{tag})" if tag.isidentifier() else f'"{tag}" in {tags}'
