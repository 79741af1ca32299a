"""Judging keys: facts and a policy in, verdicts out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from auditor.errors import PolicyError
from auditor.model.account import Account
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME, Identity
from auditor.model.inventory import UserInventory
from auditor.model.unknown import NOT_IN_ANSWER, Unknown
from auditor.policy.cel import Activation, CelEvaluationError, Condition, Unbound
from auditor.policy.compiled import (
    DEFAULT_CLASS,
    ROOT_CLASS,
    CompiledExemption,
    CompiledPolicy,
    CompiledRule,
    ParameterValues,
)
from auditor.policy.exemptions import exemption_for
from auditor.policy.facts import Case, Values, cases, key_values, shared_values, why_unknown


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
    shared = shared_values(account, partition, user.identity, now)
    for case in cases(account, partition, user):
        yield _Judge(case, policy, shared, now).judgement()


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
        return _decide(policy, rule.id, rule.when, activation) is not False

    return [rule for rule in policy.rules if could_break(rule)]


def _decide(
    policy: CompiledPolicy, name: str, condition: Condition, activation: Activation
) -> bool | Unbound:
    try:
        return condition.decide(activation)
    except CelEvaluationError as error:
        raise _broken(policy, name, str(error)) from None


class _Judge:
    """Judges one key; conditions with the same parameters share one activation."""

    def __init__(self, case: Case, policy: CompiledPolicy, shared: Values, now: datetime) -> None:
        self._case = case
        self._policy = policy
        self._now = now
        self._values = shared | key_values(case, now)
        self._activations: dict[tuple[str, int], Activation] = {}

    def judgement(self) -> Judgement:
        classes, unknown = self._classes()
        verdicts = [self._verdict(rule, classes, unknown) for rule in self._policy.rules]
        return Judgement(
            case=self._case,
            user_class=classes[0] if len(classes) == 1 else None,
            verdicts=tuple(verdicts),
        )

    def _classes(self) -> tuple[list[str], Unknown | None]:
        """Return the classes the user may be of, and what is missing to tell them apart."""
        if self._case.identity.root:
            return [ROOT_CLASS], None
        possible: list[str] = []
        missing: Unknown | None = None
        activation = Activation(self._policy.environment, self._values)
        for each in self._policy.classes:
            decided = _decide(self._policy, each.name, each.when, activation)
            if isinstance(decided, Unbound):
                missing = missing or self._why(each.name, decided)
                possible.append(each.name)
            elif decided:
                return [*possible, each.name], missing
        return [*possible, DEFAULT_CLASS], missing

    def _verdict(
        self, rule: CompiledRule, classes: list[str], class_unknown: Unknown | None
    ) -> Verdict:
        """Judge under each possible class: equal verdicts stand, else it is indeterminate."""
        first = self._verdict_in(rule, classes[0])
        for name in classes[1:]:
            other = self._verdict_in(rule, name)
            if other.kind is not first.kind:
                return Verdict(
                    rule=rule,
                    kind=VerdictKind.INDETERMINATE,
                    title=rule.title,
                    unknown=first.unknown or other.unknown or class_unknown,
                )
            if other.exemption is None or other.title != first.title:
                exemption = first.exemption if other.exemption else None
                title = first.title if other.title == first.title else rule.title
                first = replace(first, exemption=exemption, title=title)
        return first

    def _verdict_in(self, rule: CompiledRule, user_class: str) -> Verdict:
        activation = self._activation(user_class, rule.values[user_class])
        decided = _decide(self._policy, rule.id, rule.when, activation)
        title = rule.titles[user_class]
        if isinstance(decided, Unbound):
            unknown = self._why(rule.id, decided)
            return Verdict(rule=rule, kind=VerdictKind.INDETERMINATE, title=title, unknown=unknown)
        if not decided:
            return Verdict(rule=rule, kind=VerdictKind.PASS, title=title)
        return Verdict(
            rule=rule,
            kind=VerdictKind.VIOLATION,
            title=title,
            exemption=self._exemption(rule, activation),
        )

    def _exemption(self, rule: CompiledRule, activation: Activation) -> CompiledExemption | None:
        if not self._policy.exemptions:
            return None
        try:
            return exemption_for(
                rule.id, self._case, self._policy.exemptions, activation, now=self._now
            )
        except CelEvaluationError as error:
            raise _broken(self._policy, "an exemption", str(error)) from None

    def _activation(self, user_class: str, values: ParameterValues) -> Activation:
        key = (user_class, id(values))
        found = self._activations.get(key)
        if found is None:
            bound: Mapping[str, object] = self._values | {"user.class": user_class} | dict(values)
            found = self._activations[key] = Activation(self._policy.environment, bound)
        return found

    def _why(self, name: str, unbound: Unbound) -> Unknown:
        unknown = why_unknown(unbound.fact, self._case)
        if unknown is None:
            raise _broken(self._policy, name, f"a never-used key has no {unbound.fact}")
        return unknown


def _broken(policy: CompiledPolicy, name: str, message: str) -> PolicyError:
    if "Key not found in map" in message:
        tag = message.rsplit(":", 1)[-1].strip().strip('"')
        return PolicyError(
            f"rule {name!r} of policy {policy.stamp.id!r} failed: there is no tag {tag!r}",
            hint=f"guard it with has(user.tags.{tag}) &&",
        )
    if "a never-used key" in message:
        hint = 'guard it with key.last_used.state == "used" &&'
    else:
        hint = "mend its condition"
    return PolicyError(f"rule {name!r} of policy {policy.stamp.id!r} failed: {message}", hint=hint)
