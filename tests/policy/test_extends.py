import pytest

from auditor.errors import PolicyError
from auditor.policy.compiled import CompiledPolicy, CompiledRule
from tests.builders import compiled

HEAD = "apiVersion: iamaudit/v1\nid: house\ntitle: House rules\nextends: baseline\n"


def rule(policy: CompiledPolicy, id_: str) -> CompiledRule:
    return next(each for each in policy.rules if each.id == id_)


def test_a_pack_is_taken_over_as_it_is() -> None:
    house = compiled(HEAD)

    assert len(house.rules) == 9
    assert rule(house, "key-too-old").title == "Active access key older than 90d"
    assert "aws-fsbp:IAM.3" in rule(house, "key-too-old").controls


def test_a_changed_threshold_is_no_longer_the_controls() -> None:
    house = compiled(HEAD + "params: {max_age: 365d}\n")

    assert rule(house, "key-too-old").title == "Active access key older than 365d"
    assert rule(house, "key-too-old").controls == ()
    assert rule(house, "root-access-key").controls != ()


def test_a_threshold_of_one_class_takes_the_controls_too() -> None:
    house = compiled(HEAD + "rules:\n  - {id: key-too-old, classes: {human: {max_age: 30d}}}\n")

    assert rule(house, "key-too-old").titles["human"] == "Active access key older than 30d"
    assert rule(house, "key-too-old").titles["machine"] == "Active access key older than 90d"
    assert rule(house, "key-too-old").controls == ()


def test_severity_and_remedy_change_and_the_controls_stay() -> None:
    house = compiled(
        HEAD + "rules:\n  - {id: key-too-old, severity: critical, remedy: deactivate}\n"
    )

    changed = rule(house, "key-too-old")
    assert (changed.severity, changed.remedy) == ("critical", "deactivate")
    assert "aws-fsbp:IAM.3" in changed.controls


def test_a_rule_can_be_switched_off_and_others_added() -> None:
    house = compiled(
        HEAD + "rules:\n  - {id: human-access-key, enabled: false}\n"
        "  - {id: no-owner, title: T, severity: low, when: '!has(user.tags.Owner)'}\n"
    )

    ids = [each.id for each in house.rules]
    assert "human-access-key" not in ids
    assert ids[-1] == "no-owner"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("params: {max_age: 5}\n", "house.yaml:5:19: max_age must be a duration"),
        (
            "rules:\n  - {id: key-to-old, severity: low}\n",
            "the rule 'key-to-old' lacks title, when (did you mean key-too-old?)",
        ),
        (
            "rules:\n  - {id: key-too-old, classes: {nobody: {max_age: 1d}}}\n",
            "there is no class 'nobody'",
        ),
    ],
)
def test_a_mistake_in_what_is_changed_is_named(more: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        compiled(HEAD + more)

    assert told in str(caught.value)


def test_a_pack_that_is_none_is_named_in_its_place() -> None:
    with pytest.raises(PolicyError, match=r"house.yaml:4:10: there is no pack 'basline'"):
        compiled(HEAD.replace("extends: baseline", "extends: basline"))


def test_a_parameter_of_the_pack_that_is_misspelt_is_refused() -> None:
    text = (
        "apiVersion: iamaudit/v1\nid: house\ntitle: House\nextends: baseline\n"
        "params: {max_ages: 30d}\n"
    )

    with pytest.raises(PolicyError) as caught:
        compiled(text)

    assert str(caught.value) == (
        "house.yaml:5:20: nothing looks at the parameter 'max_ages' (did you mean max_age?)"
    )


def test_a_parameter_of_its_own_that_a_rule_looks_at_is_taken() -> None:
    text = (
        "apiVersion: iamaudit/v1\nid: house\ntitle: House\nextends: baseline\n"
        "params: {grace: 30d}\nrules:\n"
        "  - {id: own, title: Own, severity: low, when: key.age > params.grace}\n"
    )

    assert compiled(text).stamp.params["grace"] == "30d"
