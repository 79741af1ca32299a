from pathlib import Path

import pytest

from auditor.errors import AuditError, AwsFailure, FailureKind, NothingAuditedError
from auditor.model.account import Account, AccountId, AccountState
from auditor.model.unknown import Unknown
from auditor.ports import Caller
from auditor.targets.file import read_accounts
from auditor.targets.literal import Below, Listed, Named, Self, parse_list
from auditor.targets.resolve import resolve
from tests.builders import an_account
from tests.fakes import FakeOrganization

ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
CALLER = Caller(account_id=AccountId(ONE), arn=f"arn:aws:iam::{ONE}:user/amy", partition="aws")


def an_organization(**values: object) -> FakeOrganization:
    prod = an_account(TWO, name="prod", ou="Root/Prod", state=AccountState.ACTIVE)
    gone = an_account(THREE, name="gone", ou="Root/Old", state=AccountState.PENDING_CLOSURE)
    management = an_account(ONE, name="mgmt", ou="Root", state=AccountState.ACTIVE)
    below = {None: [management, prod, gone], "ou-ab12-cdef3456": [prod], "r-ab12": [gone]}
    return FakeOrganization(below=below, **values)  # type: ignore[arg-type]


async def accounts_of(
    *include: str,
    exclude: tuple[str, ...] = (),
    organization: FakeOrganization | None = None,
    facts: frozenset[str] = frozenset(),
) -> list[Account]:
    return await resolve(
        parse_list(include, option="--accounts"),
        parse_list(exclude, option="--exclude"),
        caller=CALLER,
        organizations=organization or an_organization(),
        facts=facts,
    )


def test_a_list_is_commas_and_repetitions_of_every_kind_of_item() -> None:
    items = parse_list([f"{ONE}, self", "org,ou-ab12-cdef3456,r-ab12,@a.yaml"], option="--accounts")

    assert items == (
        Named(id=AccountId(ONE)),
        Self(),
        Below(parent_id=None),
        Below(parent_id="ou-ab12-cdef3456"),
        Below(parent_id="r-ab12"),
        Listed(path=Path("a.yaml")),
    )


@pytest.mark.parametrize(
    "item", ["11111111111", "1111111111111", "٣" * 12, "prod", "ou-", "r-", "@", "org!", "*"]
)
def test_a_malformed_item_is_named_with_what_may_be_written(item: str) -> None:
    with pytest.raises(AuditError, match="--accounts") as caught:
        parse_list([f"{ONE},{item}"], option="--accounts")

    assert repr(item) in str(caught.value)
    assert "12-digit ids" in caught.value.hint


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(AuditError, match="--accounts is empty"):
        parse_list([" , "], option="--accounts")


async def test_self_is_the_callers_account_and_asks_no_organization() -> None:
    organization = an_organization()

    assert await accounts_of("self", organization=organization) == [an_account(ONE)]
    assert organization.asked == []


async def test_accounts_come_in_order_of_id_and_each_once() -> None:
    accounts = await accounts_of(f"{TWO},{ONE},self,{TWO}")

    assert [account.id for account in accounts] == [ONE, TWO]


async def test_closed_accounts_are_skipped_by_name_not_dropped() -> None:
    accounts = await accounts_of("org")

    assert [(account.id, account.skip) for account in accounts] == [
        (ONE, None),
        (TWO, None),
        (THREE, "pending closure"),
    ]


async def test_excluded_accounts_are_listed_as_skipped() -> None:
    accounts = await accounts_of("org", exclude=("ou-ab12-cdef3456",))

    assert [account.skip for account in accounts] == [None, "excluded", "pending closure"]


async def test_excluding_everything_is_a_mistake() -> None:
    with pytest.raises(AuditError, match="--exclude leaves no account"):
        await accounts_of("self", exclude=(ONE,))


async def test_an_organization_without_an_active_account_is_a_loud_error() -> None:
    with pytest.raises(NothingAuditedError, match="none of the 1 accounts found is active"):
        await accounts_of("r-ab12")


@pytest.mark.parametrize(
    ("code", "kind", "error", "told"),
    [
        ("AWSOrganizationsNotInUseException", FailureKind.OTHER, AuditError, "not part of an"),
        ("OrganizationalUnitNotFoundException", FailureKind.OTHER, AuditError, "no root or OU"),
        ("AccessDeniedException", FailureKind.DENIED, NothingAuditedError, "ListRoots denied"),
        ("ServiceException", FailureKind.OTHER, NothingAuditedError, "can't be read"),
    ],
)
async def test_an_organization_that_cannot_be_read_is_one_clear_error(
    code: str, kind: FailureKind, error: type[AuditError], told: str
) -> None:
    failure = AwsFailure(operation="organizations:ListRoots", code=code, message="no", kind=kind)

    with pytest.raises(error, match=told) as caught:
        await accounts_of("org", organization=an_organization(failure=failure))

    assert caught.value.hint


async def test_an_unknown_unit_keeps_the_reason_that_aws_gave() -> None:
    failure = AwsFailure(
        operation="organizations:ListRoots", code="ServiceException", message="no",
        kind=FailureKind.OTHER,
    )  # fmt: skip

    [account] = await accounts_of(
        TWO, organization=an_organization(failure=failure), facts=frozenset({"account.ou"})
    )

    assert account.ou_unknown == Unknown(
        operation="organizations:ListRoots", code="ServiceException"
    )


async def test_what_the_file_and_the_organization_say_is_put_together(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_text(f"- {{id: '{TWO}', role_arn: 'arn:aws:iam::{TWO}:role/x'}}\n")

    prod = next(each for each in await accounts_of(f"@{file}", "org") if each.id == TWO)

    assert (prod.name, prod.role_arn) == ("prod", f"arn:aws:iam::{TWO}:role/x")


async def test_tags_and_units_are_asked_for_only_where_a_policy_names_them() -> None:
    organization = an_organization(tagged={TWO: {"stage": "prod"}})
    facts = frozenset({"account.ou", "account.tags"})

    await accounts_of(TWO, organization=organization)
    assert organization.asked == []

    [account] = await accounts_of(TWO, organization=organization, facts=facts)
    assert (account.ou, account.tags) == ("Root/Prod", {"stage": "prod"})


async def test_tags_that_cannot_be_read_are_unknown_with_the_reason() -> None:
    [account] = await accounts_of(TWO, facts=frozenset({"account.tags"}))

    assert account.tags is None
    assert account.tags_unknown == Unknown(
        operation="organizations:ListTagsForResource", code="AccessDenied"
    )


def test_a_file_of_accounts_is_a_list_or_has_one(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    entry = f"id: '{ONE}', name: prod, external_id: abc, profile: p, tags: {{stage: prod}}"
    wanted = an_account(ONE, name="prod", external_id="abc", profile="p", tags={"stage": "prod"})

    for text in (f"- {{{entry}}}", f"accounts:\n  - {{{entry}}}"):
        file.write_text(text)
        assert read_accounts(file) == [wanted]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- id: 111111111111", r":1:7: 0.id: .*\(put quotes around it"),
        ("- id: '12'", ":1:7: 0.id: "),
        (f"- id: '{ONE}'\n  roll_arn: x", ":2:13: 0.roll_arn: Extra inputs"),
        (f"- id: '{ONE}'\n  role_arn: x", ":2:13: 0.role_arn: "),
        (
            f"- id: '{ONE}'\n  role_arn: arn:aws:iam::{TWO}:role/x",
            f":2:13: 0.role_arn: the role is not of account {ONE}",
        ),
        ("- [", ":1:4: "),
        ("[]", "no accounts in it"),
        ("accounts: []", "no accounts in it"),
        ("just text", ":1:1: Input should be a valid list"),
        ("", ":1:1: the file is empty"),
    ],
)
def test_a_mistake_in_the_file_is_named_in_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_text(text)

    with pytest.raises(AuditError, match=told) as caught:
        read_accounts(file)

    assert caught.value.hint


@pytest.mark.parametrize(("name", "content"), [("none.yaml", None), ("bytes.yaml", b"\xff")])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(AuditError, match=name):
        read_accounts(tmp_path / name)
