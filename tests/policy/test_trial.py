"""A policy is tried on synthetic keys: what ordinary users break is a failure, the rest warned."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from auditor.policy.trial import Trial, try_policy
from tests.builders import NOW, a_policy, a_rule, compiled
from tests.policy.strategies import SHIPPED


def trial_of(when: str, *, head: str = "") -> Trial:
    quoted = when.replace("'", "''")
    return try_policy(compiled(a_policy(a_rule(when=quoted), head=head)), now=NOW)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('user.tags.team == "x"', "there is no tag 'team'"),
        ('key.active && user.tags.team == "x"', "there is no tag 'team'"),
        ('user.tags["a b"] == "x"', "there is no tag 'a b'"),
        ('has(user.tags.a) || user.tags.a == "x"', "there is no tag 'a'"),
        ('!user.password_enabled && user.tags.a == "x"', "there is no tag 'a'"),
        ('account.tags.env == "prod"', "there is no tag 'env'"),
        ("now - key.last_used.at > days(3)", "a never-used key has no key.last_used.at"),
        ("key.active && key.last_used.at < now", "a never-used key has no key.last_used.at"),
        ('user.groups[0] == "a"', "index"),
        ('user.policies[1] == "a"', "index"),
        ('user.name.matches("[")', "regular expression"),
        ('timestamp("soon") < now', "Timestamp"),
        ("duration(user.name) > days(1)", "Duration"),
        ("1 / (user.active_keys - 1) == 1", "divide by zero"),
    ],
)
def test_a_condition_that_fails_for_ordinary_users_is_a_failure_with_its_place(
    when: str, said: str
) -> None:
    [failure] = trial_of(when).failures

    assert str(failure).startswith("house.yaml:10:11: rule 'old' of policy 'house' failed: ")
    assert said in str(failure)


@pytest.mark.parametrize(
    "when",
    [
        'has(user.tags.team) && user.tags.team == "x"',
        '"team" in user.tags && user.tags["team"] == "x"',
        'user.tags.exists(name, name == "team")',
        'has(account.tags.env) && account.tags.env == "prod"',
        'key.last_used.state == "used" && now - key.last_used.at > days(3)',
        'key.last_used.state == "used" && key.last_used.region != "eu-west-1"',
        'key.last_used.service == "s3"',
        'user.groups.size() > 0 && user.groups[0] == "a"',
        'user.name != "user.tags.team"',
    ],
)
def test_a_guarded_condition_is_neither_refused_nor_warned_of(when: str) -> None:
    assert trial_of(when) == Trial(failures=(), warnings=())


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('user.class == "human" && user.tags.team == "x"', "no tag 'team'"),
        ('user.password_enabled && user.tags.team == "x"', "no tag 'team'"),
        ('user.admin && user.tags.team == "x"', "no tag 'team'"),
        ('user.root && user.tags.team == "x"', "no tag 'team'"),
        ('user.path == "/people/" && user.tags.team == "x"', "no tag 'team'"),
        ('user.name.startsWith("svc-") && user.tags["team"] == "x"', "no tag 'team'"),
        ('account.id == "222222222222" && account.tags.env == "x"', "has(account.tags.env)"),
        ("has(user.tags.days) && int(user.tags.days) > 3", "convert"),
        ('user.path == "/p/" && key.last_used.at < now', "no key.last_used.at"),
        ('key.last_used.region != "eu-west-1"', "never-used keys"),
        ('!(key.last_used.service in ["s3"])', "never-used keys"),
    ],
)
def test_a_condition_that_fails_for_some_users_only_is_warned_of_and_judges(
    when: str, said: str
) -> None:
    trial = trial_of(when)

    assert trial.failures == ()
    assert [said in warning for warning in trial.warnings] == [True]
    assert trial.warnings[0].startswith("house.yaml:10:11: rule 'old'")


def test_the_conditions_of_classes_are_tried() -> None:
    failing = "classes: [{class: human, when: user.tags.kind == 'human'}]"
    guarded = "classes: [{class: human, when: user.password_enabled && user.tags.a == 'b'}]"

    [failure] = trial_of("key.active", head=failing).failures
    [warning] = trial_of("key.active", head=guarded).warnings

    assert "house.yaml:5:32: class 'human' of policy 'house' failed" in str(failure)
    assert "class 'human'" in warning


def test_a_rule_is_tried_for_every_class_that_the_policy_has() -> None:
    head = "classes: [{class: batch, when: user.path == '/batch/'}]"

    [warning] = trial_of('user.class == "batch" && user.groups[0] == "a"', head=head).warnings

    assert "rule 'old'" in warning


@pytest.mark.parametrize(
    ("where", "failures", "warnings"),
    [("", 1, 0), ("user: svc-*, ", 0, 1), ("tags: {a: b}, ", 0, 1)],
)
def test_the_conditions_of_exemptions_are_tried_as_far_as_nothing_else_guards_them(
    where: str, failures: int, warnings: int
) -> None:
    text = a_policy() + (
        f"exemptions:\n  - {{{where}when: user.tags.a == 'b', reason: r, owner: o,"
        " expires: 2099-01-31}\n"
    )
    trial = try_policy(compiled(text), now=NOW)

    assert (len(trial.failures), len(trial.warnings)) == (failures, warnings)
    assert "exemption 1" in str([*trial.failures, *trial.warnings][0])


def test_an_exemption_from_a_rule_that_ordinary_users_keep_is_warned_of() -> None:
    rules = a_rule("gone", when="key.active && user.root")
    text = a_policy(a_rule(), rules) + (
        "exemptions:\n  - {rules: [gone], when: account.tags.env == 'x', reason: r, owner: o,"
        " expires: 2099-01-31}\n"
    )
    trial = try_policy(compiled(text), now=NOW)

    assert trial.failures == ()
    assert ["exemption 1" in each for each in trial.warnings] == [True]


def test_an_expired_exemption_is_not_tried() -> None:
    text = a_policy() + (
        "exemptions:\n  - {when: user.tags.a == 'b', reason: r, owner: o, expires: 2020-01-31}\n"
    )

    assert try_policy(compiled(text), now=NOW) == Trial(failures=(), warnings=())


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_shipped_packs_have_nothing_to_warn_of(name: str) -> None:
    assert try_policy(SHIPPED[name], now=NOW) == Trial(failures=(), warnings=())


@pytest.mark.parametrize("now", [datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_any_instant_can_be_tried_at(now: datetime) -> None:
    assert try_policy(SHIPPED["baseline"], now=now).failures == ()


def test_trying_before_a_scan_takes_little_time() -> None:
    try_policy(SHIPPED["strict"], now=NOW, thorough=False)
    begun = time.process_time()

    try_policy(SHIPPED["strict"], now=NOW + timedelta(days=1), thorough=False)

    assert time.process_time() - begun < 0.25
