import json
from pathlib import Path

import pytest

from tests.command import Ran, Run, World


@pytest.fixture
def accounts(world: World, run: Run) -> Run:
    """List accounts of the demo's organization."""

    def iamaudit_accounts(*arguments: str) -> Ran:
        return run("accounts", *arguments, variables={**world.variables, "COLUMNS": "200"})

    return iamaudit_accounts


def test_an_organization_is_listed_with_the_way_into_each_account(accounts: Run) -> None:
    ran = accounts("--accounts", "org", "--role-name", "first", "--role-name", "second")

    lines = {line.split()[0]: line for line in ran.stdout.splitlines()}
    assert ran.code == 0
    assert len(lines) == 1 + 16
    assert [line for line in lines.values() if "skipped: suspended" in line]
    assert [line for line in lines.values() if "own credentials" in line]
    assert "to audit" in ran.stderr
    assert "1 suspended" in ran.stderr


def test_json_says_the_same_for_programs_and_leaves_stderr_empty(
    accounts: Run,
) -> None:
    ran = accounts(
        "--accounts", "org", "--exclude", "self", "--format", "json", "--role-name", "first",
        "--role-name", "second",
    )  # fmt: skip

    listed = json.loads(ran.stdout)
    assert (ran.code, ran.stderr) == (0, "")
    assert [each["id"] for each in listed] == sorted(each["id"] for each in listed)
    by_skip = {each["skip"]: each for each in listed}
    assert by_skip["excluded"]["role_arns"] == []
    assert by_skip["suspended"]["state"] == "SUSPENDED"
    usual = by_skip[None]
    assert usual["ou"].startswith("Root/")
    assert usual["role_arns"] == [
        f"arn:aws:iam::{usual['id']}:role/{name}" for name in ("first", "second")
    ]


def test_roles_and_profiles_of_a_file_are_the_way_in(accounts: Run, tmp_path: Path) -> None:
    file = tmp_path / "accounts.yml"
    file.write_text(
        "accounts:\n"
        "- {account_id: '111111111111', name: one, role: audit}\n"
        "- {account_id: '222222222222', name: two, profile: legacy}\n"
    )

    ran = accounts("--accounts", f"@{file}")

    assert ran.code == 0
    assert "arn:aws:iam::111111111111:role/audit" in ran.stdout
    assert "profile legacy" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--accounts", "prod"], 2, "--accounts: 'prod' is not an account"),
        (["--accounts", "self", "--exclude", "self"], 2, "--exclude leaves no account"),
        (["--accounts", "r-zzzz"], 2, "no root or OU r-zzzz"),
        (["--endpoint-url", "http://127.0.0.1:9"], 4, "AWS can't be reached"),
    ],
)
def test_what_a_scan_refuses_is_refused_likewise(
    accounts: Run, arguments: list[str], code: int, told: str
) -> None:
    ran = accounts(*arguments)

    assert (ran.code, ran.stdout) == (code, "")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
