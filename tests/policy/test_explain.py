"""Why a rule says what it says."""

import pytest

from auditor.model.unknown import Unknown
from auditor.policy.explain import Explained, Told, explain, shown
from auditor.policy.facts import cases, facts_of, shared_values
from auditor.policy.parts import Part, parts_of
from tests.builders import (
    DENIED,
    NOW,
    a_key,
    a_policy,
    a_rule,
    a_user_with,
    ago,
    an_account,
    compiled,
    used,
)

NO_REPORT = Unknown(operation="iam:GetCredentialReport", code="AccessDenied")


def texts(part: Part) -> object:
    return [part.joined_by, *map(texts, part.parts)] if part.parts else part.text


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("a", "a"),
        ("a && b || c", ["||", ["&&", "a", "b"], "c"]),
        ("a && (b || c)", ["&&", "a", ["||", "b", "c"]]),
        ("(a || b) && (c)", ["&&", ["||", "a", "b"], "c"]),
        ("(a) || (b)", ["||", "a", "b"]),
        ('a == "x && y" && b', ["&&", 'a == "x && y"', "b"]),
        ("a == 'it\\'s || \"' || b", ["||", "a == 'it\\'s || \"'", "b"]),
        ('a == r"\\" && b', ["&&", 'a == r"\\"', "b"]),
        ('a == """ " && """ && b', ["&&", 'a == """ " && """', "b"]),
        ("a // && not\n&& b", ["&&", "a // && not", "b"]),
        ("a ? b && c : d", "a ? b && c : d"),
        ("a && (b ? c : d)", ["&&", "a", "b ? c : d"]),
        ("!(a && b)", "!(a && b)"),
        ("x in [a && b, c]", "x in [a && b, c]"),
        ("t.exists(k, k == 'a' && true) && b", ["&&", "t.exists(k, k == 'a' && true)", "b"]),
    ],
)
def test_a_condition_falls_apart_where_and_and_or_join_it(condition: str, parts: object) -> None:
    assert texts(parts_of(condition)) == parts


def explained(condition: str, **user: object) -> Explained:
    policy = compiled(
        a_policy(
            a_rule(when=condition.replace("'", '"')),
            head="classes: [{class: human, when: user.password_enabled}]",
        )
    )
    key = user.pop("key", a_key(days_old=91, last_use=used(days=50)))
    inventory = a_user_with(key, **user)  # type: ignore[arg-type]
    [case] = cases(an_account(), "aws", inventory)
    shared = shared_values(case.account, "aws", case.identity, NOW)
    return explain(facts_of(case, shared, NOW), policy, now=NOW)


def parts(explained: Explained, user_class: str = "machine") -> tuple[Told, ...]:
    return explained.rules[0].parts[user_class]


def deciding(explained: Explained, user_class: str = "machine") -> list[str]:
    return [part.text for part in parts(explained, user_class) if part.decides and part.facts]


def test_a_violation_hangs_on_every_part() -> None:
    found = explained("key.active && key.age > params.max_age")

    assert deciding(found) == ["key.active", "key.age > params.max_age"]
    assert parts(found)[2].facts == {"key.age": "91d", "params.max_age": "90d"}


def test_a_pass_hangs_on_the_first_part_that_is_false() -> None:
    found = explained("key.active && key.age > days(100) && key.idle > days(100)")

    assert deciding(found) == ["key.age > days(100)"]


def test_of_alternatives_the_first_that_is_true_decides() -> None:
    found = explained("user.root || key.active || key.newest")

    assert deciding(found) == ["key.active"]


def test_where_all_alternatives_fail_all_of_them_decide() -> None:
    found = explained("user.root || user.admin")

    assert deciding(found) == ["user.root", "user.admin"]


def test_an_indeterminate_verdict_hangs_on_what_is_unknown_and_says_why() -> None:
    found = explained(
        "key.active && (user.root || key.idle > days(45))", key=a_key(days_old=91, last_use=DENIED)
    )

    [part] = [each for each in parts(found) if each.decides and each.facts]
    assert (part.text, part.value) == ("key.idle > days(45)", "unknown")
    assert part.facts == {"key.idle": "unknown (iam:GetAccessKeyLastUsed denied)"}


def test_a_user_of_unknown_class_is_explained_as_each() -> None:
    found = explained("user.class == 'human'", password_enabled=NO_REPORT)

    assert found.classes == ("human", "machine")
    assert found.class_unknown == NO_REPORT
    assert parts(found, "human")[0].value == "true"
    assert parts(found, "machine")[0].value == "false"


def test_a_part_that_fails_beside_a_false_one_is_told_as_an_error() -> None:
    found = explained("user.root && user.tags.team == 'x'")

    assert [part.value for part in parts(found)][:2] == ["false", "false"]
    assert parts(found)[2].value.startswith("error: ")
    assert deciding(found) == ["user.root"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        ("a", '"a"'),
        (ago(days=1), "2026-11-23T12:00:00Z"),
        (NOW - NOW, "0s"),
        (NOW - ago(days=90, microseconds=1), "90d 0.000001s"),
        (NOW - ago(days=1, hours=2, minutes=3, seconds=4), "1d 2h 3m 4s"),
        (["a", "b"], '["a", "b"]'),
        ({"a": "b"}, '{"a": "b"}'),
    ],
)
def test_values_are_told_exactly(value: object, text: str) -> None:
    assert shown(value) == text
