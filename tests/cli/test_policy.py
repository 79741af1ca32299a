"""`iamaudit policy`: list, show, check, explain, test."""

from pathlib import Path

import pytest

from auditor.model.access_key import AccessKey, KeyStatus, NeverUsed
from auditor.model.identity import ROOT_USER_NAME
from auditor.store.output import STORE
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import pack_names, policy_source
from tests.builders import (
    ACCOUNT_ID,
    DENIED,
    KEY_ID,
    a_key,
    a_run,
    a_user_with,
    an_account,
    an_inventory,
)
from tests.command import Run

HOUSE = """apiVersion: iamaudit/v1
id: house
title: House rules
extends: baseline
params: {max_age: 180d}
rules:
  - {id: key-too-old, classes: {human: {max_age: 30d}}}
exemptions:
  - {user: svc-*, rules: [key-too-old], reason: roles in spring, owner: me, expires: 2020-01-31}
"""
CASES = """apiVersion: iamaudit/v1
policies: [house.yaml]
now: 2026-11-24
cases:
  - name: a person's key of 31 days
    facts: {key.active: true, key.age: 31d, user.password_enabled: true}
    expect: {key-too-old: %s}
  - name: a machine's key of 31 days
    facts: {key.active: true, key.age: 31d, user.password_enabled: false}
    expect: {key-too-old: pass, key-never-used: indeterminate}
"""


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    store = SqliteRunStore(tmp_path / "reports" / STORE)
    store.begin(a_run(sources=[policy_source("baseline")]), [an_account(name="prod")])
    root = AccessKey(
        id=None, slot=1, status=KeyStatus.ACTIVE, created_at=None, last_use=NeverUsed()
    )
    users = (
        a_user_with(root, name=ROOT_USER_NAME, admin=True),
        a_user_with(a_key(days_old=50, last_use=DENIED), name="\x1b[31malice"),
    )
    store.save("run-1", an_inventory(*users))
    store.close()
    return tmp_path / "reports" / STORE


def test_every_pack_is_listed(run: Run) -> None:
    listed = run("policy", "list").stdout

    assert [name for name in pack_names() if name in listed] == pack_names()


def test_a_policy_is_shown_with_all_that_it_inherits(run: Run, tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text(HOUSE)

    shown = run("policy", "show", "house.yaml").stdout

    assert "max_age: 180d" in shown
    assert "human: max_age 30d" in shown
    assert "key.active && user.quarantined" in shown
    assert "user svc-* from key-too-old until 2020-01-31 (roles in spring; me)" in shown


def test_the_source_of_a_pack_is_printed_as_it_is(run: Run) -> None:
    assert run("policy", "show", "--source", "strict").stdout == policy_source("strict").text


def test_a_policy_without_mistakes_is_told_with_its_expired_exemptions(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "house.yaml").write_text(HOUSE)

    ran = run("policy", "check", "house.yaml")

    assert ran.stdout == "house.yaml: 9 rules, 1 exemption (1 expired), no mistakes\n"
    assert ran.code == 0


def test_mistakes_of_all_files_are_told_with_their_places(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HOUSE.replace("rules: [key-too-old]", "rules: [key-to-old]"))
    (tmp_path / "b.yaml").write_text(HOUSE.replace("max_age: 180d", "max_ages: 180d"))

    ran = run("policy", "check", "a.yaml", "b.yaml")

    assert (ran.code, ran.stdout) == (2, "")
    first, *_ = ran.stderr.splitlines()
    assert "a.yaml:9:27: there is no rule 'key-to-old' (did you mean key-too-old?)" in first
    assert "b.yaml:" in ran.stderr


def test_a_file_of_exemptions_from_a_packs_rules_stands_by_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "waived.yaml").write_text(
        "apiVersion: iamaudit/v1\nid: waived\ntitle: W\nexemptions:\n"
        "  - {rules: [cis-aws-5.0.0-key-unused], reason: r, owner: o, expires: 2030-01-31}\n"
    )

    assert run("policy", "check", "waived.yaml").stdout == (
        "waived.yaml: 0 rules, 1 exemption, no mistakes\n"
    )


def test_a_key_is_explained_rule_by_rule(run: Run, stored: Path) -> None:
    told = run("policy", "explain", KEY_ID).stdout

    assert "\x1b" not in told
    assert f"{KEY_ID} (Active) of \\u001b[31malice in {ACCOUNT_ID} (prod)" in told
    assert "policy baseline, class machine" in told
    assert "key-too-old: pass (medium) Active access key older than 90d" in told
    assert ">   false   key.age > params.max_age    key.age = 50d; params.max_age = 90d" in told
    assert "key-unused: indeterminate (high)" in told
    assert "key.idle = unknown (iam:GetAccessKeyLastUsed denied)" in told


def test_a_key_is_explained_by_other_policies_and_at_another_time(run: Run, stored: Path) -> None:
    told = run(
        "policy", "explain", KEY_ID, "--policy", "cis-aws-5.0.0", "--now", "2027-06-01"
    ).stdout

    assert "judged at 2027-06-01T00:00:00Z" in told
    assert "cis-aws-5.0.0-key-not-rotated: violation" in told
    assert "key-quarantined" not in told


def test_a_root_key_is_explained_by_account_and_user(run: Run, stored: Path) -> None:
    told = run("policy", "explain", f"{ACCOUNT_ID}/{ROOT_USER_NAME}").stdout

    assert f"root key 1 (Active) of the root user in {ACCOUNT_ID}" in told
    assert "root-access-key: violation (critical)" in told
    assert "key.age = unknown (iam:GetCredentialReport did not tell)" in told


def test_a_key_that_is_not_in_the_run_is_a_mistake(run: Run, stored: Path) -> None:
    ran = run("policy", "explain", "AKIA0")

    assert ran.code == 2
    assert "there is no key 'AKIA0' in run run-1" in ran.stderr


def test_cases_that_hold_are_counted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text(HOUSE)
    (tmp_path / "cases.yaml").write_text(CASES % "violation")

    ran = run("policy", "test", "cases.yaml")

    assert (ran.code, ran.stdout) == (0, "2 cases, 0 failed\n")


def test_a_case_that_fails_is_told_as_a_difference_and_explained(run: Run, tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text(HOUSE)
    (tmp_path / "cases.yaml").write_text(CASES % "pass")

    ran = run("policy", "test", "cases.yaml")

    assert ran.code == 1
    assert ran.stdout.splitlines()[:3] == [
        "FAIL a person's key of 31 days (cases.yaml:5:11)",
        "  - key-too-old: pass",
        "  + key-too-old: violation",
    ]
    assert "key.age = 31d; params.max_age = 30d" in ran.stdout
    assert ran.stdout.endswith("2 cases, 1 failed\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "cases.yaml:1:2: "),
        ("apiVersion: iamaudit/v1\npolicies: [nil]\ncases: [{name: n, facts: {}, expect: {}}]\n",
         "there is no policy 'nil'"),
        (CASES.replace("key.age: 31d", "key.aged: 31d"), "there is no fact 'key.aged'"),
    ],
)  # fmt: skip
def test_a_file_of_cases_with_mistakes_exits_with_2(
    run: Run, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "house.yaml").write_text(HOUSE)
    (tmp_path / "cases.yaml").write_text(text.replace("%s", "pass"))

    ran = run("policy", "test", "cases.yaml")

    assert (ran.code, ran.stdout) == (2, "")
    assert told in ran.stderr


@pytest.mark.parametrize("subject", ["report", "policy", "policy-test", "plan"])
def test_each_schema_is_printed(run: Run, subject: str) -> None:
    assert '"$schema": "https://json-schema.org/draft/2020-12/schema"' in (
        run("schema", subject).stdout
    )
