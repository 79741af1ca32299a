"""`iamaudit report`: a stored run told again, and judged again, offline."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from auditor.config import FORMATS
from auditor.formats.document import json_schema
from auditor.model.account import OutcomeKind
from auditor.store.output import STORE
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import policy_source
from tests.builders import NOW, a_key, a_run, a_user_with, an_account, an_inventory, used
from tests.command import Run

OFFLINE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store with a run that was read, but that its scan did not live to judge."""
    folder = tmp_path / "reports"
    folder.mkdir()
    store = SqliteRunStore(folder / STORE)
    store.begin(a_run(sources=[policy_source("baseline")]), [an_account()])
    keys = (a_key("AKIA1", days_old=80, last_use=used()), a_key("AKIA2", days_old=5))
    store.save("run-1", an_inventory(a_user_with(*keys), outcome=OutcomeKind.AUDITED))
    store.close()
    return folder / STORE


def report(run: Run, *arguments: str) -> dict[str, Any]:
    ran = run("report", "--output", "-", *arguments, variables=OFFLINE)
    found: dict[str, Any] = json.loads(ran.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    return found


def broken(found: dict[str, Any]) -> list[str]:
    return [finding["rule_id"] for finding in found["findings"]]


def contents(store: Path) -> list[str]:
    with sqlite3.connect(store) as connection:
        return list(connection.iterdump())


def test_a_scan_is_reported_again_to_the_byte(scan: Run, run: Run) -> None:
    scanned = scan("--policy", "baseline", "--policy", "cis-aws-5.0.0")
    first = {
        name: (scanned.folder / "latest" / f"report.{name}").read_bytes()
        for name in ("json", "html")
    }

    again = run("report", "--output", "again", "--store", str(scanned.folder / STORE))

    folder = scanned.folder.parent / "again/latest"
    assert again.code == scanned.code == 3
    assert {name: (folder / f"report.{name}").read_bytes() for name in first} == first


def test_a_run_that_was_not_judged_is_judged_before_it_is_told(run: Run, stored: Path) -> None:
    assert broken(report(run)) == ["second-active-key"]


def test_another_time_judges_the_same_keys_anew(run: Run, stored: Path) -> None:
    found = report(run, "--now", "2027-01-01")

    assert found["run"]["now"] == "2027-01-01T00:00:00Z"
    assert found["run"]["started_at"] == NOW.isoformat().replace("+00:00", "Z")
    assert broken(found) == ["key-too-old", "second-active-key", "key-never-used"]
    assert [key["age_days"] for key in found["keys"]] == [117, 42]


def test_other_policies_judge_it_and_are_named(run: Run, stored: Path) -> None:
    found = report(run, "--policy", "pci-dss-4.0.1", "--policy", "cis-aws-1.4.0")

    assert [policy["id"] for policy in found["run"]["policies"]] == [
        "pci-dss-4.0.1",
        "cis-aws-1.4.0",
    ]
    assert broken(found) == ["cis-aws-1.4.0-second-active-key"]
    assert {line["framework"] for line in found["compliance"]} == {
        "pci-dss-4.0.1",
        "cis-aws-1.4.0",
    }


def test_judging_again_gives_the_same_bytes_and_leaves_the_store_alone(
    run: Run, stored: Path
) -> None:
    arguments = ("report", "--policy", "strict", "--now", "2026-12-24T00:00:00Z")
    before = contents(stored)

    one, other = run(*arguments, "--output", "a"), run(*arguments, "--output", "b")

    assert (one.code, other.code) == (2, 2)  # there is no store in these folders
    here = ("--store", str(stored))
    one, other = run(*arguments, *here, "--output", "a"), run(*arguments, *here, "--output", "b")
    folder = stored.parent.parent
    for name in ("json", "html"):
        first = (folder / "a/run-1" / f"report.{name}").read_bytes()
        assert (folder / "b/run-1" / f"report.{name}").read_bytes() == first
    assert one.code == other.code == 1
    assert contents(stored) == before


def test_what_the_scan_did_not_ask_for_is_unknown_to_another_policy(run: Run, stored: Path) -> None:
    policy = stored.parent / "tags.yaml"
    policy.write_text(
        "apiVersion: iamaudit/v1\nid: tags\ntitle: T\nrules:\n"
        "  - {id: prod, title: T, severity: low, when: '\"env\" in account.tags'}\n"
    )

    found = report(run, "--policy", str(policy))

    assert {finding["status"] for finding in found["findings"]} == {"indeterminate"}
    [gap] = found["coverage"]["gaps"]
    assert "organizations:ListTagsForResource was not asked" in gap["message"]
    assert found["coverage"]["complete"] is False


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 1), (("--fail-on", "high"), 0), (("--now", "2028-01-01", "--fail-on", "high"), 1)],
)
def test_it_exits_as_the_scan_would(
    run: Run, stored: Path, arguments: tuple[str, ...], code: int
) -> None:
    assert run("report", *arguments).code == code


def test_the_policies_are_those_of_the_scan_whatever_the_files_say_now(
    run: Run, stored: Path
) -> None:
    with sqlite3.connect(stored) as connection:
        text = policy_source("baseline").text.replace("max_age: 90d", "max_age: 30d")
        connection.execute("UPDATE policy_source SET text = ?", (text,))

    assert broken(report(run, "--now", NOW.isoformat())) == ["key-too-old", "second-active-key"]


def test_the_latest_link_stays_with_the_newest_run(run: Run, stored: Path) -> None:
    store = SqliteRunStore(stored)
    store.begin(a_run("run-2", sources=[policy_source("baseline")]), [an_account()])
    store.close()

    run("report", "--run", "run-2")
    run("report", "--run", "run-1")

    assert (stored.parent / "latest").resolve().name == "run-2"
    assert (stored.parent / "run-1/report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--run", "nil"), "there is no run 'nil'"),
        (("--store", "nowhere.db"), "there is no store nowhere.db"),
        (("--output", "-", "--format", "html", "--format", "json"), "only one report"),
        (("--policy", "nil"), "there is no policy 'nil'"),
        (("--now", "yesterday"), "'yesterday' is not a time"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    run: Run, stored: Path, arguments: tuple[str, ...], told: str
) -> None:
    before = sorted(stored.parent.parent.rglob("*.json"))

    ran = run("report", *arguments)

    assert (ran.code, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert sorted(stored.parent.parent.rglob("*.json")) == before


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A store with a run of a key with a real id, that breaks a rule."""
    folder = tmp_path / "reports"
    folder.mkdir()
    store = SqliteRunStore(folder / STORE)
    store.begin(a_run(sources=[policy_source("baseline")]), [an_account()])
    store.save("run-1", an_inventory(a_user_with(a_key(SECRET, days_old=300))))
    store.close()
    return folder


SECRET = "AKIAI44QH8DHBEXAMPLE"


def test_masked_reports_and_plans_tell_no_key_id_and_exit_as_before(run: Run, told: Path) -> None:
    formats = [part for name in FORMATS for part in ("--format", name)]

    ran = run("report", "--mask-keys", *formats, variables=OFFLINE)
    planned = run("plan", "--mask-keys", variables=OFFLINE)

    files = [file for file in (told / "run-1").iterdir() if file.name != "plan.json"]
    assert ran.code == 1
    assert len(files) == len(FORMATS)
    for text in (ran.stdout, planned.stdout, *(file.read_text() for file in files)):
        assert SECRET not in text
    assert "AKIA************MPLE" in planned.stdout
    assert SECRET in (told / "run-1/plan.json").read_text()  # it is to be applied


def test_key_ids_can_be_masked_by_the_environment(run: Run, told: Path) -> None:
    found = run("report", "--output", "-", variables={**OFFLINE, "IAMAUDIT_MASK_KEYS": "1"}).stdout

    assert json.loads(found)["keys"][0]["access_key_id"] == "AKIA************MPLE"
