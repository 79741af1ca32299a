from datetime import UTC, datetime

from auditor.demo.emulator import Emulator
from tests.command import Run

USERS = 2_100


def test_an_account_of_more_than_two_pages_is_read_whole_with_one_call_a_page(run: Run) -> None:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        backend = emulator.backend("iam", "123456789012")
        for number in range(USERS):
            backend.create_user(region_name="us-east-1", user_name=f"user-{number:05}")
        for number in range(0, USERS, 100):
            backend.create_access_key(user_name=f"user-{number:05}")

        report = run(
            "scan",
            "--quiet",
            "--format",
            "json",
            variables={
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_ENDPOINT_URL": emulator.url,
            },
        ).report

    calls = report["run"]["api_calls"]
    assert report["coverage"]["users"] == USERS
    assert report["coverage"]["keys"] == USERS // 100
    assert calls["iam:ListUsers"] == 3
    assert calls["iam:ListAccessKeys"] == USERS
    assert calls["iam:GetAccessKeyLastUsed"] == USERS // 100
