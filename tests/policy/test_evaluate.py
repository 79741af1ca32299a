from datetime import timedelta

import pytest

from auditor.errors import PolicyError
from auditor.model.access_key import AccessKey, LastUse
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.evaluate import Judgement, judge_user
from auditor.wiring.policies import load_policies
from tests.builders import (
    DENIED,
    KEY_ID,
    NOW,
    a_key,
    a_policy,
    a_rule,
    a_user_with,
    an_account,
    compiled,
    used,
)

[BASELINE] = load_policies(["baseline"])
NO_DETAILS = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")
NO_REPORT = Unknown(operation="iam:GetCredentialReport", code="AccessDenied")


def judge(user: UserInventory, policy: CompiledPolicy = BASELINE) -> list[Judgement]:
    return list(judge_user(an_account(), "aws", user, policy, now=NOW))


def found(user: UserInventory, policy: CompiledPolicy = BASELINE) -> dict[str, str]:
    """What is not a pass, of the user's first key."""
    verdicts = judge(user, policy)[0].verdicts
    return {
        verdict.rule.id: verdict.kind.value
        for verdict in verdicts
        if verdict.kind is not VerdictKind.PASS
    }


def test_a_young_used_key_of_a_machine_breaks_nothing() -> None:
    assert found(a_user_with(a_key(days_old=10, last_use=used()))) == {}


@pytest.mark.parametrize(
    ("key", "rules"),
    [
        (a_key(days_old=91, last_use=used()), {"key-too-old"}),
        (a_key(days_old=60, last_use=used(days=46)), {"key-unused"}),
        (a_key(days_old=31), {"key-never-used"}),
        (a_key(days_old=29), set()),
        (a_key(days_old=400), {"key-too-old", "key-never-used"}),
        (a_key(active=False, days_old=91), {"inactive-key-lingering"}),
        (a_key(active=False, days_old=91, last_use=used(days=5)), set()),
        (a_key(days_old=60, last_use=used(days=1, region="N/A")), set()),
    ],
)
def test_the_baseline_judges_age_and_use(key: AccessKey, rules: set[str]) -> None:
    assert set(found(a_user_with(key))) == rules


@pytest.mark.parametrize(
    ("rule", "days", "key"),
    [
        ("key-too-old", 90, lambda age: a_key(days_old=age, last_use=used())),
        ("key-never-used", 30, lambda age: a_key(days_old=age)),
        ("key-unused", 45, lambda idle: a_key(days_old=80, last_use=used(days=idle))),
        ("inactive-key-lingering", 90, lambda age: a_key(active=False, days_old=age)),
    ],
)
def test_a_threshold_is_exact_and_strictly_greater(rule: str, days: int, key: object) -> None:
    assert callable(key)
    at_it, past_it = key(days), key(days + 1e-6 / 86400)

    assert rule not in found(a_user_with(at_it))
    assert found(a_user_with(past_it))[rule] == "violation"


def test_the_older_of_two_active_keys_is_the_one_too_many() -> None:
    old, new = a_key("AKIA2", days_old=20), a_key("AKIA1", days_old=2)

    older, newer = judge(a_user_with(old, new))

    assert {v.rule.id for v in older.verdicts if v.kind is VerdictKind.VIOLATION} == {
        "second-active-key"
    }
    assert all(v.kind is VerdictKind.PASS for v in newer.verdicts)


def test_of_two_keys_created_at_once_the_greater_id_is_the_newest() -> None:
    lesser, greater = judge(a_user_with(a_key("AKIA1"), a_key("AKIA2")))

    assert not lesser.case.newest
    assert greater.case.newest


def test_an_inactive_key_never_hides_the_active_one() -> None:
    inactive, active = a_key("AKIA1", active=False, days_old=20), a_key("AKIA2", days_old=900)

    second = judge(a_user_with(inactive, active))[1]

    assert {v.rule.id for v in second.verdicts if v.kind is VerdictKind.VIOLATION} == {
        "key-too-old",
        "key-never-used",
    }


def test_a_person_an_administrator_and_a_quarantined_user_are_told() -> None:
    user = a_user_with(a_key(), password_enabled=True, admin=True, quarantined=True)

    assert set(found(user)) == {"human-access-key", "admin-access-key", "key-quarantined"}


def test_an_active_root_key_breaks_every_rule_that_applies_and_counts_as_administrator() -> None:
    root = a_user_with(a_key(days_old=10), name=ROOT_USER_NAME, admin=True)

    assert set(found(root)) == {"root-access-key", "admin-access-key"}
    assert judge(root)[0].user_class == "root"


def test_unknown_last_use_is_indeterminate_only_where_it_matters() -> None:
    young, middling, old = (
        found(a_user_with(a_key(days_old=days, last_use=DENIED))) for days in (20, 40, 100)
    )
    inactive = found(a_user_with(a_key(active=False, days_old=80, last_use=DENIED)))

    assert young == {}
    assert middling == {"key-never-used": "indeterminate"}
    assert old == {
        "key-too-old": "violation",
        "key-unused": "indeterminate",
        "key-never-used": "indeterminate",
    }
    assert inactive == {}


def test_an_indeterminate_verdict_names_what_was_missing() -> None:
    [judgement] = judge(a_user_with(a_key(), admin=NO_DETAILS, quarantined=NO_DETAILS))

    unknown = {v.rule.id: v.unknown for v in judgement.verdicts if v.unknown}

    assert unknown == {"admin-access-key": NO_DETAILS, "key-quarantined": NO_DETAILS}


def test_an_unknown_class_leaves_only_the_rules_open_that_depend_on_it() -> None:
    [judgement] = judge(
        a_user_with(a_key(days_old=91, last_use=used()), password_enabled=NO_REPORT)
    )

    kinds = {v.rule.id: v.kind for v in judgement.verdicts if v.kind is not VerdictKind.PASS}

    assert judgement.user_class is None
    assert kinds == {
        "key-too-old": VerdictKind.VIOLATION,
        "human-access-key": VerdictKind.INDETERMINATE,
    }
    assert NO_REPORT in {verdict.unknown for verdict in judgement.verdicts}


def test_rules_say_the_same_together_as_each_by_itself() -> None:
    """A condition may end in a comment; what one can't tell is asked of the others alone."""
    old = a_rule("old", when="key.age > params.max_age // of a quarter")
    admin = a_rule("admin", when="user.admin")
    known = a_user_with(a_key(days_old=91))
    unread = a_user_with(a_key(days_old=91), admin=NO_DETAILS)

    both = compiled(a_policy(old, admin))

    assert found(known, both) == {"old": "violation"}
    assert found(unread, both) == {"old": "violation", "admin": "indeterminate"}
    assert found(unread, compiled(a_policy(old))) == {"old": "violation"}


def test_rules_may_be_longer_together_than_one_expression_may_be() -> None:
    long = f'user.name == "alice" || user.name == "{"x" * 4_000}"'
    rules = [a_rule(f"long-{number}", when=long) for number in range(26)]

    policy = compiled(a_policy(*rules))

    assert set(found(a_user_with(a_key()), policy).values()) == {"violation"}
    assert len(found(a_user_with(a_key()), policy)) == 26


def test_keys_of_one_user_may_be_of_different_classes() -> None:
    head = "classes: [{class: idle, when: '!key.active'}]"
    policy = compiled(a_policy(a_rule("idle", when='user.class == "idle"'), a_rule(), head=head))

    judgements = judge(a_user_with(a_key("AKIA1"), a_key("AKIA2", active=False)), policy)

    assert [judgement.user_class for judgement in judgements] == ["machine", "idle"]
    assert [judgement.verdicts[0].kind.value for judgement in judgements] == ["pass", "violation"]


CLASSED = """
classes:
  - class: human
    when: user.password_enabled
    params: {max_age: 30d}
"""


def test_a_class_has_thresholds_of_its_own() -> None:
    policy = compiled(a_policy(head=CLASSED))
    key = a_key(days_old=60)

    assert found(a_user_with(key, password_enabled=True), policy) == {"old": "violation"}
    assert found(a_user_with(key, password_enabled=False), policy) == {}
    assert found(a_user_with(key, password_enabled=NO_REPORT), policy) == {"old": "indeterminate"}


@pytest.mark.parametrize(("days", "kind"), [(20, {}), (100, {"old": "violation"})])
def test_verdicts_that_agree_in_every_possible_class_stand(days: int, kind: object) -> None:
    policy = compiled(a_policy(head=CLASSED))

    assert found(a_user_with(a_key(days_old=days), password_enabled=NO_REPORT), policy) == kind


def test_the_title_has_the_threshold_of_the_class() -> None:
    rule = a_rule().replace("Too old", "Older than {max_age}")
    policy = compiled(a_policy(rule, head=CLASSED))

    [person] = judge(a_user_with(a_key(days_old=60), password_enabled=True), policy)

    assert person.verdicts[0].title == "Older than 30d"


@pytest.mark.parametrize("days", [-1.01, -3, -4000])
@pytest.mark.parametrize("when", ["key.age > days(90)", "key.idle > days(90)"])
def test_a_key_that_is_younger_than_the_instant_judged_at_is_indeterminate(
    days: float, when: str
) -> None:
    policy = compiled(a_policy(a_rule(when=when)))

    assert found(a_user_with(a_key(days_old=days)), policy) == {"old": "indeterminate"}


def test_a_use_later_than_the_instant_judged_at_hides_how_long_the_key_was_idle() -> None:
    policy = compiled(a_policy(a_rule(when="key.idle > days(45)")))
    key = a_key(days_old=400, last_use=used(days=-2))

    assert found(a_user_with(key), policy) == {"old": "indeterminate"}


def test_a_key_that_was_created_during_a_scan_is_zero_days_old() -> None:
    policy = compiled(a_policy(a_rule(when="key.age < days(0)")))

    assert found(a_user_with(a_key(days_old=-0.5)), policy) == {}


def test_a_missing_tag_stops_with_the_rule_and_the_mend() -> None:
    policy = compiled(a_policy(a_rule(when='user.tags.team == "x"')))

    with pytest.raises(PolicyError, match=r"rule 'old'.*no tag 'team'") as caught:
        judge(a_user_with(a_key()), policy)

    assert "has(user.tags.team)" in caught.value.hint


def test_a_date_that_a_never_used_key_has_not_stops_with_the_mend() -> None:
    when = "key.last_used.at < now"
    policy = compiled(a_policy(a_rule(when=when)))

    with pytest.raises(PolicyError, match=r"never-used key has no key\.last_used.at") as caught:
        judge(a_user_with(a_key()), policy)

    assert 'key.last_used.state == "used"' in caught.value.hint
    assert found(a_user_with(a_key(last_use=DENIED)), policy) == {"old": "indeterminate"}


EXEMPTION = """
exemptions:
  - user: svc-*
    rules: [old]
    reason: moves to roles in spring
    owner: platform@example.com
    expires: {expires}
"""


@pytest.mark.parametrize(("expires", "covers"), [("2026-11-24", True), ("2026-11-23", False)])
def test_an_exemption_works_to_the_end_of_its_last_day(expires: str, covers: bool) -> None:
    policy = compiled(a_policy(head=EXEMPTION.format(expires=expires)))

    [judgement] = judge(a_user_with(a_key(days_old=100), name="svc-mail"), policy)

    [verdict] = judgement.verdicts
    assert verdict.kind is VerdictKind.VIOLATION
    assert (verdict.exemption is not None) is covers


def test_an_exemption_covers_nobody_else() -> None:
    policy = compiled(a_policy(head=EXEMPTION.format(expires="2027-01-31")))

    [judgement] = judge(a_user_with(a_key(days_old=100), name="alice"), policy)

    assert judgement.verdicts[0].exemption is None


@pytest.mark.parametrize(
    "condition", ["tags: {keep: '*'}", "when: 'has(user.tags.keep)'", "ou: Root/*", "key: AKIAX*"]
)
def test_what_an_exemption_cannot_read_never_exempts(condition: str) -> None:
    head = EXEMPTION.format(expires="2027-01-31").replace("rules: [old]", condition)
    policy = compiled(a_policy(head=head))
    user = a_user_with(a_key(days_old=100), name="svc-mail", tags=NO_DETAILS)

    assert judge(user, policy)[0].verdicts[0].exemption is None


@pytest.mark.parametrize(
    "condition",
    ["tags: {keep: 'y*'}", "when: user.tags.keep == 'yes'", "path: /", f"key: {KEY_ID}"],
)
def test_an_exemption_matches_what_it_names(condition: str) -> None:
    head = EXEMPTION.format(expires="2027-01-31").replace("rules: [old]", condition)
    policy = compiled(a_policy(head=head))
    user = a_user_with(a_key(days_old=100), name="svc-mail", tags={"keep": "yes"})

    exemption = judge(user, policy)[0].verdicts[0].exemption

    assert exemption is not None
    assert exemption.reason == "moves to roles in spring"


@pytest.mark.parametrize("last_use", [None, used(days=3), DENIED])
def test_every_declared_fact_can_be_looked_at(last_use: LastUse | None) -> None:
    """A condition over each fact comes to a verdict or to `indeterminate`, never to an error."""
    for name, kind in BASELINE.environment.names.items():
        if name == "key.last_used.at" or name.startswith("params."):
            continue
        policy = compiled(a_policy(a_rule(when=f"{name} == {name}")), source=kind.value)

        [judgement] = judge(a_user_with(a_key(last_use=last_use)), policy)

        assert judgement.verdicts[0].kind in {VerdictKind.VIOLATION, VerdictKind.INDETERMINATE}


def test_ages_count_from_the_instant_given() -> None:
    later = NOW + timedelta(days=85)

    [judgement] = judge_user(
        an_account(), "aws", a_user_with(a_key(last_use=used())), BASELINE, now=later
    )

    assert {v.rule.id for v in judgement.verdicts if v.kind is VerdictKind.VIOLATION} == {
        "key-too-old",
        "key-unused",
    }
