import re

import pytest

from auditor.errors import PolicyError
from auditor.wiring.policies import load_policies
from tests.builders import a_policy, a_rule, compiled


def mistakes(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        compiled(text)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        (
            "key.actve",
            r"house.yaml:10:15: undeclared reference to 'key.actve'.*did you mean key.active",
        ),
        ("params.max_ag > days(1)", "did you mean params.max_age"),
        ("key.age > 3", r"house.yaml:10:20: .*'\(duration, int\)'"),
        ("key.age", "must be true or false"),
        ("key.active &&", "Syntax error"),
        ("key.active && key.agee > days(1)", r"house.yaml:10:29: .*did you mean key.age\?"),
    ],
)
def test_a_condition_that_makes_no_sense_is_named_with_line_and_column(
    when: str, told: str
) -> None:
    assert re.search(told, mistakes(a_policy(a_rule(when=when))))


def test_the_place_is_right_in_a_block_of_several_lines() -> None:
    lines = ["- id: old", "  title: T", "  severity: low", "  when: |", "    key.active"]
    rule = "\n".join(f"  {line}" for line in [*lines, "    && key.agee > days(1)"])

    assert mistakes(a_policy(rule)).startswith("house.yaml:12:7: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("severity: medium", "severity: mid"),
            "house.yaml:9:15: rules.0.severity: Input should be",
        ),
        (("    when:", "    wenn:"), "rules.0.wenn: Extra inputs are not permitted"),
        (("title: Too old", "title: 'Older than {max}'"), "the title names no parameter 'max'"),
        (("title: Too old", "title: '{max_age.days}'"), "the title names no parameter"),
        (("iamaudit/v1", "iamaudit/v9"), "house.yaml:1:13: apiVersion"),
        (("id: house", "id: house\nid: home"), "house.yaml:3:1: 'id' is given twice"),
        (("max_age: 90d", "max_age: 90x"), r"'\(duration, string\)'"),
        (("rules:", "rulez:"), "house.yaml:6:1: rulez: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_the_document_is_named_in_its_place(
    change: tuple[str, str], told: str
) -> None:
    assert re.search(told, mistakes(a_policy().replace(*change)))


def test_every_mistake_is_named_at_once() -> None:
    text = a_policy(
        a_rule("one", when="key.actve"),
        a_rule("one", controls="[cis-aws-5.0.0:9.9, nonsense]", params="{max_aage: 1d}"),
        a_rule("two", params="{max_age: 5}"),
    )

    told = mistakes(text).splitlines()

    assert len(told) == 6
    for mistake in (
        "did you mean key.active",
        "no parameter 'max_aage' (did you mean max_age?)",
        "cis-aws-5.0.0 has no control '9.9'",
        "'nonsense' is no control",
        "max_age must be a duration, not a int",
        "'one' is defined twice",
    ):
        assert sum(mistake in line for line in told) == 1, mistake


NO_POLICY = ["", "a: [", "- 1", "\t", "a: *nowhere", "&a [*a]", "a: 2026-13-99"]


@pytest.mark.parametrize("text", NO_POLICY)
def test_what_is_no_policy_at_all_is_one_clear_message(text: str) -> None:
    assert mistakes(text).startswith("house.yaml:1:")


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ("classes: [{class: root, when: user.admin}]", "'root' is built in"),
        ("classes: [{class: ops, when: 'user.class == \"x\"'}]", "can't look at user.class"),
        (
            "classes: [{class: a, when: user.mfa}, {class: a, when: user.mfa}]",
            "'a' is defined twice",
        ),
    ],
)
def test_a_class_that_makes_no_sense_is_refused(classes: str, told: str) -> None:
    assert told in mistakes(a_policy(head=classes))


@pytest.mark.parametrize("missing", ["reason", "owner", "expires"])
def test_an_exemption_needs_reason_owner_and_expiry(missing: str) -> None:
    given = {"reason": "r", "owner": "o", "expires": "2027-01-31"}
    del given[missing]
    items = ", ".join(f"{name}: {value}" for name, value in given.items())

    assert f"exemptions.0.{missing}: Field required" in mistakes(
        a_policy(head=f"exemptions: [{{{items}}}]")
    )


def test_an_exemption_from_a_rule_that_is_none_is_refused() -> None:
    head = "exemptions: [{rules: [nil], reason: r, owner: o, expires: 2027-01-31}]"

    assert "there is no rule 'nil'" in mistakes(a_policy(head=head))


def test_the_digest_is_that_of_the_text() -> None:
    one, other = compiled(a_policy(), source="a"), compiled(a_policy() + "\n", source="a")

    assert one.stamp.sha256 != other.stamp.sha256
    assert one.stamp.params == {"max_age": "90d"}


def test_a_policy_tells_which_facts_it_looks_at() -> None:
    policy = compiled(a_policy(a_rule(when='account.ou == "Root" && key.active')), source="a")

    assert policy.facts == {"account.ou", "key.active"}


def test_text_in_a_condition_is_no_fact() -> None:
    policy = compiled(a_policy(a_rule(when='user.name == "account.tags"')), source="a")

    assert policy.facts == {"user.name"}


def test_two_policies_with_the_same_rule_are_refused() -> None:
    with pytest.raises(PolicyError, match="both have a rule 'key-too-old'"):
        load_policies(["baseline", "baseline"])


def test_an_unknown_policy_names_those_there_are() -> None:
    with pytest.raises(PolicyError, match="no policy 'basline'") as caught:
        load_policies(["basline"])

    assert "baseline" in caught.value.hint


def test_mistakes_of_shape_hide_no_others() -> None:
    text = (
        "apiVersion: iamaudit/v1\nid: house\ntitle: House\nparams: {max_age: 90d}\nrules:\n"
        "  - {id: a, title: A, severity: grave, when: key.actve}\n"
        "  - {id: b, title: B, severity: low, when: key.active, controls: ['cis-aws-5.0.0:9']}\n"
        "exemptions:\n"
        "  - {rules: [nil], reason: r, expires: 2027-01-31}\n"
        "  - {reason: ' ', owner: o, expires: 2027-01-31, usr: x}\n"
    )

    told = mistakes(text).splitlines()

    places = [line.split(": ")[0].removeprefix("house.yaml:") for line in told]
    assert places == ["6:33", "6:49", "7:67", "9:5", "9:14", "10:14", "10:50"]
    assert "did you mean key.active?" in told[1]
    assert "there is no rule 'nil'" in told[4]


def test_a_date_that_is_none_is_told_in_its_place() -> None:
    text = a_policy(head="exemptions: [{reason: r, owner: o, expires: 2030-13-01}]")

    assert mistakes(text).startswith("house.yaml:5:45: not a value: month must be")


def test_a_file_that_is_no_policy_is_refused_without_what_is_in_it() -> None:
    with pytest.raises(PolicyError) as caught:
        compiled("db_password: hunter2\nsecret-name: x\n")

    assert "apiVersion: Field required" in str(caught.value)
    assert "db_password" not in str(caught.value)
    assert "secret-name" not in str(caught.value)
