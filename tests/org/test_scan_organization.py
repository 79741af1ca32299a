from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from auditor.demo.emulator import Emulator, Request
from auditor.demo.organization import build
from auditor.formats.document import json_schema
from tests.command import Ran, Run, World, runs_in
from tests.org.oracle import Key, read_organization


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One for all tests of this file, as none changes it."""
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield World(emulator, build(emulator, now=datetime.now(UTC)))


@dataclass(frozen=True)
class Scanned:
    """A scan of the organization without further options, and what it asked for."""

    ran: Ran
    requests: Sequence[Request]


@pytest.fixture(scope="module")
def scanned(world: World, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    world.emulator.requests.clear()
    run = runs_in(tmp_path_factory.mktemp("scanned"), **world.variables)
    ran = run("scan", "--accounts", "org", "--quiet")
    return Scanned(ran, tuple(world.emulator.requests))


def by_id(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {account["id"]: account for account in report["accounts"]}


def test_a_scan_of_the_organization_is_incomplete_and_says_what_it_missed(
    scanned: Scanned, world: World
) -> None:
    ran = scanned.ran

    report, organization = ran.report, world.organization
    jsonschema.Draft202012Validator(json_schema()).validate(report)
    accounts = by_id(report)
    assert ran.code == 3
    assert report["coverage"]["complete"] is False
    assert accounts[organization.suspended_account_id]["outcome"] == "skipped"
    assert accounts[organization.suspended_account_id]["state"] == "SUSPENDED"
    unreachable = accounts[organization.unreachable_account_id]
    assert unreachable["outcome"] == "unreachable"
    assert unreachable["errors"][0]["operation"] == "sts:AssumeRole"
    assert {account["outcome"] for account in accounts.values()} == {
        "audited",
        "skipped",
        "unreachable",
    }
    assert "1 of 16 accounts was not read" in ran.stdout
    assert ran.stderr.count("\n") <= 1


def test_the_management_account_is_read_with_the_callers_own_credentials(
    scanned: Scanned, world: World
) -> None:
    account = by_id(scanned.ran.report)[world.organization.management_account_id]

    assert account["outcome"] == "audited"
    assert (account["via"], account["role_arn"]) == ("caller", None)


def test_every_user_key_date_and_verdict_equals_an_independent_reading(
    scanned: Scanned, world: World
) -> None:
    report = scanned.ran.report
    organization = world.organization

    read = read_organization(
        world.emulator.url,
        organization.access_key_id,
        organization.secret_access_key,
        organization.role_name,
        datetime.fromisoformat(report["run"]["now"]),
    )

    assert len(read) > 200
    assert {_as_key(key) for key in report["keys"]} == set(read)
    assert len(report["keys"]) == len(read)
    open_findings = {
        (finding["account_id"], finding["user_name"], finding["access_key_id"], finding["rule_id"])
        for finding in report["findings"]
        if finding["status"] == "open"
    }
    assert open_findings == {
        (key.account, key.user, key.id, rule) for key in read for rule in key.rules
    }
    assert sum(report["summary"]["open"].values()) == len(report["findings"])


def _as_key(key: dict[str, Any]) -> Key:
    last, used = key["last_used"], None
    if last["state"] == "used":
        used = (datetime.fromisoformat(last["at"]), last["service"], last["region"])
    return Key(
        account=key["account_id"],
        user=key["user_name"],
        id=key["access_key_id"],
        status=key["status"],
        created=datetime.fromisoformat(key["created_at"]),
        used=used,
        rules=frozenset(key["violations"]),
    )


def test_exactly_the_calls_that_the_inventory_needs_are_made(scanned: Scanned) -> None:
    report = scanned.ran.report

    calls, coverage = report["run"]["api_calls"], report["coverage"]
    read = coverage["accounts"]["audited"]
    root_keys = sum(key["access_key_id"] is None for key in report["keys"])
    assert calls["iam:ListUsers"] == read
    assert calls["iam:ListAccessKeys"] == coverage["users"]
    assert calls["iam:GetAccessKeyLastUsed"] == coverage["keys"] - root_keys
    assert calls["iam:GetAccountAuthorizationDetails"] == read
    assert calls["iam:GetCredentialReport"] == read
    assert calls["sts:AssumeRole"] == read - 1 + 1  # the caller's own needs none, one is denied
    assert "iam:GetLoginProfile" not in calls
    seen = [f"{request.service}:{request.operation}" for request in scanned.requests]
    assert {name: seen.count(name) for name in set(seen)} == calls


def test_accounts_of_unknown_size_are_measured_once_where_not_all_fit(scan: Run) -> None:
    reports = [scan("--concurrency", "4").report for _ in range(2)]

    measured = [report["run"]["api_calls"].get("iam:GetAccountSummary", 0) for report in reports]
    # Of 16 one is suspended and one can't be entered; each that is read is asked once more.
    assert measured == [28, 14]


def test_every_assumed_role_is_held_to_reading_by_a_session_policy(scan: Run, world: World) -> None:
    world.emulator.requests.clear()

    report = scan("--external-id", "example-id", "--source-identity", "auditor").report

    assumed = [each for each in world.emulator.requests if each.operation == "AssumeRole"]
    assert assumed
    for request in assumed:
        policy = str(request.params["Policy"])
        assert '"Effect":"Allow"' in policy
        assert "iam:ListAccessKeys" in policy
        assert not any(verb in policy for verb in ("Update", "Delete", "Create", "Put", "Attach"))
        assert len(policy) <= 2048
        assert request.params["RoleSessionName"] == f"iamaudit-{report['run']['id']}"
        assert request.params["ExternalId"] == "example-id"
        assert request.params["SourceIdentity"] == "auditor"


def test_a_second_run_differs_in_nothing_but_its_own_times(scan: Run) -> None:
    now = "2026-11-24T12:00:00Z"

    first, second = scan("--now", now).report, scan("--now", now).report

    for report in (first, second):
        del report["run"], report["accounts"]
    assert first == second


def test_fail_on_decides_about_findings_of_a_complete_scan(run: Run, world: World) -> None:
    codes = {
        severity: run(
            "scan", "--quiet", "--fail-on", severity, "--format", "json", variables=world.variables
        ).code
        for severity in ("never", "critical", "low")
    }

    assert codes == {"never": 0, "critical": 0, "low": 1}


def test_the_reports_and_the_store_are_the_owners_alone(scanned: Scanned) -> None:
    folder = scanned.ran.folder

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.glob("latest/*")}
    assert modes == {"report.html": 0o600, "report.json": 0o600}
    assert (folder / "iamaudit.db").stat().st_mode & 0o777 == 0o600
    assert (folder / "latest").resolve().stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
