import json
from collections.abc import Callable
from datetime import date

import pytest
import yaml
from jsonschema import Draft202012Validator

from auditor.errors import PolicyError
from auditor.model.access_key import AccessKey, LastUse
from auditor.model.finding import VerdictKind
from auditor.model.inventory import UserInventory
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.compliance import CONTROLS, control_of, root_only
from auditor.policy.document import json_schema
from auditor.policy.evaluate import judge_user
from auditor.wiring.policies import load_policies, pack_names, read_pack
from tests.builders import DENIED, NOW, a_key, a_user_with, an_account, used
from tests.policy.organization import MICROSECOND, a_root_key, agreed, the_root, verdicts

OURS = ("baseline", "strict")
PACKS = pack_names()
FRAMEWORKS = [name for name in PACKS if name not in OURS]
CIS = [name for name in FRAMEWORKS if name.startswith("cis-aws-")]
POLICIES: dict[str, CompiledPolicy] = {name: load_policies([name])[0] for name in PACKS}

AGE = [(name, "key-not-rotated", 90) for name in FRAMEWORKS]
DISUSE_INCLUSIVE = [
    (name, "key-unused", 90 if name == "cis-aws-1.2.0" else 45, True) for name in CIS
]
DISUSE_EXCLUSIVE = [
    ("aws-fsbp", "key-unused-90", 90, False),
    ("aws-fsbp", "key-unused-45", 45, False),
    ("pci-dss-4.0.1", "key-unused", 90, False),
    ("nist-800-53-r5", "key-unused", 90, False),
]
DISUSE = [*DISUSE_INCLUSIVE, *DISUSE_EXCLUSIVE]


def found(pack: str, user: UserInventory) -> dict[str, str]:
    """What is not a pass, of the user's first key, by the rule's id without the pack's name."""
    judgement = next(judge_user(an_account(), "aws", user, POLICIES[pack], now=NOW))
    return {
        verdict.rule.id.removeprefix(f"{pack}-"): verdict.kind.value
        for verdict in judgement.verdicts
        if verdict.kind is not VerdictKind.PASS
    }


def topics(pack: str) -> set[str]:
    return {rule.id.removeprefix(f"{pack}-") for rule in POLICIES[pack].rules}


def controls(pack: str) -> set[str]:
    return {control for rule in POLICIES[pack].rules for control in rule.controls}


def test_the_packs_are_those_that_the_manual_names() -> None:
    versions = ("1.2.0", "1.4.0", "1.5.0", "2.0.0", "3.0.0", "4.0.1", "5.0.0", "6.0.0", "7.0.0")

    assert {f"cis-aws-{version}" for version in versions} == set(CIS)
    assert set(PACKS) - set(CIS) == {*OURS, "aws-fsbp", "pci-dss-4.0.1", "nist-800-53-r5"}


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_is_called_as_its_file_and_describes_itself(pack: str) -> None:
    policy = POLICIES[pack]

    assert policy.stamp.id == pack
    assert "\n" in policy.description
    assert all("{" not in rule.title for rule in policy.rules)


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_fits_the_schema_that_editors_use(pack: str) -> None:
    text = read_pack(pack)
    document = json.loads(json.dumps(yaml.safe_load(text), default=date.isoformat))

    assert text.startswith(
        "# yaml-language-server: $schema=../../../docs/policy.schema.json\napiVersion:"
    )
    assert [
        each.message for each in Draft202012Validator(json_schema()).iter_errors(document)
    ] == []


@pytest.mark.parametrize("ours", OURS)
def test_all_packs_judge_together_with_either_of_our_own(ours: str) -> None:
    policies = load_policies([ours, *FRAMEWORKS])

    assert len(policies) == len(PACKS) - 1


def test_strict_is_the_baseline_made_stricter_so_they_do_not_go_together() -> None:
    with pytest.raises(PolicyError, match="both have a rule 'key-too-old'"):
        load_policies(["baseline", "strict"])


@pytest.mark.parametrize("pack", FRAMEWORKS)
def test_every_rule_of_a_framework_bears_its_name_and_answers_for_it(pack: str) -> None:
    for rule in POLICIES[pack].rules:
        assert rule.id.startswith(f"{pack}-")
        assert rule.controls
        assert {control_of(control).framework for control in rule.controls} == {pack}


@pytest.mark.parametrize("pack", FRAMEWORKS)
def test_every_control_that_we_know_is_answered_for_by_its_pack(pack: str) -> None:
    assert controls(pack) == {
        name for name, control in CONTROLS.items() if control.framework == pack
    }


@pytest.mark.parametrize("pack", FRAMEWORKS)
def test_a_control_about_root_alone_has_no_rule_about_users(pack: str) -> None:
    about_users = {
        control
        for rule in POLICIES[pack].rules
        if not rule.id.endswith("-root-access-key")
        for control in rule.controls
    }

    assert {name for name in controls(pack) if not root_only(control_of(name))} == about_users


def test_every_threshold_of_a_framework_is_tried_at_its_edge() -> None:
    tried = {(pack, topic) for pack, topic, *_ in (*AGE, *DISUSE)}
    without_threshold = {"second-active-key", "root-access-key"}

    assert tried == {
        (pack, topic) for pack in FRAMEWORKS for topic in topics(pack) - without_threshold
    }


@pytest.mark.parametrize(("pack", "topic", "days"), AGE)
@pytest.mark.parametrize("last_use", [None, used()], ids=["never used", "used"])
def test_a_key_is_too_old_past_the_threshold_and_not_at_it(
    pack: str, topic: str, days: int, last_use: LastUse | None
) -> None:
    before, at_it, past_it = (
        found(pack, a_user_with(a_key(days_old=age, last_use=last_use)))
        for age in (days - MICROSECOND, days, days + MICROSECOND)
    )

    assert topic not in before
    assert topic not in at_it
    assert past_it[topic] == "violation"


@pytest.mark.parametrize(("pack", "topic", "days", "at_it_breaks"), DISUSE)
@pytest.mark.parametrize("was_used", [False, True], ids=["never used", "used"])
def test_a_key_is_unused_from_the_instant_that_its_control_names(
    pack: str, topic: str, days: int, at_it_breaks: bool, was_used: bool
) -> None:
    def key(idle: float) -> AccessKey:
        if was_used:
            return a_key(days_old=400, last_use=used(days=idle))
        return a_key(days_old=idle)

    before, at_it, past_it = (
        found(pack, a_user_with(key(idle)))
        for idle in (days - MICROSECOND, days, days + MICROSECOND)
    )

    assert topic not in before
    assert (topic in at_it) is at_it_breaks
    assert past_it[topic] == "violation"


@pytest.mark.parametrize(("pack", "topic", "days", "at_it_breaks"), DISUSE)
def test_unknown_use_is_open_only_for_a_key_old_enough_to_be_unused(
    pack: str, topic: str, days: int, at_it_breaks: bool
) -> None:
    before, at_it, past_it = (
        found(pack, a_user_with(a_key(days_old=age, last_use=DENIED)))
        for age in (days - MICROSECOND, days, days + MICROSECOND)
    )

    assert topic not in before
    assert at_it.get(topic) == ("indeterminate" if at_it_breaks else None)
    assert past_it[topic] == "indeterminate"


@pytest.mark.parametrize("pack", FRAMEWORKS)
@pytest.mark.parametrize(
    "key",
    [
        a_root_key(),
        a_root_key(last_use=used(days=400)),
        a_root_key(days_old=None, last_use=DENIED),
        a_root_key(days_old=None),
    ],
    ids=["never used", "long unused", "nothing known", "no date"],
)
def test_a_root_key_breaks_the_rule_on_root_keys_and_no_other(pack: str, key: AccessKey) -> None:
    user = the_root(key, a_root_key(slot=2, days_old=1))

    assert set(found(pack, user)) == topics(pack) & {"root-access-key"}


@pytest.mark.parametrize("pack", FRAMEWORKS)
def test_an_inactive_root_key_breaks_what_asks_that_none_exists(pack: str) -> None:
    inactive = the_root(a_root_key(active=False))

    broken = found(pack, inactive)

    assert bool(broken) is (pack in {"aws-fsbp", "nist-800-53-r5"})


@pytest.mark.parametrize("pack", FRAMEWORKS)
@pytest.mark.parametrize(
    "last_use", [None, used(days=400), DENIED], ids=["never used", "used", "unknown"]
)
def test_an_inactive_key_of_a_user_breaks_nothing(pack: str, last_use: LastUse | None) -> None:
    assert found(pack, a_user_with(a_key(active=False, days_old=900, last_use=last_use))) == {}


@pytest.mark.parametrize("pack", FRAMEWORKS)
def test_of_two_active_keys_the_older_is_one_too_many_where_the_framework_says_so(
    pack: str,
) -> None:
    older, newer = a_key("AKIA1", days_old=20), a_key("AKIA2", days_old=2)
    has_rule = pack in set(CIS) - {"cis-aws-1.2.0", "cis-aws-7.0.0"}

    assert set(found(pack, a_user_with(older, newer))) == (
        {"second-active-key"} if has_rule else set()
    )
    assert found(pack, a_user_with(newer, older)) == {}


@pytest.mark.parametrize(
    ("rule", "days", "key_of"),
    [
        ("key-too-old", 30, lambda age: a_key(days_old=age, last_use=used())),
        ("key-unused", 14, lambda idle: a_key(days_old=20, last_use=used(days=idle))),
        ("key-never-used", 7, lambda age: a_key(days_old=age)),
        ("inactive-key-lingering", 30, lambda age: a_key(active=False, days_old=age)),
    ],
)
def test_strict_has_short_thresholds(
    rule: str, days: int, key_of: Callable[[float], AccessKey]
) -> None:
    at_it, past_it = (
        found("strict", a_user_with(key_of(age))) for age in (days, days + MICROSECOND)
    )

    assert rule not in at_it
    assert past_it[rule] == "violation"


def test_strict_raises_severities_and_answers_only_where_it_judges_as_the_control() -> None:
    baseline, strict = (
        {rule.id: rule for rule in POLICIES[name].rules} for name in ("baseline", "strict")
    )

    assert {
        id_: strict[id_].severity.value
        for id_, rule in baseline.items()
        if strict[id_].severity is not rule.severity
    } == {
        "key-too-old": "high",
        "second-active-key": "medium",
        "inactive-key-lingering": "medium",
        "human-access-key": "high",
    }
    assert {id_ for id_, rule in strict.items() if rule.controls} == {
        "second-active-key",
        "root-access-key",
    }


def test_strict_names_every_active_key_of_a_user_as_one_too_many() -> None:
    assert found("strict", a_user_with(a_key(days_old=1))) == {"long-lived-key": "violation"}
    assert "long-lived-key" not in found("strict", the_root(a_root_key()))
    assert "long-lived-key" not in found("strict", a_user_with(a_key(active=False)))


def test_the_baseline_looks_at_active_root_keys_so_it_answers_for_no_control_on_existence() -> None:
    assert "aws-fsbp:IAM.4" not in controls("baseline")


@pytest.mark.parametrize("pack", PACKS)
def test_the_verdicts_on_one_organization_are_those_agreed_on(pack: str) -> None:
    now, then = verdicts(pack), agreed(pack)

    assert {
        key: {"agreed": then.get(key), "now": now.get(key)}
        for key in (then | now)
        if then.get(key) != now.get(key)
    } == {}
