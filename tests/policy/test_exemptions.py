"""An exemption applies, does not, or can't be told: three values, never two."""

from typing import Any

import pytest

from auditor.errors import PolicyError
from auditor.model.access_key import NeverUsed
from auditor.model.run import PolicySource
from auditor.model.unknown import Unknown
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.compose import compose
from auditor.policy.evaluate import Verdict, judge_user
from auditor.wiring.policies import read_pack
from tests.builders import NOW, a_key, a_policy, a_rule, a_user_with, an_account, compiled

NO_DETAILS = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")
OLD = a_key(days_old=400, last_use=NeverUsed())


def exempting(*selectors: str) -> CompiledPolicy:
    items = "".join(
        f"\n  - {{{selector}, reason: r{number}, owner: o, expires: 2027-01-31}}"
        for number, selector in enumerate(selectors, start=1)
    )
    return compiled(a_policy(head=f"exemptions:{items}"))


def verdict(policy: CompiledPolicy, **user: Any) -> Verdict:
    values: dict[str, Any] = {"tags": {"team": "mail"}} | user
    account = an_account(name="prod", ou="Root/Prod")
    return next(judge_user(account, "aws", a_user_with(OLD, **values), policy, now=NOW)).verdicts[0]


@pytest.mark.parametrize(
    "selector",
    [
        'account: "1111*"',
        "ou: Root/*",
        "user: al*",
        "path: /*",
        "key: AKIA*",
        "tags: {team: m*}",
        "tags: {Team: mail}",
        "tags: {TEAM: m*}",
        "when: 'user.tags.team == \"mail\" && key.age > params.max_age'",
        'account: "*", user: alice, tags: {team: mail}',
    ],
)
def test_an_exemption_covers_what_it_names(selector: str) -> None:
    found = verdict(exempting(selector))

    assert found.exemption is not None
    assert found.unread is None


@pytest.mark.parametrize(
    "selector",
    [
        'account: "2*"',
        "ou: Root",
        "user: bob",
        "path: /ci/*",
        "key: ASIA*",
        "tags: {team: web}",
        "when: 'user.root'",
        "user: alice, tags: {team: web}",
    ],
)
def test_an_exemption_covers_nothing_else(selector: str) -> None:
    found = verdict(exempting(selector))

    assert (found.exemption, found.unread) == (None, None)


@pytest.mark.parametrize(
    "selector", ["tags: {team: mail}", "when: 'has(user.tags.team)'", "user: a*, tags: {a: b}"]
)
def test_what_it_looks_at_and_can_not_be_read_leaves_the_finding_open_and_says_so(
    selector: str,
) -> None:
    found = verdict(exempting(selector), tags=NO_DETAILS)

    assert found.exemption is None
    assert found.unread is not None
    assert found.unread.reason == "r1"


def test_what_is_ruled_out_anyway_is_not_in_doubt() -> None:
    found = verdict(exempting("tags: {team: mail}, user: bob"), tags=NO_DETAILS)

    assert (found.exemption, found.unread) == (None, None)


def test_a_later_exemption_that_covers_settles_the_doubt() -> None:
    found = verdict(exempting("tags: {team: mail}", "user: alice"), tags=NO_DETAILS)

    assert found.exemption is not None
    assert (found.exemption.reason, found.unread) == ("r2", None)


def test_where_only_one_possible_class_is_exempt_it_is_in_doubt() -> None:
    policy = compiled(
        a_policy(
            head="classes: [{class: human, when: user.password_enabled}]\nexemptions:\n"
            "  - {when: 'user.class == \"human\"', reason: r, owner: o, expires: 2027-01-31}"
        )
    )

    found = verdict(policy, password_enabled=NO_DETAILS)

    assert found.exemption is None
    assert found.unread is not None


def test_a_file_of_exemptions_covers_the_rules_of_the_policies_beside_it() -> None:
    rules = PolicySource(name="house.yaml", text=a_policy(a_rule("old"), a_rule("older")))
    waived = PolicySource(
        name="waived.yaml",
        text="apiVersion: iamaudit/v1\nid: waived\ntitle: Waived\nparams: {from: 300d}\n"
        "exemptions:\n  - {rules: [old], when: key.age > params.from,"
        " reason: r, owner: o, expires: 2027-01-31}\n",
    )

    house, alone = compose([rules, waived], read_pack)
    [old, older] = next(judge_user(an_account(), "aws", a_user_with(OLD), house, now=NOW)).verdicts

    assert alone.rules == ()
    assert old.exemption is not None
    assert old.exemption.policy_id == "waived"
    assert older.exemption is None


def test_exemptions_without_any_rules_judge_nothing_and_are_refused() -> None:
    waived = PolicySource(
        name="waived.yaml",
        text="apiVersion: iamaudit/v1\nid: waived\ntitle: W\n"
        "exemptions: [{reason: r, owner: o, expires: 2027-01-31}]\n",
    )

    with pytest.raises(PolicyError, match="only exemptions"):
        compose([waived], read_pack)


def test_the_mistakes_of_all_policies_are_told_at_once() -> None:
    sources = [
        PolicySource(name=name, text=a_policy(a_rule(when="key.actve"))) for name in ("a", "b")
    ]

    with pytest.raises(PolicyError) as caught:
        compose(sources, read_pack)

    first, second = str(caught.value).splitlines()
    assert first.startswith("a:10:15: undeclared reference to 'key.actve'")
    assert second.startswith("b:10:15: ")


def test_two_policies_of_one_name_are_refused() -> None:
    sources = [PolicySource(name=name, text=a_policy(a_rule(name))) for name in ("a", "b")]

    with pytest.raises(PolicyError, match="two of the policies are called 'house'"):
        compose(sources, read_pack)


def test_a_tag_that_an_exemption_does_not_guard_is_a_mistake_in_the_exemption() -> None:
    policy = exempting("user: nobody", "when: 'user.tags.x == \"1\"'")

    with pytest.raises(PolicyError, match="exemption 2 of policy 'house' failed") as caught:
        verdict(policy)

    assert "has(user.tags.x)" in caught.value.hint


def test_an_exemption_that_asks_a_never_used_key_for_its_use_is_a_mistake() -> None:
    with pytest.raises(PolicyError, match="exemption 1 of policy 'house' failed") as caught:
        verdict(exempting("when: 'key.last_used.at > key.created'"))

    assert 'key.last_used.state == "used"' in caught.value.hint
