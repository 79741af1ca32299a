"""The user's own tests: facts in, verdicts out."""

from datetime import UTC, datetime, timedelta

import pytest

from auditor.errors import PolicyError
from auditor.policy import cases
from auditor.policy.cases import Difference
from auditor.wiring.policies import load_policies
from tests.builders import NOW

BASELINE = load_policies(["baseline"])


def tried(*items: str) -> list[list[Difference]]:
    text = "\n".join(["apiVersion: iamaudit/v1", "policies: [baseline]", "cases:", *items])
    document, placed = cases.parse(text, source="cases.yaml")
    found = cases.read(document, placed, BASELINE, source="cases.yaml", now=NOW)
    return [cases.differences(case, BASELINE, now=NOW) for case in found]


def a_case(facts: str, expect: str) -> str:
    return f"  - {{name: n, facts: {{{facts}}}, expect: {{{expect}}}}}"


def mistakes(*items: str) -> str:
    with pytest.raises(PolicyError) as caught:
        tried(*items)
    return str(caught.value)


@pytest.mark.parametrize(
    ("facts", "expect"),
    [
        ("key.active: true, key.age: 91d", "key-too-old: violation"),
        ("key.active: true, key.age: 90d", "key-too-old: pass"),
        ('key.active: true, key.age: "90d 1s"', "key-too-old: violation"),
        ("key.active: true, key.created: 2026-08-01", "key-too-old: violation"),
        ("key.status: Inactive, key.age: 91d", "key-too-old: pass"),
        ("key.active: true, key.age: 91d", "key-unused: indeterminate"),
        (
            "key.active: true, key.age: 91d, key.last_used.state: never",
            "key-unused: pass, key-never-used: violation",
        ),
        (
            "key.active: true, key.age: 91d, key.last_used.at: 2026-10-01T00:00:00Z",
            "key-unused: violation, key-never-used: pass",
        ),
        (
            "key.active: false, key.age: 100d, key.last_used.state: never",
            "inactive-key-lingering: violation",
        ),
        (
            "key.active: true, user.root: true",
            "root-access-key: violation, admin-access-key: violation, human-access-key: pass",
        ),
        ("key.active: true, user.admin: null", "admin-access-key: indeterminate"),
        ("key.active: true, user.password_enabled: true", "human-access-key: violation"),
    ],
)
def test_a_case_holds_with_what_follows_from_its_facts(facts: str, expect: str) -> None:
    assert tried(a_case(facts, expect)) == [[]]


def test_a_case_that_fails_tells_what_it_expected_and_what_it_found() -> None:
    [different] = tried(a_case("key.active: true, key.age: 10d", "key-too-old: violation"))

    assert different == [Difference(what="key-too-old", expected="violation", found="pass")]


def test_the_class_can_be_expected_too() -> None:
    case = "  - {name: n, class: human, facts: {user.password_enabled: false}, expect: {}}"

    assert tried(case) == [[Difference(what="class", expected="human", found="machine")]]


def test_every_mistake_is_told_with_its_place() -> None:
    told = mistakes(
        a_case("key.actve: true", "key-too-old: pass"),
        a_case("key.age: 3", "key-to-old: pass"),
        a_case("user.class: human, now: 2026-01-01", ""),
        a_case("key.active: true, key.status: Inactive", ""),
        a_case("key.age: 1d, key.idle: 2d", ""),
        a_case("key.last_used.state: unknown", ""),
    )

    assert told.splitlines() == [
        "cases.yaml:4:23: there is no fact 'key.actve' (did you mean key.active?)",
        'cases.yaml:5:23: key.age must be a duration, as in 90d or "90d 1s"',
        "cases.yaml:5:45: there is no rule 'key-to-old' (did you mean key-too-old?)",
        "cases.yaml:6:23: user.class is worked out: say what the classes look at",
        "cases.yaml:6:42: now is worked out: write now above",
        "cases.yaml:7:15: key.status and key.active contradict each other",
        "cases.yaml:8:15: key.idle is greater than key.age:"
        " no key is idle for longer than it exists",
        'cases.yaml:9:15: key.last_used.state must be "used" or "never";'
        " leave it out where it is unknown",
    ]


def test_a_verdict_that_is_none_and_a_member_that_is_none_are_told() -> None:
    told = mistakes("  - {name: n, facts: {}, expect: {key-too-old: fail}, verdict: x}")

    assert "cases.0.verdict: Extra inputs are not permitted" in told
    assert "cases.0.expect.key-too-old: Input should be 'pass', 'violation'" in told


def test_the_time_of_the_file_goes_before_the_time_of_the_test() -> None:
    head = "apiVersion: iamaudit/v1\npolicies: [baseline]\n"
    body = "cases: [{name: n, facts: {}, expect: {}}]"
    dated, _ = cases.parse(f"{head}now: 2026-01-02\n{body}", source="x")
    undated, _ = cases.parse(head + body, source="x")

    assert cases.instant_of(dated, NOW) == datetime(2026, 1, 2, tzinfo=UTC)
    assert cases.instant_of(undated, NOW) == NOW


def test_idle_time_gives_the_last_use() -> None:
    known = cases.complete({"key.last_used.state": "used", "key.idle": timedelta(days=3)}, NOW)

    assert known["key.last_used.at"] == NOW - timedelta(days=3)
