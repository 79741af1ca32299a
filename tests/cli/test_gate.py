"""A check that can't be run never breaks a gate: refused before the scan, or kept as not judged."""

import json
from pathlib import Path

import pytest

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
