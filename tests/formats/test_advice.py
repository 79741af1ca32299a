"""What to do about a finding: for every rule of ours, and by who uses the key."""

import pytest

from auditor.formats.advice import BETTER, NO_ROOT_KEY, WAYS, advice, better, ways
from auditor.model.finding import Remedy
from auditor.wiring.policies import load_policies, pack_names


def test_every_rule_of_every_pack_says_how_to_mend_it() -> None:
    rules = [rule for name in pack_names() for rule in load_policies([name])[0].rules]

    vague = {rule.id for rule in rules if advice(rule.remedy, rule.id) == advice("none")}

    assert not vague - {"long-lived-key"}


def test_a_rule_of_a_framework_is_mended_as_ours_of_the_same_name() -> None:
    assert advice("none", "cis-aws-5.0.0-root-access-key") == advice("none", "root-access-key")


@pytest.mark.parametrize("remedy", Remedy)
def test_a_rule_of_the_user_is_mended_by_its_remedy(remedy: Remedy) -> None:
    assert advice(remedy, "house") == advice(remedy) != ""


def test_a_remedy_that_changes_the_key_is_said_with_the_rule() -> None:
    told = advice("deactivate", "key-quarantined")

    assert told.startswith("AWS found this key published.")
    assert told.endswith(advice("deactivate"))


@pytest.mark.parametrize(
    ("user_class", "name"),
    [
        ("human", "IAM Identity Center"),
        ("workload", "IAM role"),
        ("external", "IAM Roles Anywhere"),
        ("ci", "OpenID Connect federation"),
        ("vendor", "Role for a third party"),
    ],
)
def test_who_uses_a_key_says_what_is_better(user_class: str, name: str) -> None:
    (way,) = ways(user_class)

    assert way.name == name
    assert better(user_class) == way.how


def test_where_it_is_not_known_who_uses_a_key_all_is_offered() -> None:
    assert ways(None) == ways("a class of the house") == WAYS
    assert better(None) == BETTER
    assert NO_ROOT_KEY not in WAYS
    assert ways("root") == (NO_ROOT_KEY,)
