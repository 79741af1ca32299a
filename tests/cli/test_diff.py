"""`iamaudit diff`, `--baseline`, `history` with its trend, and `prune`."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from auditor.formats.document import Difference, json_schema
from auditor.model.access_key import AccessKey
from auditor.store.output import STORE
from auditor.store.runs import SqliteRunStore
from auditor.wiring.judging import judge_if_needed
from auditor.wiring.policies import load_policies, policy_source, stamps
from tests.builders import NOW, a_key, a_run, a_user_with, ago, an_account, an_inventory
from tests.command import Run

OFFLINE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
RULES = stamps(load_policies(["baseline"]))
HOSTILE = "=1+1|<b>\u202e\x1b[31m"


def old(id_: str) -> AccessKey:
    return a_key(id_, days_old=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs, a day apart: AKIA1 went, AKIA2 stayed, AKIA3 came; each is the second of two."""
    folder = tmp_path / "reports"
    folder.mkdir()
    store = SqliteRunStore(folder / STORE)
    young = a_key("AKIA9", days_old=5)
    for run_id, days, names in (("one", 1, "12"), ("two", 0, "23")):
        at = ago(days=days)
        run = a_run(
            run_id, sources=[policy_source("baseline")], rules=RULES, started_at=at,
            finished_at=at + timedelta(seconds=1), now=NOW,
        )  # fmt: skip
        store.begin(run, [an_account(name=HOSTILE)])
        users = [a_user_with(old(f"AKIA{name}"), young, name=f"{HOSTILE}{name}") for name in names]
        store.save(run_id, an_inventory(*users))
        judge_if_needed(store, run)
    store.close()
    return folder


def changes_of(ran: Any) -> list[tuple[str, str]]:
    found = json.loads(ran.stdout)["changes"]["findings"]
    return [(row["change"], row["access_key_id"]) for row in found]


def test_a_diff_in_json_tells_every_finding_and_fits_its_model(run: Run, folder: Path) -> None:
    ran = run("diff", "one", "two", "--format", "json", variables=OFFLINE)

    Difference.model_validate_json(ran.stdout)
    assert ran.code == 1
    assert changes_of(ran) == [("resolved", "AKIA1"), ("still_open", "AKIA2"), ("new", "AKIA3")]


def test_a_diff_with_masked_keys_tells_the_same_of_them(run: Run, folder: Path) -> None:
    ran = run("diff", "one", "two", "--format", "json", "--mask-keys", variables=OFFLINE)

    assert ran.code == 1
    assert [change for change, _ in changes_of(ran)] == ["resolved", "still_open", "new"]
    assert {name for _, name in changes_of(ran)} == {"AKIA*#1"}  # each user has AKIA9 as well


def test_a_diff_without_runs_compares_the_last_two(run: Run, folder: Path) -> None:
    ran = run("diff", "--format", "json")

    told = json.loads(ran.stdout)
    assert (told["changes"]["baseline"]["id"], told["run"]["id"]) == ("one", "two")


@pytest.mark.parametrize("format_", ["text", "markdown"])
def test_people_read_what_changed_with_hostile_names_as_text(
    run: Run, folder: Path, format_: str
) -> None:
    told = run("diff", "--format", format_, variables={"COLUMNS": "200"}).stdout

    assert "1 new (1 low), 1 resolved, 0 changed, 1 still open" in told
    assert "AKIA3" in told
    assert "the key is gone" in told
    assert "\\u202e" in told
    assert not {"\u202e", "\x1b"}.intersection(told)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 1), (("--fail-on", "high"), 0), (("--fail-on", "never"), 0)],
)
def test_a_diff_fails_for_new_findings_from_the_threshold_on(
    run: Run, folder: Path, arguments: tuple[str, ...], code: int
) -> None:
    assert run("diff", "one", "two", *arguments).code == code


def test_a_diff_with_nothing_new_exits_with_0(run: Run, folder: Path) -> None:
    assert run("diff", "two", "two").code == 0


def test_a_later_run_that_looked_at_less_exits_with_3(run: Run, folder: Path) -> None:
    store = SqliteRunStore(folder / STORE)
    store.begin(a_run("three", sources=[policy_source("baseline")], rules=RULES), [an_account()])
    store.close()

    ran = run("diff", "two", "three")

    assert ran.code == 3
    assert "2 not looked at" in ran.stdout
    assert "0 resolved" in ran.stdout
    assert "1 account looked at before" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("diff", "nil", "two"), "there is no run 'nil'"),
        (("diff", "latest", "one"), "there is no earlier run that was finished"),
        (("report", "--run", "one", "--baseline", "latest"), "there is no earlier run"),
        (("report", "--only-new"), "--only-new: new since when?"),
        (("scan", "--baseline", "nil"), "there is no run 'nil'"),
        (("scan", "--only-new"), "--only-new: new since when?"),
        (("scan", "--baseline", "latest", "--output", "fresh"), "there is no store"),
        (("prune",), "nothing says what to keep"),
    ],
)
def test_a_mistake_is_one_line_and_asks_nothing_of_aws(
    run: Run, folder: Path, arguments: tuple[str, ...], told: str
) -> None:
    ran = run(*arguments, variables=OFFLINE)

    assert (ran.code, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_report_tells_the_changes_in_every_format_that_has_a_place_for_them(
    run: Run, folder: Path
) -> None:
    formats = [part for name in ("json", "html", "markdown") for part in ("--format", name)]

    ran = run("report", "--baseline", "latest", *formats)

    found = json.loads((folder / "two/report.json").read_text())
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    assert [row["change"] for row in found["changes"]["findings"]] == ["resolved", "new"]
    assert found["changes"]["summary"]["still_open"]["low"] == 1
    assert "Since run one" in ran.stdout
    for name in ("html", "md"):
        text = (folder / f"two/report.{name}").read_text()
        text = text.partition('id="changes-title"')[2].partition("</section>")[0] or text
        assert "Since run one" in text
        assert "a new key" in text
        assert "\u202e" not in text


def test_a_report_without_a_baseline_has_no_changes(run: Run, folder: Path) -> None:
    ran = run("report", "--output", "-")

    assert json.loads(ran.stdout)["changes"] is None


def test_only_new_lists_and_fails_for_new_findings_only(run: Run, folder: Path) -> None:
    new = run("report", "--baseline", "one", "--only-new")
    nothing = run("report", "--baseline", "two", "--only-new")
    other = run("report", "--baseline", "two")

    assert [ran.code for ran in (new, nothing, other)] == [1, 0, 1]
    assert "AKIA3" in new.stdout
    assert "AKIA2" not in new.stdout
    assert "Worst accounts" not in new.stdout
    assert "Worst accounts" in other.stdout


def test_a_scan_is_compared_with_the_last_finished_one(scan: Run) -> None:
    first = scan("--format", "json")
    second = scan("--format", "json", "--baseline", "latest", "--only-new")

    changes = second.report["changes"]
    jsonschema.Draft202012Validator(json_schema()).validate(second.report)
    assert changes["baseline"]["id"] != second.report["run"]["id"]
    assert changes["findings"] == changes["keys"] == changes["accounts"] == []
    assert changes["summary"]["still_open"] == second.report["summary"]["open"]
    assert "no new, 0 resolved" in " ".join(second.stdout.split())
    assert first.code == second.code == 3  # accounts that can't be read are still not looked at


def test_history_shows_the_trend(run: Run, folder: Path) -> None:
    run("diff", "one", "two")  # judges both

    told = run("history").stdout
    newest, oldest = json.loads(run("history", "--json").stdout)

    assert "2 (=)" in told
    assert (newest["id"], newest["open_by_severity"]["low"], newest["comparable"]) == (
        "two", 2, True,
    )  # fmt: skip
    assert newest["change"]["low"] == 0
    assert oldest["change"] is None


def test_prune_only_says_what_would_go_until_it_is_told_yes(run: Run, folder: Path) -> None:
    (folder / "one").mkdir()
    (folder / "one/report.json").write_text("{}")

    dry = run("prune", "--keep", "1")
    runs = json.loads(run("history", "--json").stdout)
    wet = run("prune", "--keep", "1", "--yes")
    left = json.loads(run("history", "--json").stdout)

    assert (dry.code, wet.code) == (0, 0)
    assert "would remove one" in dry.stdout
    assert "--yes" in dry.stderr
    assert [each["id"] for each in runs] == ["two", "one"]
    assert [each["id"] for each in left] == ["two"]
    assert "remove one" in wet.stdout
    assert (folder / "one/report.json").exists()


def test_prune_removes_report_folders_on_request_and_follows_no_link(
    run: Run, folder: Path
) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "one").symlink_to(elsewhere, target_is_directory=True)

    ran = run("prune", "--keep", "1", "--reports", "--yes")

    assert "No report folder of one" in ran.stderr
    assert elsewhere.is_dir()

    (folder / "two").mkdir()
    store = SqliteRunStore(folder / STORE)
    three = a_run("three", sources=[policy_source("baseline")], started_at=NOW)
    store.begin(three, [])
    judge_if_needed(store, three)
    store.close()
    run("prune", "--keep", "1", "--reports", "--yes")

    assert not (folder / "two").exists()
