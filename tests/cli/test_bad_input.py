"""Every mistake is one line that says what and how to mend it, and leaves nothing behind."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.demo.emulator import Emulator, Response
from auditor.demo.organization import DemoOrganization, build
from tests.command import Ran, runs_in


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def organization(emulator: Emulator) -> DemoOrganization:
    return build(emulator, now=datetime.now(UTC))


@pytest.fixture
def variables(emulator: Emulator, organization: DemoOrganization) -> dict[str, str]:
    return {
        **organization.environment,
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def ran(folder: Path, variables: Mapping[str, str], *arguments: str) -> Ran:
    return runs_in(folder, COLUMNS="200", **variables)("scan", *arguments)


def refused(folder: Path, variables: Mapping[str, str], *arguments: str, code: int = 2) -> str:
    """Run a scan that must fail; return what it says."""
    before = sorted(folder.rglob("*"))
    scan = ran(folder, variables, "--quiet", *arguments)
    assert scan.code == code, scan.stderr
    assert scan.stdout == ""
    assert len(scan.stderr.splitlines()) == 1, scan.stderr
    assert scan.stderr.startswith("iamaudit: ")
    assert "; " in scan.stderr
    assert sorted(folder.rglob("*")) == before
    return scan.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--accounts", "1234"], "--accounts: '1234' is not an account; write 12-digit ids"),
        (["--accounts", "prod,staging"], "'prod' is not an account"),
        (["--exclude", "me"], "--exclude: 'me' is not an account"),
        (["--accounts", "@nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--exclude", "self"], "--exclude leaves no account to audit"),
        (["--policy", "strickt"], "there is no policy 'strickt'"),
        (["--format", "pdf"], "there is no format 'pdf'; write one of html, json"),
        (["--fail-on", "worst"], "'worst' is no severity; write one of critical"),
        (["--now", "yesterday"], "'yesterday' is not a time; write it as"),
        (["--log-level", "loud"], "'loud' is no level"),
        (["--profile", "nobody"], "nobody"),
        (["--endpoint-url", "nonsense"], "--endpoint-url: 'nonsense' is not an endpoint; correct"),
        (["--endpoint-url", "http://aws.example.test"], "not encrypted"),
        (["--endpoint-url", "http://192.0.2.7:4566"], "an https:// endpoint, or --allow-http"),
        (["--accounts", "r-zzzz"], "no root or OU r-zzzz"),
    ],
)
def test_a_wrong_option_is_named_with_what_may_be_written(
    tmp_path: Path, variables: dict[str, str], arguments: list[str], told: str
) -> None:
    assert told in refused(tmp_path, variables, *arguments)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [", "house.yaml:1:"),
        (
            "apiVersion: iamaudit/v1\nid: house\ntitle: T\nrules:\n"
            "  - {id: a, title: T, severity: low, when: key.actve}\n",
            "house.yaml:5:47: undeclared reference to 'key.actve' (did you mean key.active?)",
        ),
    ],
)
def test_a_broken_policy_is_named_with_line_and_column(
    tmp_path: Path, variables: dict[str, str], text: str, told: str
) -> None:
    (tmp_path / "house.yaml").write_text(text)

    assert told in refused(tmp_path, variables, "--policy", "house.yaml")


def test_an_unknown_account_means_that_nothing_could_be_audited(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    scan = ran(tmp_path, variables, "--accounts", "999999999999", "--format", "json")

    assert scan.code == 4
    assert "Nothing was audited" in scan.stdout
    assert "sts:AssumeRole" in scan.stdout
    assert "999999999999" in scan.stdout
    assert "Traceback" not in scan.stderr


def test_missing_credentials_are_named_with_the_mend(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del variables[name]

    assert "no AWS credentials were found; sign in" in refused(tmp_path, variables)


def test_expired_credentials_are_named_with_the_mend(
    tmp_path: Path, variables: dict[str, str], emulator: Emulator
) -> None:
    expired = Response(status=403, code="ExpiredToken", message="The token has expired")
    emulator.hooks.append(lambda _: expired)
    try:
        told = refused(tmp_path, variables)
    finally:
        emulator.hooks.clear()

    assert "ExpiredToken: The token has expired; renew them" in told


def test_an_endpoint_where_nobody_listens_exits_with_4(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    told = refused(tmp_path, variables, "--endpoint-url", "http://127.0.0.1:9", code=4)

    assert "AWS can't be reached" in told


@pytest.mark.parametrize("place", ["file/reports", "/proc/nowhere/reports"])
def test_an_output_folder_that_cannot_be_made_is_named(
    tmp_path: Path, variables: dict[str, str], place: str
) -> None:
    (tmp_path / "file").write_text("")

    told = refused(tmp_path, variables, "--output", place)

    assert "can't be written" in told
    assert "choose another folder with --output" in told


def test_a_store_that_is_not_ours_is_left_alone(tmp_path: Path, variables: dict[str, str]) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / ".gitignore").write_text("*\n")
    (reports / "iamaudit.db").write_text("a diary, " * 200)

    assert "iamaudit.db can't be used: file is not a database" in refused(tmp_path, variables)


def test_a_rule_that_fails_on_a_key_is_named_and_exits_with_2(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "house.yaml").write_text(
        "apiVersion: iamaudit/v1\nid: house\ntitle: T\nrules:\n"
        "  - {id: a, title: T, severity: low, when: user.tags.nowhere == 'x'}\n"
    )
    scan = ran(tmp_path, variables, "--quiet", "--policy", "house.yaml")

    assert scan.code == 2
    assert "there is no tag 'nowhere'; guard it with has(user.tags.nowhere) &&" in scan.stderr
    assert not list(tmp_path.rglob("report.*"))


def test_a_stray_option_is_a_usage_error(tmp_path: Path, variables: dict[str, str]) -> None:
    scan = ran(tmp_path, variables, "--acounts", "self")

    assert scan.code == 2
    assert "--acounts" in scan.stderr
    assert os.listdir(tmp_path) == []  # noqa: PTH208
