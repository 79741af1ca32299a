"""`iamaudit permissions`: one table, printed."""

import json
from typing import Any

import pytest

from auditor.aws.permissions import (
    PERMITTED,
    PUBLISHING,
    WRITING,
    Purpose,
    session_policy,
    write_session_policy,
)
from auditor.model.permission import KEY_ACTIONS
from auditor.model.plan import ActionKind
from auditor.ports import Grant
from auditor.remediation.actions import GRANTS
from tests.command import Run

KMS = {"kms:Decrypt", "kms:GenerateDataKey"}


def granted(policy: Any) -> set[str]:
    return {action for each in policy["Statement"] for action in each["Action"]}


def printed(run: Run, *arguments: str) -> Any:
    ran = run("permissions", *arguments)
    assert (ran.code, ran.stderr) == (0, "")
    return json.loads(ran.stdout)


def test_a_scan_needs_three_actions(run: Run) -> None:
    assert granted(printed(run, "scan")) == set(KEY_ACTIONS)


def test_a_scan_with_enrichment_needs_what_its_sessions_are_held_to(run: Run) -> None:
    assert printed(run, "enrich") == json.loads(session_policy())


def test_an_apply_needs_what_its_sessions_are_held_to(run: Run) -> None:
    policy = printed(run, "apply", "--account", "111111111111", "--allow-delete")

    users = ("arn:aws:iam::111111111111:user/*",)
    kinds = GRANTS[ActionKind.DEACTIVATE] + GRANTS[ActionKind.DELETE]
    session = json.loads(write_session_policy(Grant(actions=dict.fromkeys(kinds, users))))
    assert granted(policy) == granted(session)
    assert policy["Statement"][0]["Resource"] == list(users)


def test_deleting_is_asked_for_by_name(run: Run) -> None:
    assert "iam:DeleteAccessKey" not in granted(printed(run, "apply"))
    assert "iam:DeleteAccessKey" in granted(printed(run, "apply", "--allow-delete"))


def test_rotating_needs_the_secrets_only_where_they_are_kept_in_aws(run: Run) -> None:
    with_secrets = printed(run, "rotate", "--sink", "secretsmanager:222222222222")
    in_files = printed(run, "rotate", "--sink", "file:secrets")

    assert {"secretsmanager:CreateSecret", *KMS} <= granted(with_secrets)
    assert "arn:aws:secretsmanager:*:222222222222:secret:iamaudit/*" in json.dumps(with_secrets)
    assert {action for action in granted(in_files) if not action.startswith("iam:")} == set()


@pytest.mark.parametrize("purpose", list(Purpose))
def test_nothing_is_granted_that_the_door_would_refuse(run: Run, purpose: Purpose) -> None:
    assert granted(printed(run, purpose)) <= PERMITTED | WRITING | PUBLISHING | KMS


def test_the_caller_assumes_the_named_roles_and_no_other(run: Run) -> None:
    policy = printed(run, "caller", "--role-name", "audit/read", "--partition", "aws-cn")

    assert policy["Statement"][0]["Resource"] == ["arn:aws-cn:iam::*:role/audit/read"]


def test_as_text_every_action_has_a_line(run: Run) -> None:
    lines = run("permissions", "scan", "--format", "text").stdout.splitlines()

    assert lines == [f"{action} on *" for action in KEY_ACTIONS]


@pytest.mark.parametrize(
    "wrong",
    [
        ["everything"],
        ["scan", "--allow-delete"],
        ["apply", "--sink", "secretsmanager"],
        ["rotate", "--sink", "nowhere"],
        ["apply", "--account", "12"],
        ["apply", "--partition", 'aws"'],
        ["caller", "--role-name", '*"'],
    ],
)
def test_wrong_usage_exits_with_2(run: Run, wrong: list[str]) -> None:
    ran = run("permissions", *wrong)

    assert (ran.code, ran.stdout) == (2, "")
