"""An account that files list twice: once where they agree, refused where they don't."""

from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.model.account import Account
from tests.targets.test_resolve import ONE, TWO, accounts_of

X, Y = f"arn:aws:iam::{TWO}:role/x", f"arn:aws:iam::{TWO}:role/y"


def a_file(folder: Path, *entries: str, name: str = "accounts.yaml") -> str:
    lines = "".join(f"- {{id: '{TWO}', {each}}}\n" for each in entries)
    (folder / name).write_text(f"- {{id: '{ONE}'}}\n{lines}")
    return f"@{folder / name}"


async def the_account(*lists: str) -> Account:
    [account] = [each for each in await accounts_of(*lists) if each.id == TWO]
    return account


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (f"role_arn: '{X}'", f"role_arn: '{Y}'", "role_arn"),
        (f"role_arn: '{X}'", f"role_arn: '{X}', external_id: abc", "external_id"),
        ("profile: a", "profile: b", "profile"),
        (f"role_arn: '{X}'", "profile: b", "role_arn and profile"),
        ("name: prod", "name: test", "name"),
        ("tags: {stage: prod}", "tags: {stage: test}", "tags"),
    ],
)
async def test_two_ways_into_one_account_are_refused_with_both_places(
    tmp_path: Path, first: str, second: str, what: str
) -> None:
    with pytest.raises(AuditError, match=f"give account {TWO} different {what}$") as caught:
        await accounts_of(a_file(tmp_path, first, second))

    assert "accounts.yaml:2:3 and " in str(caught.value)
    assert "accounts.yaml:3:3 give" in str(caught.value)


async def test_two_files_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    one = a_file(tmp_path, f"role_arn: '{X}'", name="one.yaml")
    two = a_file(tmp_path, f"role_arn: '{Y}'", name="two.yaml")

    with pytest.raises(AuditError, match=r"one\.yaml:2:3 and .*two\.yaml:2:3 give"):
        await accounts_of(one, two)


async def test_the_same_twice_is_once(tmp_path: Path) -> None:
    file = a_file(tmp_path, f"role_arn: '{X}'", f"role_arn: '{X}'")

    assert (await the_account(file, file)).role_arn == X


@pytest.mark.parametrize(
    "entries", [("name: prod", f"role_arn: '{X}'"), (f"role_arn: '{X}'", "name: prod")]
)
async def test_an_entry_that_says_no_way_in_adds_to_one_that_does(
    tmp_path: Path, entries: tuple[str, str]
) -> None:
    account = await the_account(a_file(tmp_path, *entries))

    assert (account.name, account.role_arn) == ("prod", X)


async def test_a_third_entry_is_compared_with_the_one_that_says_a_way_in(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"accounts\.yaml:3:3 and .*:4:3 give"):
        await accounts_of(a_file(tmp_path, "name: a", f"role_arn: '{X}'", f"role_arn: '{Y}'"))


async def test_what_is_left_out_may_be_listed_in_any_way(tmp_path: Path) -> None:
    file = tmp_path / "gone.yaml"
    file.write_text("".join(f"- {{id: '{TWO}', role_arn: '{each}'}}\n" for each in (X, Y)))

    accounts = await accounts_of(ONE, TWO, exclude=(f"@{file}",))

    assert [(each.id, each.skip) for each in accounts] == [(ONE, None), (TWO, "excluded")]
