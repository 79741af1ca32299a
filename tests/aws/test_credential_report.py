from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditor.aws.credential_report import parse
from auditor.errors import AwsFailure
from auditor.model.access_key import AccessKey, KeyStatus, NeverUsed, Used
from auditor.model.unknown import NOT_ASKED, Unknown
from auditor.ports import CredentialReport, ReportRow
from tests.builders import NOW

HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
ROOT = (
    "<root_account>,arn:aws:iam::1:root,2020-01-02T03:04:05Z,not_supported,no_information,"
    "not_supported,not_supported,true,true,2021-01-01T00:00:00Z,2026-01-01T00:00:00Z,N/A,s3,"
    "false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
)
AMY = (
    'amy,"arn:aws:iam::1:user/a,b/amy",2022-01-02T03:04:05+00:00,TRUE,no_information,N/A,N/A,'
    "FALSE,true,2022-01-02T03:04:05+00:00,N/A,N/A,N/A,"
    "false,2023-01-01T00:00:00+00:00,2024-01-01T00:00:00+00:00,us-east-1,ec2,"
    "false,N/A,false,N/A"
)


def report(*lines: str) -> CredentialReport:
    return parse("\n".join(lines).encode(), NOW)


def keys_of(row: ReportRow | None) -> tuple[AccessKey, ...]:
    assert row is not None
    assert not isinstance(row.keys, Unknown)
    return row.keys


def test_the_root_row_has_its_key_with_region_na_as_used() -> None:
    root = report(HEADER, ROOT, AMY).root

    assert root is not None
    [key] = keys_of(root)
    assert (key.id, key.slot, key.status) == (None, 1, KeyStatus.ACTIVE)
    assert key.created_at == datetime(2021, 1, 1, tzinfo=UTC)
    assert key.last_use == Used(at=datetime(2026, 1, 1, tzinfo=UTC), service="s3", region="N/A")
    assert isinstance(root.password_enabled, Unknown)


def test_without_slots_only_the_root_user_has_keys() -> None:
    bare = parse("\n".join((HEADER, ROOT, AMY)).encode(), NOW, slots=False)
    whole = report(HEADER, ROOT, AMY)

    assert bare.root == whole.root
    amy = bare.users["arn:aws:iam::1:user/a,b/amy"]
    assert amy.keys == Unknown(operation="iam:GetCredentialReport", code=NOT_ASKED)
    assert replace(amy, keys=()) == replace(whole.users[amy.arn], keys=())


def test_a_row_longer_or_shorter_than_the_header_is_read_as_far_as_it_goes() -> None:
    rows = report(HEADER, AMY + ",more,and more", "bob,arn:aws:iam::1:user/bob").users

    assert len(keys_of(rows["arn:aws:iam::1:user/a,b/amy"])) == 2
    bob = rows["arn:aws:iam::1:user/bob"]
    assert bob.created_at is None
    assert isinstance(bob.mfa, Unknown)
    assert isinstance(bob.keys, Unknown)


def test_booleans_dates_and_quoted_commas_are_read_in_both_spellings() -> None:
    amy = report(HEADER, ROOT, AMY).users["arn:aws:iam::1:user/a,b/amy"]

    assert (amy.password_enabled, amy.mfa) == (True, False)
    assert amy.created_at == datetime(2022, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, second = keys_of(amy)
    assert first.last_use == NeverUsed()
    assert second.status is KeyStatus.INACTIVE


def test_columns_are_found_by_name_in_any_order_and_with_others_between() -> None:
    row = report("mfa_active,extra,arn,user", "true,x,arn:aws:iam::1:user/amy,amy").users

    assert row["arn:aws:iam::1:user/amy"].mfa is True
    assert isinstance(row["arn:aws:iam::1:user/amy"].password_enabled, Unknown)
    assert isinstance(row["arn:aws:iam::1:user/amy"].keys, Unknown)


def test_a_word_that_is_no_date_of_use_is_unknown_never_never() -> None:
    [key] = keys_of(report(HEADER, ROOT.replace("2026-01-01T00:00:00Z", "no_information")).root)

    assert isinstance(key.last_use, Unknown)


@pytest.mark.parametrize(
    "content",
    [b"", b"user\namy", b"<html>busy</html>", b"\xff\xfe", b"user,arn,user\namy,a,amy"],
)
def test_what_is_no_report_is_a_failure(content: bytes) -> None:
    with pytest.raises(AwsFailure, match="MalformedReport"):
        parse(content, NOW)


@pytest.mark.parametrize("flag", ["not_supported", "", "N/A"])
def test_a_root_slot_whose_flag_cannot_be_read_is_unknown_not_inactive(flag: str) -> None:
    root = report(HEADER, ROOT.replace("true,true,2021", f"true,{flag},2021")).root

    assert root is not None
    assert isinstance(root.keys, Unknown)


AMY_ARN = "arn:aws:iam::1:user/amy"


def a_line(**values: str) -> str:
    """One row of a user with two keys, with these values in place of good ones."""
    good = dict.fromkeys(HEADER.split(","), "N/A") | {
        "user": "amy",
        "arn": AMY_ARN,
        "user_creation_time": "2020-01-02T00:00:00Z",
        "password_enabled": "true",
        "mfa_active": "true",
        "access_key_1_active": "true",
        "access_key_1_last_rotated": "2021-01-02T00:00:00Z",
        "access_key_1_last_used_date": "2022-01-02T00:00:00Z",
        "access_key_2_active": "false",
        "access_key_2_last_rotated": "2021-02-02T00:00:00Z",
    }
    return ",".join((good | values).values())


@pytest.mark.parametrize("column", [name for name in HEADER.split(",") if "_" in name])
@pytest.mark.parametrize(
    "value", ["yesterday", "2026-13-45T00:00:00Z", "\N{REPLACEMENT CHARACTER}"]
)
def test_an_unreadable_value_costs_itself_alone_and_is_named(column: str, value: str) -> None:
    dates_and_flags = ("creation_time", "enabled", "active", "rotated", "used_date")
    bob = a_line(user="bob", arn="arn:aws:iam::1:user/bob")
    good = report(HEADER, bob, a_line())

    read = report(HEADER, bob, a_line(**{column: value}))

    assert read.users["arn:aws:iam::1:user/bob"] == good.users["arn:aws:iam::1:user/bob"]
    wanted = column.endswith(dates_and_flags) and not column.startswith("cert_")
    assert read.unread == ((f"amy: {column}",) if wanted else ())
    amy, before = read.users[AMY_ARN], good.users[AMY_ARN]
    if not column.startswith("access_key_"):
        assert amy.keys == before.keys
    elif not isinstance(amy.keys, Unknown):
        assert {key.slot for key in amy.keys if key.active} >= (
            set() if column == "access_key_1_active" else {1}
        )


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    plain = "\n".join([HEADER, a_line()])

    assert parse(b"\xef\xbb\xbf" + plain.encode(), NOW) == parse(plain.encode(), NOW)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2022-01-02T03:04:05", datetime(2022, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2022-01-02T03:04:05-05:00", datetime(2022, 1, 2, 8, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00+05:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-05:00", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_date_without_a_zone_is_utc_and_none_is_beyond_the_calendar(
    text: str, instant: datetime
) -> None:
    key = keys_of(report(HEADER, a_line(access_key_1_last_used_date=text)).users[AMY_ARN])[0]

    assert isinstance(key.last_use, Used)
    assert key.last_use.at == instant


def test_two_rows_of_one_user_that_differ_tell_nothing_of_it() -> None:
    read = report(HEADER, a_line(), a_line(mfa_active="false"))

    assert isinstance(read.users[AMY_ARN].mfa, Unknown)
    assert isinstance(read.users[AMY_ARN].keys, Unknown)
    assert read.unread == (f"{AMY_ARN}: two rows",)


def test_a_column_that_repeats_is_unknown_and_named() -> None:
    read = report(f"{HEADER},mfa_active", a_line() + ",false")

    assert isinstance(read.users[AMY_ARN].mfa, Unknown)
    assert read.users[AMY_ARN].password_enabled is True
    assert read.unread == ("header: mfa_active repeats",)
