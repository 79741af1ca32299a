import csv
import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.iam.models import AccessKeyLastUsed

from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator, RootKey

CREATED = datetime(2024, 3, 4, 5, 6, 7, 890_123)  # noqa: DTZ001 -- as moto keeps it
LAST_USED = datetime(2026, 12, 24, 18, 0)  # noqa: DTZ001 -- as moto keeps it


def test_there_is_no_report_before_one_is_generated(iam: Any) -> None:
    with pytest.raises(ClientError) as refused:
        iam.get_credential_report()

    assert refused.value.response["Error"]["Code"] == "ReportNotPresent"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410


def test_the_first_generation_is_started_and_the_next_complete(iam: Any) -> None:
    states = [iam.generate_credential_report()["State"] for _ in range(3)]

    assert states == ["STARTED", "COMPLETE", "COMPLETE"]


def test_a_started_report_is_in_progress_first(iam: Any) -> None:
    iam.generate_credential_report()

    with pytest.raises(ClientError) as refused:
        iam.get_credential_report()
    assert refused.value.response["Error"]["Code"] == "ReportInProgress"
    assert iam.get_credential_report()["ReportFormat"] == "text/csv"


def test_the_report_tells_when_it_was_generated(iam: Any, watch: SimpleNamespace) -> None:
    assert _report(iam)["GeneratedTime"] == watch.now.replace(microsecond=0)


def test_a_report_keeps_for_four_hours_what_was_true_then(
    iam: Any, users: Any, watch: SimpleNamespace
) -> None:
    generated_at = _report(iam)["GeneratedTime"]
    users.create_user("us-east-1", "alice")
    watch.now += timedelta(hours=3, minutes=59)

    assert iam.generate_credential_report()["State"] == "COMPLETE"
    assert iam.get_credential_report()["GeneratedTime"] == generated_at
    assert [row["user"] for row in _rows(iam)] == ["<root_account>"]


def test_a_report_expires_after_four_hours(iam: Any, users: Any, watch: SimpleNamespace) -> None:
    _report(iam)
    users.create_user("us-east-1", "alice")
    watch.now += timedelta(hours=4)

    with pytest.raises(ClientError, match="ReportExpired"):
        iam.get_credential_report()
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert [row["user"] for row in _rows(iam)] == ["<root_account>", "alice"]


def test_the_report_has_the_22_columns_of_aws(iam: Any) -> None:
    header = _report(iam)["Content"].decode().splitlines()[0].split(",")

    assert len(header) == 22
    assert header[:3] == ["user", "arn", "user_creation_time"]
    assert header[8:13] == [
        "access_key_1_active",
        "access_key_1_last_rotated",
        "access_key_1_last_used_date",
        "access_key_1_last_used_region",
        "access_key_1_last_used_service",
    ]
    assert header[-1] == "cert_2_last_rotated"


def test_the_report_ends_without_a_line_break(iam: Any) -> None:
    assert not _report(iam)["Content"].endswith(b"\n")


def test_the_root_user_comes_first_and_users_follow_in_the_order_of_their_names(
    iam: Any, users: Any
) -> None:
    for name in ("bob", "Carol", "alice", "=1+1,@x"):
        users.create_user("us-east-1", name)

    names = [row["user"] for row in _rows(iam)]
    assert names == ["<root_account>", "=1+1,@x", "alice", "bob", "Carol"]


def test_the_root_row_tells_of_its_keys(emulator: Emulator, iam: Any) -> None:
    emulator.root_keys[MANAGEMENT_ACCOUNT_ID] = [
        RootKey(
            active=True,
            created_at=datetime(2020, 1, 2, tzinfo=UTC),
            last_used_at=datetime(2021, 3, 4, 5, tzinfo=UTC),
            service="ec2",
            region="eu-west-1",
        ),
        RootKey(active=False, created_at=datetime(2019, 1, 2, tzinfo=UTC)),
    ]

    root = _rows(iam)[0]
    assert root["arn"] == f"arn:aws:iam::{MANAGEMENT_ACCOUNT_ID}:root"
    assert _slot(root, 1) == [
        "true",
        "2020-01-02T00:00:00Z",
        "2021-03-04T05:00:00Z",
        "eu-west-1",
        "ec2",
    ]
    assert _slot(root, 2) == ["false", "2019-01-02T00:00:00Z", "N/A", "N/A", "N/A"]
    assert root["password_next_rotation"] == "not_supported"


def test_a_root_user_without_keys_has_two_empty_slots(iam: Any) -> None:
    root = _rows(iam)[0]

    assert _slot(root, 1) == _slot(root, 2) == ["false", "N/A", "N/A", "N/A", "N/A"]


def test_a_used_key_has_its_dates_region_and_service(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    key = users.create_access_key("alice", status="Inactive")
    key.create_date = CREATED
    key.last_used = AccessKeyLastUsed(LAST_USED, "s3", "N/A")

    alice = _rows(iam)[1]
    expected = ["false", "2024-03-04T05:06:07Z", "2026-12-24T18:00:00Z", "N/A", "s3"]
    assert _slot(alice, 1) == expected
    assert _slot(alice, 2) == ["false", "N/A", "N/A", "N/A", "N/A"]


def test_slots_follow_the_key_ids(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")
    older, newer = (users.create_access_key("alice") for _ in range(2))
    older.access_key_id, newer.access_key_id = "AKIAB", "AKIAA"
    older.create_date = CREATED

    assert _rows(iam)[1]["access_key_2_last_rotated"] == "2024-03-04T05:06:07Z"


def test_a_user_without_a_password_has_no_password_dates(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice")

    assert _password(_rows(iam)[1]) == ["false", "N/A", "N/A", "N/A"]


def test_a_password_never_used_has_no_information(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice").create_date = CREATED
    users.create_login_profile("alice", "secret")

    created = "2024-03-04T05:06:07Z"
    assert _password(_rows(iam)[1]) == ["true", "no_information", created, "N/A"]


def test_a_password_in_use_has_its_last_use(iam: Any, users: Any) -> None:
    users.create_user("us-east-1", "alice").password_last_used = LAST_USED
    users.create_login_profile("alice", "secret")

    assert _rows(iam)[1]["password_last_used"] == "2026-12-24T18:00:00Z"


def _report(iam: Any) -> Any:
    while iam.generate_credential_report()["State"] != "COMPLETE":
        pass
    return iam.get_credential_report()


def _rows(iam: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_report(iam)["Content"].decode())))


def _slot(row: dict[str, str], number: int) -> list[str]:
    return [value for name, value in row.items() if name.startswith(f"access_key_{number}_")]


def _password(row: dict[str, str]) -> list[str]:
    return [value for name, value in row.items() if name.startswith("password_")]
