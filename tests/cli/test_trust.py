"""What plan, apply, undo and keys believe, refuse and say, as processes against an emulator."""

import json
import os
import pty
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.iam.models import AccessKeyLastUsed

from auditor.aws.connection import Connection
from auditor.cli.run import interrupted
from auditor.config import ScanOptions
from auditor.errors import AuditError
from auditor.model.plan import Plan
from auditor.remediation.rails import Limits
from auditor.store import plan_file
from auditor.store.output import STORE
from auditor.wiring.remediation import ApplyOptions, Standing, apply
from tests.command import Ran
from tests.crash.estate import Desk, Estate, an_estate
from tests.fakes import FakeClock

USERS = {0: 3}
EVERYBODY = ["idle-01", "idle-02", "idle-03"]
USED_PLAN = ("--only", "key-unused")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of one account with a plan of three deactivations; to be copied."""
    with an_estate(USERS) as estate:
        desk = Desk(tmp_path_factory.mktemp("scanned"), estate)
        ran = scan(desk, "--remediate", "dry-run", *USED_PLAN)
        assert ran.code == 1, ran
        return desk.reports


@pytest.fixture
def estate() -> Iterator[Estate]:
    with an_estate(USERS) as estate:
        yield estate


@pytest.fixture
def desk(scanned: Path, estate: Estate, tmp_path: Path) -> Desk:
    shutil.copytree(scanned, tmp_path / "reports", symlinks=True)
    return Desk(tmp_path, estate)


def scan(desk: Desk, *more: str) -> Ran:
    accounts = ",".join(desk.estate.accounts)
    return desk.run("scan", "--accounts", accounts, "--format", "json", *more)


def planned(desk: Desk) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((desk.reports / "latest/plan.json").read_text())
    return plan


def active(desk: Desk) -> list[str]:
    """The users with an idle key that is still active."""
    account = desk.estate.accounts[0]
    return [user for user in EVERYBODY if "Active" in desk.estate.keys(account, user).values()]


def key_of(desk: Desk, user: str) -> Any:
    return desk.estate.iam(desk.estate.accounts[0]).users[user].access_keys[0]


def with_variables(desk: Desk, **variables: str) -> Desk:
    return replace(desk, variables=variables)


def test_a_plan_is_applied_by_its_id_and_the_commands_that_are_advised_take_it_back(
    desk: Desk,
) -> None:
    plan = planned(desk)

    applied = desk.run("apply", plan["id"], "--yes")

    assert applied.code == 0, applied
    assert active(desk) == []
    assert f"iamaudit undo {plan['run']}" in applied.stderr
    assert "36 hours" in applied.stderr
    undone = desk.run("undo", plan["run"], "--yes")
    assert undone.code == 0, undone
    assert active(desk) == EVERYBODY
    assert "iamaudit keys deactivate" in undone.stderr


def test_what_is_advised_is_the_plan_that_was_reviewed_whatever_is_scanned_since(
    desk: Desk,
) -> None:
    first = scan(desk, "--remediate", "dry-run", *USED_PLAN, "--limit", "1")
    reviewed = planned(desk)["id"]
    scan(desk, "--quiet", "--remediate", "dry-run", *USED_PLAN)

    assert f"iamaudit apply {reviewed}" in first.stderr
    assert "latest" not in first.stderr
    assert desk.run("apply", reviewed, "--yes").code == 0
    assert len(active(desk)) == 2


def test_plan_names_the_plan_by_its_id_and_where_its_store_is(desk: Desk) -> None:
    (desk.reports).rename(desk.folder / "my reports")

    ran = desk.run("plan", *USED_PLAN, "--output", "my reports")

    assert ran.code == 0, ran
    [line] = [line for line in ran.stderr.splitlines() if "iamaudit apply" in line]
    assert "apply plan-" in line
    assert line.endswith("--output 'my reports'")


@pytest.mark.parametrize("option", [(), ("--yes",)], ids=["asked", "with --yes"])
def test_an_apply_and_an_undo_say_as_whom_and_in_which_accounts(
    desk: Desk, option: tuple[str, ...]
) -> None:
    account = desk.estate.accounts[0]
    name = next(each["name"] for each in report(desk)["accounts"] if each["id"] == account)
    plan = planned(desk)
    applied = answered(desk, "apply", plan["id"], *option)
    undone = answered(desk, "undo", plan["run"], *option)

    assert (applied.code, undone.code) == (0, 0), (applied, undone)
    for ran in (applied, undone):
        assert ":user/iamaudit" in ran.stdout
        assert account in ran.stdout
        assert "not who scanned" not in ran.stdout
    assert name is None or name in applied.stdout


def report(desk: Desk) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((desk.reports / "latest/report.json").read_text())
    return content


def answered(desk: Desk, *arguments: str, answer: bytes = b"yes\n") -> Ran:
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer)
    process = desk.start(*arguments, terminal=terminal)
    ran = desk.end(process)
    os.close(keyboard)
    os.close(terminal)
    return ran


def test_a_caller_who_did_not_scan_is_warned(desk: Desk) -> None:
    iam = desk.estate.iam(desk.estate.world.organization.management_account_id)
    iam.create_user("us-east-1", "other", "/", [])
    key = iam.create_access_key("other")
    other = with_variables(
        desk,
        AWS_ACCESS_KEY_ID=key.access_key_id,
        AWS_SECRET_ACCESS_KEY=key.secret_access_key,
    )

    ran = other.run("apply", planned(desk)["id"], "--yes")

    assert "not who scanned" in ran.stdout
    assert ":user/iamaudit" in ran.stdout
    assert ":user/other" in ran.stdout


def test_an_answer_other_than_yes_changes_nothing(desk: Desk) -> None:
    ran = answered(desk, "apply", planned(desk)["id"], answer=b"y\n")

    assert ran.code == 2
    assert active(desk) == EVERYBODY
    assert desk.estate.changes() == []


def test_one_ctrl_c_at_the_question_ends_it_and_nothing_was_changed(desk: Desk) -> None:
    keyboard, terminal = pty.openpty()
    process = desk.start("apply", planned(desk)["id"], terminal=terminal)
    asked = ""
    while "to confirm: " not in asked:
        asked += process.stdout.read(1) or pytest.fail(asked)
    process.send_signal(signal.SIGINT)
    ran = desk.end(process)
    os.close(keyboard)
    os.close(terminal)

    assert ran.code == 130
    assert desk.estate.changes() == []


def foreign(desk: Desk) -> Path:
    """The reports of somebody else, with a store that vouches for the plan beside it."""
    theirs = desk.folder / "theirs"
    shutil.copytree(desk.reports, theirs, symlinks=True)
    return theirs


@pytest.mark.parametrize("mine", [True, False], ids=["with a store", "without one"])
def test_a_store_beside_a_plan_does_not_vouch_for_it(desk: Desk, mine: bool) -> None:
    theirs = foreign(desk)
    shutil.rmtree(desk.reports)
    if mine:
        assert scan(desk, "--quiet").code == 1
        desk.estate.emulator.requests.clear()

    ran = desk.run("apply", str(theirs / "latest/plan.json"), "--yes")

    assert ran.code == 2, ran
    assert desk.estate.emulator.requests == []
    named = desk.run("apply", str(theirs / "latest/plan.json"), "--yes", "--output", str(theirs))
    assert named.code == 0, named


def test_a_file_that_is_called_like_a_plans_id_is_not_read(desk: Desk) -> None:
    plan = planned(desk)
    (desk.folder / plan["id"]).write_text("{}")

    assert desk.run("apply", plan["id"], "--yes").code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("plan", *USED_PLAN),
        ("apply", "PLAN", "--yes"),
        ("apply", "FILE", "--yes"),
        ("undo", "latest", "--yes"),
        ("scan", "--quiet", "--remediate", "dry-run"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
@pytest.mark.parametrize("what", ["store", "folder"])
def test_a_store_that_others_can_write_decides_nothing(
    desk: Desk, command: tuple[str, ...], what: str
) -> None:
    words = {"PLAN": planned(desk)["id"], "FILE": "reports/latest/plan.json"}
    place = desk.reports / STORE if what == "store" else desk.reports
    place.chmod(0o777)

    ran = desk.run(*(words.get(each, each) for each in command))

    assert ran.code == 2, ran
    assert str(place.relative_to(desk.folder)) in ran.stderr
    assert "chmod" in ran.stderr
    assert desk.estate.emulator.requests == []


def test_a_latest_that_leads_elsewhere_is_not_followed(desk: Desk) -> None:
    theirs = foreign(desk)
    latest = desk.reports / "latest"
    latest.unlink()
    latest.symlink_to((theirs / "latest").resolve())

    ran = desk.run("apply", "reports/latest/plan.json", "--yes")

    assert ran.code == 2, ran
    assert "latest is a link to" in ran.stderr
    assert active(desk) == EVERYBODY


@pytest.mark.parametrize("by", ["option", "tag", "variable", "own file"])
def test_what_is_protected_since_the_plan_is_left_alone(desk: Desk, by: str) -> None:
    account = desk.estate.accounts[0]
    options: tuple[str, ...] = ()
    if by == "option":
        options = ("--protect", "idle-01")
    elif by == "tag":
        options = ("--protect-tag", "keep")
        desk.estate.iam(account).tag_user("idle-01", [{"Key": "keep", "Value": "1"}])
    elif by == "variable":
        desk = with_variables(desk, IAMAUDIT_PROTECT="idle-01")
    else:
        (desk.folder / ".config/iamaudit").mkdir(parents=True)
        (desk.folder / ".config/iamaudit/iamaudit.toml").write_text('protect = ["idle-01"]\n')

    ran = desk.run("apply", planned(desk)["id"], "--yes", *options)

    assert ran.code == 4, ran
    assert active(desk) == ["idle-01"]


@pytest.mark.parametrize("command", ["deactivate", "delete"])
def test_keys_leaves_a_protected_user_alone(desk: Desk, command: str) -> None:
    desk = with_variables(desk, IAMAUDIT_PROTECT="idle-*")
    key, account = key_of(desk, "idle-01").access_key_id, desk.estate.accounts[0]
    yes = ("--yes",) if command == "delete" else ()

    ran = desk.run("keys", command, key, "--user", "idle-01", "--account", account, *yes)

    assert ran.code == 2, ran
    assert "protected by idle-*" in ran.stderr
    assert desk.estate.changes() == []


def test_keys_says_as_whom_and_how_to_take_it_back_but_not_of_a_deletion(desk: Desk) -> None:
    key, account = key_of(desk, "idle-01").access_key_id, desk.estate.accounts[0]
    where = ("--user", "idle-01", "--account", account)

    ended = desk.run("keys", "deactivate", key, *where)
    deleted = desk.run("keys", "delete", key, *where, "--yes")

    assert (ended.code, deleted.code) == (0, 0), (ended, deleted)
    for ran in (ended, deleted):
        assert ":user/iamaudit, for idle-01 in account " + account in ran.stderr
        assert "36 hours" in ran.stderr
    assert f"iamaudit keys activate {key} --user idle-01 --account {account}" in ended.stderr
    assert "take it back" not in deleted.stderr


def test_a_rotation_ends_with_the_command_that_ends_the_new_key_and_no_undo(desk: Desk) -> None:
    sink = ("--allow-rotate", "--sink", "file:secrets")
    made = desk.run("plan", "--only", "key-too-old", "--limit", "1", *sink)
    plan_id = made.stdout.split()[1].rstrip(":")

    ran = desk.run("apply", plan_id, "--yes", *sink)

    assert ran.code == 0, ran
    [created] = desk.estate.changes()
    user = created.params["UserName"]
    keys = [key for key in desk.estate.keys(created.account_id, user) if key in ran.stderr]
    assert f"iamaudit keys deactivate {keys[0]} --user {user}" in ran.stderr
    assert "iamaudit undo" not in ran.stderr
    assert "36 hours" not in ran.stderr


def test_a_plan_that_was_undone_is_not_gone_on_with(desk: Desk) -> None:
    plan = planned(desk)
    desk.run("apply", plan["id"], "--yes")
    desk.run("undo", plan["run"], "--yes")
    before = len(desk.estate.changes())

    ran = desk.run("apply", plan["id"], "--resume", "--yes")

    assert ran.code == 4, ran
    assert ran.stdout.count("undone since") == len(EVERYBODY)
    assert "take it back" not in ran.stderr
    assert len(desk.estate.changes()) == before


def test_an_undo_is_not_applied_as_a_plan(desk: Desk) -> None:
    plan = planned(desk)
    desk.run("apply", plan["id"], "--yes")
    undone = desk.run("undo", plan["run"], "--yes", "--key", plan["actions"][0]["access_key_id"])
    [undo_id] = {line["plan_id"] for line in desk.history()} - {plan["id"]}

    ran = desk.run("apply", undo_id, "--yes")

    assert undone.code == 0, undone
    assert ran.code == 2, ran
    assert f"iamaudit undo {plan['run']}" in ran.stderr


@pytest.mark.parametrize("seen", ["used", "by a scan"])
def test_a_key_that_somebody_restored_and_ended_again_is_restored_only_if_named(
    desk: Desk, seen: str
) -> None:
    plan = planned(desk)
    desk.run("apply", plan["id"], "--yes")
    key = key_of(desk, "idle-01")
    if seen == "used":
        later = (datetime.now(UTC) + timedelta(seconds=1)).replace(tzinfo=None)
        key.last_used = AccessKeyLastUsed(later, "s3", "eu-west-1")
    else:
        key.status = "Active"
        scan(desk, "--quiet")
        key.status = "Inactive"

    held = desk.run("undo", plan["run"], "--yes")

    assert held.code == 4, held
    assert active(desk) == ["idle-02", "idle-03"]
    assert "name" in held.stdout
    named = desk.run("undo", plan["run"], "--yes", "--key", key.access_key_id)
    assert named.code == 0, named
    assert active(desk) == EVERYBODY


PLANNING = [
    ("--only", "key-unused"), ("--limit", "1"), ("--protect", "x"), ("--protect-tag", "x"),
    ("--allow-delete",), ("--allow-rotate",), ("--sink", "secretsmanager"), ("--kms-key-id", "x"),
    ("--max-actions", "1"), ("--max-share", "0.5"),
]  # fmt: skip
APPLYING = [("--window", "Mon-Thu 09:00-16:00"), ("--yes",), ("-y",)]


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        *((each, "--remediate") for each in PLANNING + APPLYING),
        *((("--remediate", "dry-run", *each), "--remediate apply") for each in APPLYING),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_option_that_means_nothing_is_refused_before_anything_is_asked(
    desk: Desk, options: tuple[str, ...], needed: str
) -> None:
    ran = desk.run("scan", *options)

    assert ran.code == 2, ran
    assert needed in ran.stderr
    assert desk.estate.emulator.requests == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--remediate", "dry-run", "--only", "key-unusde"), "key-unused"),
        (("--remediate", "dry-run", "--sink", "s3"), "s3"),
        (("--remediate", "dry-run", "--allow-rotate"), "--sink"),
        (("--remediate", "apply", "--yes", "--window", "nonsense"), "nonsense"),
    ],
)
def test_a_mistake_in_a_planning_option_is_found_before_the_scan(
    desk: Desk, options: tuple[str, ...], named: str
) -> None:
    ran = desk.run("scan", *options)

    assert ran.code == 2, ran
    assert named in ran.stderr
    assert desk.estate.emulator.requests == []


def test_a_variable_for_plans_does_not_disturb_a_scan_without_one(desk: Desk) -> None:
    desk = with_variables(desk, IAMAUDIT_PROTECT="x", IAMAUDIT_LIMIT="3")

    assert scan(desk, "--quiet").code == 1


def test_a_dry_run_says_where_an_apply_would_refuse_its_plan(desk: Desk) -> None:
    ran = scan(desk, "--remediate", "dry-run", *USED_PLAN, "--max-actions", "1")

    assert "`apply` would refuse this plan" in ran.stderr


@pytest.fixture
def signed_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Connection:
    for name, value in desk.estate.world.variables.items():
        monkeypatch.setenv(name, value)
    return Connection()


async def test_a_plan_is_not_applied_by_a_store_that_took_the_place_of_its_own(
    desk: Desk, signed_in: Connection
) -> None:
    plan, _ = plan_file.read(desk.reports / "latest/plan.json")
    (desk.reports / STORE).unlink()
    scan(desk, "--quiet")
    options = ApplyOptions(connection=signed_in, limits=Limits())

    with pytest.raises(AuditError, match=plan.id):
        await apply(plan, desk.reports / STORE, options, clock=FakeClock(at=plan.created_at))

    assert desk.estate.changes() == []


async def test_an_answer_that_comes_after_the_plan_expired_changes_nothing(
    desk: Desk, signed_in: Connection
) -> None:
    plan, _ = plan_file.read(desk.reports / "latest/plan.json")
    clock = FakeClock(at=plan.created_at)
    options = ApplyOptions(connection=signed_in, limits=Limits())

    def answered_late(plan: Plan, standing: Standing) -> None:
        clock.at += timedelta(hours=25)

    with pytest.raises(AuditError, match="24 hours ago"):
        await apply(plan, desk.reports / STORE, options, clock=clock, confirm=answered_late)

    assert desk.estate.changes() == []


@pytest.mark.parametrize("store", [True, False], ids=["with a store", "without one"])
def test_an_interrupted_scan_claims_nothing_that_is_not_there(desk: Desk, store: bool) -> None:
    output = desk.reports if store else desk.folder / "nowhere"
    options = ScanOptions(connection=Connection(), output=output, fail_on=None)

    assert interrupted(options, "20990101T000000Z-00000000") == (
        "Interrupted before anything was read"
    )
    if store:
        run_id = planned(desk)["run"]
        assert f"--resume {run_id}" in interrupted(options, run_id)
