"""Plan, apply and undo as processes, against a server that checks permissions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.model.access_key import KeyStatus
from tests.command import Ran, runs_in
from tests.ministack.seed import Estate, SeededKey

POLICY = """apiVersion: iamaudit/v1
id: leavers
title: Keys of people who left
rules:
  - id: of-a-leaver
    title: Key of somebody who left
    severity: high
    when: key.active && user.name.startsWith("left-")
    remedy: deactivate
"""
Command = Callable[..., Ran]
ACTIVE, INACTIVE = KeyStatus.ACTIVE, KeyStatus.INACTIVE


@pytest.fixture
def iamaudit(estate: Estate, tmp_path: Path) -> Command:
    (tmp_path / "leavers.yaml").write_text(POLICY)

    def run(*arguments: str, external_id: str | None = None) -> Ran:
        given = ("--external-id", external_id or estate.external_id)
        return runs_in(tmp_path, **estate.variables)(*arguments, *given)

    return run


@pytest.fixture
def leavers(estate: Estate) -> list[SeededKey]:
    estate.add_user("stays")
    return [estate.add_user(f"left-{number}") for number in range(3)]


def planned(iamaudit: Command, estate: Estate) -> Ran:
    return iamaudit(
        "scan", "--accounts", estate.member_id, "--policy", "leavers.yaml", "--quiet",
        "--remediate", "dry-run",
    )  # fmt: skip


def test_applied_keys_can_not_sign_and_undone_they_can(
    iamaudit: Command, estate: Estate, leavers: list[SeededKey]
) -> None:
    assert planned(iamaudit, estate).code == 1
    assert [estate.why_not(key) for key in leavers] == [None] * 3

    applied = iamaudit("apply", "reports/latest/plan.json", "--yes")

    assert applied.code == 0, applied.stdout + applied.stderr
    assert [estate.status(key) for key in leavers] == [INACTIVE] * 3
    assert [estate.why_not(key) for key in leavers] == ["InvalidClientTokenId"] * 3
    undone = iamaudit("undo", "latest", "--yes")
    assert undone.code == 0, undone.stdout + undone.stderr
    assert [estate.status(key) for key in leavers] == [ACTIVE] * 3
    assert [estate.why_not(key) for key in leavers] == [None] * 3


def test_without_the_external_id_every_action_is_refused_and_resume_mends_it(
    iamaudit: Command, estate: Estate, leavers: list[SeededKey]
) -> None:
    planned(iamaudit, estate)

    refused = iamaudit("apply", "reports/latest/plan.json", "--yes", external_id="wrong")

    assert refused.code == 4
    assert "3 refused" in refused.stdout
    assert [estate.status(key) for key in leavers] == [ACTIVE] * 3
    assert iamaudit("apply", "reports/latest/plan.json", "--yes", "--resume").code == 0
    assert [estate.status(key) for key in leavers] == [INACTIVE] * 3


def test_a_role_that_may_not_write_leaves_every_key_as_it_is(
    iamaudit: Command, estate: Estate, leavers: list[SeededKey]
) -> None:
    planned(iamaudit, estate)
    estate.root("iam", estate.member_id).put_role_policy(
        RoleName="iamaudit-write",
        PolicyName="deny",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Deny",'
        '"Action":"iam:UpdateAccessKey","Resource":"*"}]}',
    )

    ran = iamaudit("apply", "reports/latest/plan.json", "--yes")

    assert ran.code == 4
    assert "3 refused" in ran.stdout
    assert "AccessDenied" in ran.stdout
    assert [estate.status(key) for key in leavers] == [ACTIVE] * 3


def test_a_rotation_stores_a_secret_that_signs(
    iamaudit: Command, estate: Estate, leavers: list[SeededKey], tmp_path: Path
) -> None:
    policy = (tmp_path / "leavers.yaml").read_text().replace("deactivate", "rotate")
    (tmp_path / "leavers.yaml").write_text(policy)
    rotating = ("--allow-rotate", "--sink", "secretsmanager")
    iamaudit(
        "scan", "--accounts", estate.member_id, "--policy", "leavers.yaml", "--quiet",
        "--remediate", "dry-run", *rotating,
    )  # fmt: skip

    ran = iamaudit("apply", "reports/latest/plan.json", "--yes", *rotating)

    assert ran.code == 0, ran.stdout + ran.stderr
    secrets = estate.root("secretsmanager", estate.member_id)
    for key in leavers:
        [new] = [each for each in estate.keys(key) if each != key.id]
        kept = secrets.get_secret_value(SecretId=f"iamaudit/{estate.member_id}/{key.user_name}")[
            "SecretString"
        ]
        assert new in kept
        secret = kept.partition('"secret_access_key":')[2].strip(' "').partition('"')[0]
        assert secret
        assert estate.why_not(replace(key, id=new, secret=secret)) is None
        assert estate.status(key) is ACTIVE
