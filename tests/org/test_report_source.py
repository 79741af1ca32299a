"""`--source report`: the same verdicts by fewer calls."""

from collections import Counter
from typing import Any

from tests.command import Ran, Run, World


def verdicts(ran: Ran) -> list[tuple[Any, ...]]:
    return [
        (f["account_id"], f["user_name"], f["access_key_id"], f["rule_id"], f["status"])
        for f in ran.report["findings"]
    ]


def by_account(world: World) -> dict[str, Counter[str]]:
    """IAM calls in each account."""
    calls: dict[str, Counter[str]] = {}
    for request in world.emulator.requests:
        if request.service == "iam":
            calls.setdefault(request.account_id, Counter())[request.operation] += 1
    return calls


def test_the_verdicts_are_equal_and_the_calls_bounded(scan: Run, world: World) -> None:
    now = ("--now", "2027-03-01")
    live = scan(*now)
    world.emulator.requests.clear()

    reported = scan("--source", "report", *now)

    assert verdicts(reported) == verdicts(live)
    assert [key["last_used"] for key in reported.report["keys"]] == [
        key["last_used"] for key in live.report["keys"]
    ]
    assert reported.report["run"]["source"] == "report"
    assert "up to four hours old" in reported.stdout
    assert "up to four hours old" in (reported.folder / "latest/report.html").read_text()
    with_keys = Counter(
        account
        for account, user in {
            (key["account_id"], key["user_name"])
            for key in reported.report["keys"]
            if key["user_name"] != "<root_account>"
        }
    )
    for account, calls in by_account(world).items():
        further_polls = max(0, calls["GenerateCredentialReport"] - 1)
        assert calls.total() - further_polls <= 6 + with_keys[account], (account, calls)


def test_a_plan_asks_for_the_last_use_again(scan: Run, world: World) -> None:
    ran = scan("--source", "report", "--remediate", "dry-run")

    asked = {
        request.params["AccessKeyId"]
        for request in world.emulator.requests
        if request.operation == "GetAccessKeyLastUsed"
    }
    planned = {action["access_key_id"] for action in ran.report["plan"]["actions"]}
    assert planned
    assert planned <= asked


def test_a_stored_run_by_report_can_not_be_planned_for_offline(scan: Run, run: Run) -> None:
    scan("--source", "report")

    ran = run("plan")

    assert ran.code == 2
    assert "scan with --remediate dry-run" in ran.stderr
