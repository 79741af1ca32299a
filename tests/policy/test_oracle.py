"""Every shipped rule against the plain Python of `plain_rules`, on thousands of random keys."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from auditor.model.access_key import KeyStatus, LastUse, NeverUsed, Used
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.evaluate import judge_user
from auditor.wiring.policies import load_policies, pack_names
from tests.builders import DENIED, NOW, a_key, a_user_with, an_account
from tests.policy.plain_rules import RULES, Answer, can_be_indeterminate, verdicts

KEYS = 12_000
THRESHOLDS = (7, 14, 30, 45, 90)
KINDS: dict[Answer, VerdictKind] = {
    True: VerdictKind.VIOLATION,
    False: VerdictKind.PASS,
    None: VerdictKind.INDETERMINATE,
}
UNREAD = Unknown(operation="iam:GetCredentialReport", code="AccessDenied")


@cache
def users() -> tuple[UserInventory, ...]:
    chance = random.Random(20261124)  # noqa: S311 -- reproducible, not secret
    found: list[UserInventory] = []
    keys = 0
    while keys < KEYS:
        found.append(a_random_user(chance))
        keys += len(found[-1].keys)
    return tuple(found)


def a_random_user(chance: random.Random) -> UserInventory:
    root = chance.random() < 0.15
    number = chance.choice((1, 1, 2, 2, 2, 3)) if not root else chance.choice((1, 1, 2))
    together = a_span(chance) if chance.random() < 0.2 else None
    keys = []
    for position in range(number):
        age = a_span(chance) if together is None else together
        key = replace(
            a_key(f"AKIA{chance.randrange(10**6):06}", last_use=a_use(chance, age)),
            status=chance.choices(
                (KeyStatus.ACTIVE, KeyStatus.INACTIVE, KeyStatus.EXPIRED), (6, 3, 1)
            )[0],
            created_at=NOW - age,
        )
        if root:
            dated = chance.random() < 0.7
            key = replace(key, id=None, slot=position + 1)
            key = key if dated else replace(key, created_at=None)
        keys.append(key)
    if root:
        password = chance.choice((True, False, UNREAD))
        return a_user_with(*keys, name=ROOT_USER_NAME, admin=True, password_enabled=password)
    facts: dict[str, Any] = {
        name: chance.choices((False, True, UNREAD), (5, 3, 2))[0]
        for name in ("password_enabled", "mfa", "admin", "quarantined")
    }
    return a_user_with(*sorted(keys, key=lambda key: key.id or ""), **facts)


def a_span(chance: random.Random) -> timedelta:
    """Two of three at a threshold or a microsecond beside it."""
    if chance.random() < 0.33:
        return timedelta(seconds=chance.uniform(0, 400 * 86400))
    microseconds = chance.choice((-1, 0, 1))
    return timedelta(days=chance.choice(THRESHOLDS), microseconds=microseconds)


def a_use(chance: random.Random, age: timedelta) -> LastUse:
    """Return what may be known of the use of a key of this age: never before it was created."""
    match chance.randrange(6):
        case 0 | 1:
            return NeverUsed()
        case 2:
            return DENIED
        case _:
            idle = min(a_span(chance), age)
            return Used(at=NOW - idle, service="s3", region=chance.choice(("eu-west-1", "N/A")))


def found(pack: str) -> Iterator[tuple[UserInventory, int, dict[str, VerdictKind]]]:
    [policy] = load_policies([pack])
    for user in users():
        judgements = judge_user(an_account(), "aws", user, policy, now=NOW)
        for position, judgement in enumerate(judgements):
            yield user, position, {each.rule.id: each.kind for each in judgement.verdicts}


def test_every_pack_and_rule_has_its_plain_counterpart() -> None:
    shipped = {name: [rule.id for rule in load_policies([name])[0].rules] for name in pack_names()}

    assert {name: sorted(rules) for name, rules in shipped.items()} == {
        name: sorted(rules) for name, rules in RULES.items()
    }


@pytest.mark.parametrize("pack", pack_names())
def test_a_pack_says_what_the_plain_rules_say_of_every_key(pack: str) -> None:
    plain = (each for user in users() for each in verdicts(pack, user, NOW))
    seen: Counter[tuple[str, VerdictKind]] = Counter()
    wrong: list[tuple[str, VerdictKind, VerdictKind, UserInventory, int]] = []
    keys = 0

    for (user, position, kinds), answers in zip(found(pack), plain, strict=True):
        keys += 1
        seen.update(kinds.items())
        wrong += [
            (name, kinds[name], KINDS[answer], user, position)
            for name, answer in answers.items()
            if kinds[name] is not KINDS[answer]
        ]

    assert wrong[:3] == []
    assert keys >= 10_000
    for rule in RULES[pack]:
        assert seen[rule, VerdictKind.PASS] > 100, rule
        assert seen[rule, VerdictKind.VIOLATION] > 100, rule
        assert (seen[rule, VerdictKind.INDETERMINATE] > 100) is can_be_indeterminate(rule), rule
