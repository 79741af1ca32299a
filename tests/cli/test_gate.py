"""A check that can't be run never breaks a gate: refused before the scan, or kept as not judged."""

import json
import os
from pathlib import Path

import jsonschema
import pytest

from auditor.demo.emulator import Request, Response
from auditor.formats.document import json_schema
from tests.command import Run, World

POLICY = """apiVersion: iamaudit/v1
id: house
title: House rules
classes: [{class: human, when: user.password_enabled}]
rules:
  - {id: odd, title: Odd, severity: low, when: '%s'}
"""
UNGUARDED = POLICY % 'key.active && user.tags.nowhere == "x"'
GUARDED_BY_CLASS = POLICY % 'user.class == "human" && user.tags.nowhere == "x"'
OFFLINE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    file = tmp_path / "house.yaml"
    file.write_text(UNGUARDED)
    return file


def history(run: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("history", "--json").stdout)
    return found


@pytest.mark.parametrize(
    "command",
    [
        ("scan", "--policy", "house.yaml"),
        ("scan", "--policy", "baseline", "--policy", "house.yaml"),
        ("doctor", "--policy", "house.yaml"),
        ("policy", "check", "house.yaml"),
    ],
)
def test_a_policy_that_fails_for_ordinary_users_is_refused_before_aws_is_asked(
    run: Run, world: World, house: Path, command: tuple[str, ...]
) -> None:
    ran = run(*command, variables=world.variables)

    assert (ran.code, ran.stdout) == (2, "")
    assert "house.yaml:6:48: rule 'odd' of policy 'house' failed" in ran.stderr
    assert "guard it with has(user.tags.nowhere) &&" in ran.stderr
    assert not world.emulator.requests
    assert not (house.parent / "reports").exists()


def test_a_stored_run_is_not_judged_by_a_policy_that_fails_for_ordinary_users(
    run: Run, world: World, house: Path
) -> None:
    run("scan", "--quiet", variables=world.variables)

    ran = run("report", "--policy", "house.yaml", variables=OFFLINE)

    assert ran.code == 2
    assert "house.yaml:6:48: rule 'odd'" in ran.stderr


def test_a_scan_whose_policy_fails_when_it_judges_is_kept_as_not_judged(
    run: Run, world: World, house: Path
) -> None:
    run("scan", "--quiet", variables=world.variables)
    [good] = history(run)
    house.write_text(GUARDED_BY_CLASS)
    checked = run("policy", "check", "house.yaml")
    failed = run("scan", "--quiet", "--policy", "house.yaml", variables=world.variables)
    newest, oldest = history(run)
    bad = str(newest["id"])

    assert (checked.code, failed.code) == (0, 2)
    assert "1 warning" in checked.stdout
    assert f"run {bad} is kept, and not judged: house.yaml:6:48: rule 'odd'" in failed.stderr
    assert f"iamaudit report --run {bad} --policy FILE" in failed.stderr
    assert (newest["judged"], newest["open"], newest["open_by_severity"]) == (False, None, None)
    assert oldest == good
    assert (newest["baseline"], oldest["baseline"]) == (False, True)
    text = run("history", variables={"COLUMNS": "200"})
    [row] = [line for line in text.stdout.splitlines() if line.startswith(bad)]
    assert "not judged" in row
    assert (house.parent / "reports/latest").resolve().name == good["id"]

    # The run that was not judged is nobody's latest, and a fixed policy judges it.
    shown = run("report", variables=OFFLINE)
    since = run("scan", "--quiet", "--baseline", "latest", "--only-new", variables=world.variables)
    fixed = run("report", "--run", bad, "--policy", "baseline", variables=OFFLINE)

    told = run("report", "--run", bad, variables=OFFLINE)
    planned = run("plan", "--run", bad, variables=world.variables)

    for each in (told, planned):
        assert (each.code, f"run {bad} is kept, and not judged" in each.stderr) == (2, True)
    assert f"Run {bad} is newer, and was not judged" in shown.stderr
    assert since.report["changes"]["baseline"]["id"] == good["id"]
    assert since.code == 0
    assert fixed.code == 1


def test_a_baseline_that_was_never_judged_is_said_before_the_scan(
    run: Run, world: World, house: Path
) -> None:
    house.write_text(GUARDED_BY_CLASS)
    run("scan", "--quiet", "--policy", "house.yaml", variables=world.variables)
    before = len(world.emulator.requests)

    ran = run("scan", "--quiet", "--baseline", "latest", variables=world.variables)

    assert ran.code == 2
    assert "no earlier run that was finished and judged" in ran.stderr
    assert len(world.emulator.requests) == before


def test_an_unjudged_run_is_still_what_resume_goes_on_with(
    run: Run, world: World, house: Path
) -> None:
    run("scan", "--quiet", variables=world.variables)
    house.write_text(GUARDED_BY_CLASS)
    run("scan", "--quiet", "--policy", "house.yaml", variables=world.variables)
    newest, _ = history(run)

    ran = run("scan", "--quiet", "--resume", "latest", variables=world.variables)

    assert (ran.code, f"run {newest['id']} is finished" in ran.stderr) == (2, True)


@pytest.mark.parametrize("kind", ["file", "folder", "pipe"])
@pytest.mark.parametrize("name", ["baseline", "baseline.yaml", "baseline.yml"])
def test_what_lies_in_the_current_folder_is_no_pack_of_ours(
    run: Run, world: World, tmp_path: Path, name: str, kind: str
) -> None:
    place = tmp_path / name
    match kind:
        case "file":
            place.write_text(POLICY % "false")
        case "folder":
            place.mkdir()
        case "pipe":
            os.mkfifo(place)

    ran = run("scan", "--quiet", variables=world.variables)
    extended = tmp_path / "ours.yaml"
    extended.write_text("apiVersion: iamaudit/v1\nid: ours\ntitle: T\nextends: baseline\n")
    shown = run("policy", "show", "ours.yaml")

    assert ran.code == 1
    assert [each["title"] for each in ran.report["run"]["policies"]] == ["Access key baseline"]
    assert "key-too-old" in shown.stdout


def test_the_report_says_by_which_session_policy_an_account_was_read(
    run: Run, world: World
) -> None:
    def too_large(request: Request) -> Response | None:
        if request.operation != "AssumeRole" or len(request.params.get("Policy", "")) < 200:
            return None
        return Response(status=400, code="PackedPolicyTooLarge", message="Packed size is 104%")

    world.emulator.hooks.append(too_large)
    member = world.organization.member_account_ids[0]

    ran = run("scan", "--quiet", "--accounts", f"self,{member}", variables=world.variables)
    page = (ran.folder / "latest/report.html").read_text()
    looked = run("doctor", "--accounts", member, variables=world.variables)

    vias = {each["id"]: each["via"] for each in ran.report["accounts"]}
    assert vias[member] == "role-short-policy"
    assert vias[world.organization.management_account_id] == "caller"
    jsonschema.Draft202012Validator(json_schema()).validate(ran.report)
    assert "under a short session policy" in page
    assert "iamaudit-read, short session policy" in looked.stdout
