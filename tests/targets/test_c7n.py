"""`@FILE` that is the `accounts.yml` of c7n-org."""

from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.model.account import Account
from auditor.targets.file import read_accounts, read_placed
from tests.builders import an_account

ONE, TWO = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{ONE}:role/audit"


def accounts_of(tmp_path: Path, text: str) -> list[Account]:
    file = tmp_path / "accounts.yml"
    file.write_text(text)
    return read_accounts(file)


def entry(*lines: str) -> str:
    return "\n    ".join([f"accounts:\n  - account_id: '{ONE}'", *lines])


def test_a_file_of_c7n_org_is_read_as_it_is(tmp_path: Path) -> None:
    text = f"""
vars: {{charge_code: xyz}}
accounts:
- account_id: '{ONE}'
  name: prod
  display_name: Production
  email: prod@example.com
  org_id: o-abcdefghij
  regions: [us-east-1, all]
  role: {ROLE}
  external_id: abc
  tags: [type:prod, 'url:https://x', partition]
  vars: {{charge_code: abc}}
- account_id: '{TWO}'
  name: dev
  profile: dev
"""

    assert accounts_of(tmp_path, text) == [
        an_account(
            ONE,
            name="prod",
            role_arn=ROLE,
            external_id="abc",
            tags={"type": "prod", "url": "https://x"},
        ),
        an_account(TWO, name="dev", profile="dev"),
    ]


@pytest.mark.parametrize("role", ["audit", "[audit]", ROLE, f"[{ROLE}]"])
def test_a_role_is_an_arn_or_a_name_in_the_account(tmp_path: Path, role: str) -> None:
    [account] = accounts_of(tmp_path, entry(f"role: {role}"))

    assert account.role_arn == ROLE


def test_a_role_by_its_name_is_of_the_callers_partition(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yml"
    file.write_text(entry("role: audit"))

    [listed] = read_placed(file, partition="aws-cn")

    assert listed.account.role_arn == ROLE.replace("arn:aws:", "arn:aws-cn:")


def test_where_there_is_a_role_its_profile_is_not_used(tmp_path: Path) -> None:
    [account] = accounts_of(tmp_path, entry("role: audit", "profile: dev"))

    assert (account.role_arn, account.profile) == (ROLE, None)


def test_tags_that_are_no_pairs_leave_the_tags_unknown(tmp_path: Path) -> None:
    [account] = accounts_of(tmp_path, entry("tags: [prod]"))

    assert account.tags is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"accounts:\n- account_id: {ONE}\n", r":2:15: 0\.account_id: .*\(put quotes around it"),
        (f"accounts:\n- account_id: '{ONE}'\n- name: x\n", r":3:3: 1\.account_id: Field required"),
        (entry("role: [a, b]"), r":3:11: 0\.role: .*a chain of roles can't be followed"),
        (entry(f"role: arn:aws:iam::{TWO}:role/x"), f"0.role: the role is not of account {ONE}"),
        (entry("role: arn:aws:iam::{account_id}:role/x"), r":3:11: 0\.role: "),
        (entry("tags: {a: b}"), r":3:11: 0\.tags: Input should be a valid list"),
        ("subscriptions:\n- subscription_id: x\n", "no AWS accounts in it"),
        ("accounts: []\nprojects:\n- project_id: x\n", "no AWS accounts in it"),
    ],
)
def test_a_mistake_is_named_in_its_place_with_the_mend(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(AuditError, match=told) as caught:
        accounts_of(tmp_path, text)

    assert "\n" not in str(caught.value)
    assert caught.value.hint
