"""Plan, apply and undo over the whole organization, as processes against the emulator."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from moto.iam.models import AccessKeyLastUsed

from auditor.aws.connection import Connection
from auditor.demo.emulator import Emulator
from auditor.demo.organization import DemoOrganization, build
from auditor.errors import AuditError
from auditor.formats.document import json_schema
from auditor.remediation.rails import Limits
from auditor.store import plan_file
from auditor.store.output import STORE
from auditor.wiring.remediation import ApplyOptions, apply
from tests.command import Ran, Run, World, runs_in
from tests.fakes import FakeClock

CHANGES = {"UpdateAccessKey", "DeleteAccessKey", "CreateAccessKey"}
Keys = dict[str, str]


@pytest.fixture(scope="module")
def organization() -> Iterator[World]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield World(emulator, build(emulator, now=datetime.now(UTC)))


@pytest.fixture(scope="module")
def scanned(organization: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scan with a plan of ten actions, to be copied by the tests."""
    folder = tmp_path_factory.mktemp("scanned")
    ran = _iamaudit(folder, organization)(
        "scan", "--accounts", "org", "--quiet", "--remediate", "dry-run", "--limit", "10"
    )
    assert ran.code == 3, ran.stderr
    return ran.folder


@pytest.fixture
def iamaudit(organization: World, scanned: Path, tmp_path: Path) -> Iterator[Run]:
    """Run `iamaudit` beside a copy of the scan; every key is as before afterwards."""
    shutil.copytree(scanned, tmp_path / "reports", symlinks=True)
    before = _backup(organization.emulator, organization.organization)
    organization.emulator.requests.clear()
    organization.emulator.hooks.clear()
    yield _iamaudit(tmp_path, organization)
    _restore(organization.emulator, before)


def _iamaudit(folder: Path, world: World) -> Run:
    return runs_in(folder, **world.variables)


def _accounts(emulator: Emulator, organization: DemoOrganization) -> list[tuple[str, Any]]:
    ids = [organization.management_account_id, *organization.member_account_ids]
    return [(each, emulator.backend("iam", each)) for each in ids]


def _backup(emulator: Emulator, organization: DemoOrganization) -> list[tuple[Any, list[Any]]]:
    return [
        (user, [(key, key.status, key.last_used, key.create_date) for key in user.access_keys])
        for _, iam in _accounts(emulator, organization)
        for user in iam.users.values()
    ]


def _restore(emulator: Emulator, before: list[tuple[Any, list[Any]]]) -> None:
    for user, keys in before:
        user.access_keys = [key for key, *_ in keys]
        for key, status, last_used, created in keys:
            key.status, key.last_used, key.create_date = status, last_used, created


def statuses(world: World) -> Keys:
    """The status of every access key of the organization."""
    return {
        key.access_key_id: key.status
        for _, iam in _accounts(world.emulator, world.organization)
        for user in iam.users.values()
        for key in user.access_keys
    }


def plan_of(ran_folder: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((ran_folder / "latest/plan.json").read_text())
    return plan


def changing(world: World) -> list[str]:
    return [each.operation for each in world.emulator.requests if each.operation in CHANGES]


def key_of(world: World, action: dict[str, Any]) -> tuple[Any, Any]:
    iam = world.emulator.backend("iam", action["account_id"])
    user = iam.users[action["user_name"]]
    return user, next(k for k in user.access_keys if k.access_key_id == action["access_key_id"])


def first(plan: dict[str, Any], rule: str) -> dict[str, Any]:
    return next(action for action in plan["actions"] if rule in action["because"])


def apply_args(*more: str) -> tuple[str, ...]:
    return ("apply", "reports/latest/plan.json", "--yes", *more)


def outcomes(ran: Ran) -> dict[str, str]:
    """The result of each key, as printed."""
    found = {}
    for line in ran.stdout.splitlines():
        parts = line.split()
        if len(parts) > 2 and parts[1] in {"deactivate", "activate", "delete", "rotate"}:
            found[parts[2]] = parts[0]
    return {key: result for key, result in found.items() if result != "deactivate"}


def test_a_dry_run_changes_nothing_and_says_what_it_would(
    iamaudit: Run, organization: World, scanned: Path
) -> None:
    plan = plan_of(scanned)
    report = json.loads((scanned / "latest/report.json").read_text())

    assert len(plan["actions"]) == 10
    assert {action["kind"] for action in plan["actions"]} == {"deactivate"}
    assert report["plan"]["sha256"] == plan["sha256"]
    assert all(action["outcome"] is None for action in report["plan"]["actions"])
    assert "beyond --limit 10" in {held["reason"] for held in plan["held"]}
    assert "held" in (scanned / "latest/report.html").read_text()


def test_applied_and_undone_every_key_is_as_before(iamaudit: Run, organization: World) -> None:
    before = statuses(organization)
    plan = plan_of(_folder(iamaudit))
    planned = {action["access_key_id"] for action in plan["actions"]}

    applied = iamaudit(*apply_args())

    assert applied.code == 0, applied.stdout + applied.stderr
    after = statuses(organization)
    assert {key for key in after if after[key] != before[key]} == planned
    assert {after[key] for key in planned} == {"Inactive"}
    quarantined = first(plan, "key-quarantined")["access_key_id"]
    undone = iamaudit("undo", "latest", "--yes")
    assert undone.code == 4, undone.stdout + undone.stderr  # one key is held
    assert {k for k, v in statuses(organization).items() if before[k] != v} == {quarantined}
    named = iamaudit("undo", "latest", "--yes", "--key", quarantined)
    assert named.code == 0, named.stdout + named.stderr
    assert statuses(organization) == before
    again = iamaudit("undo", "latest", "--yes")
    assert again.code == 2
    assert "nothing" in again.stderr


def _folder(run: Run) -> Path:
    return run("history", "--json").folder


def test_each_session_may_do_no_more_than_the_plan(iamaudit: Run, organization: World) -> None:
    plan = plan_of(_folder(iamaudit))

    shown = iamaudit("apply", "reports/latest/plan.json", "--show-session-policy")
    assert changing(organization) == []
    iamaudit(*apply_args())

    asked = [
        json.loads(each.params["Policy"])
        for each in organization.emulator.requests
        if each.operation == "AssumeRole"
    ]
    assert asked
    for policy in asked:
        first_statement, reads = policy["Statement"]
        assert first_statement["Action"] == ["iam:UpdateAccessKey"]
        account = first_statement["Resource"][0].split(":")[4]
        assert first_statement["Resource"] == sorted(
            {a["user_arn"] for a in plan["actions"] if a["account_id"] == account}
        )
        assert all(name.startswith(("iam:Get", "iam:List")) for name in reads["Action"])
        assert first_statement["Resource"][0] in shown.stdout


def test_a_scan_that_applies_reports_the_outcomes_and_counts_what_is_mended(
    iamaudit: Run, organization: World
) -> None:
    account = first(plan_of(_folder(iamaudit)), "key-unused")["account_id"]
    ran = iamaudit(
        "scan", "--accounts", account, "--quiet", "--remediate", "apply", "--yes",
        "--only", "key-unused", "--only", "key-never-used",
    )  # fmt: skip

    report = ran.report
    jsonschema.Draft202012Validator(json_schema()).validate(report)
    assert report["plan"]["actions"]
    assert {a["outcome"]["result"] for a in report["plan"]["actions"]} == {"applied"}
    assert "applied" in (ran.folder / "latest/report.html").read_text()
    taken = {action["access_key_id"] for action in report["plan"]["actions"]}
    left = [
        finding["rule_id"]
        for finding in report["findings"]
        if finding["status"] == "open" and finding["access_key_id"] not in taken
    ]
    assert ran.code == (1 if left else 0)


@pytest.mark.parametrize(
    ("rule", "change", "told"),
    [
        ("key-unused", "use", "it was used at"),
        ("key-never-used", "use", "it was used at"),
        ("key-unused", "deactivate", "it is Inactive now"),
        ("key-unused", "delete", "the key is gone"),
        ("key-unused", "recreate", "it is another key of the same id"),
        ("key-unused", "delete user", "the user is gone"),
    ],
)
def test_a_key_that_changed_since_the_plan_is_left_alone(
    iamaudit: Run, organization: World, rule: str, change: str, told: str
) -> None:
    action = first(plan_of(_folder(iamaudit)), rule)
    user, key = key_of(organization, action)
    iam = organization.emulator.backend("iam", action["account_id"])
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    if change == "use":
        key.last_used = AccessKeyLastUsed(now, "s3", "eu-west-1")
    elif change == "deactivate":
        key.status = "Inactive"
    elif change == "delete":
        user.access_keys.remove(key)
    elif change == "recreate":
        key.create_date = now
    else:
        del iam.users[action["user_name"]]
    before = statuses(organization)

    ran = iamaudit(*apply_args())

    after = statuses(organization)
    if change == "delete user":
        iam.users[action["user_name"]] = user
    assert ran.code == 4
    assert f"{action['access_key_id']} of {action['user_name']}" in ran.stdout
    assert "drifted" in ran.stdout
    assert told in ran.stdout
    assert "9 applied, 1 drifted" in ran.stdout
    assert before.get(action["access_key_id"]) == after.get(action["access_key_id"])


def _edited(text: str) -> str:
    plan = json.loads(text)
    plan["actions"][0]["access_key_id"] = "AKIAIOSFODNN7EXAMPLE"
    return json.dumps(plan)


def _edited_and_signed(text: str) -> str:
    plan = json.loads(_edited(text))
    del plan["sha256"]
    canonical = orjson.dumps(plan, option=orjson.OPT_SORT_KEYS)
    return json.dumps({**plan, "sha256": hashlib.sha256(canonical).hexdigest()})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_edited, "its digest does not fit"),
        (_edited_and_signed, "was not made in"),
        (lambda text: text[:-30], "is no plan"),
        (lambda text: "[]", "is no plan"),
    ],
)
def test_a_tampered_plan_is_refused_before_any_call(
    iamaudit: Run, organization: World, change: Callable[[str], str], told: str
) -> None:
    path = _folder(iamaudit) / "latest/plan.json"
    path.write_text(change(path.read_text()))

    ran = iamaudit(*apply_args())

    assert ran.code == 2
    assert told in ran.stderr
    assert organization.emulator.requests == []


def test_a_plan_of_another_store_is_foreign(iamaudit: Run, organization: World) -> None:
    folder = _folder(iamaudit)
    other = sqlite3.connect(folder / "other.db")
    with sqlite3.connect(folder / STORE) as mine:
        mine.backup(other)
    other.execute("DELETE FROM plan")
    other.commit()
    other.close()
    mine.close()

    ran = iamaudit(*apply_args("--store", "reports/other.db"))

    assert ran.code == 2
    assert "was not made in reports/other.db" in ran.stderr
    assert organization.emulator.requests == []


async def test_an_expired_plan_is_refused_before_any_call(
    iamaudit: Run, organization: World
) -> None:
    folder = _folder(iamaudit)
    made, _ = plan_file.read(folder / "latest/plan.json")
    clock = FakeClock(at=made.created_at + timedelta(hours=24))

    with pytest.raises(AuditError, match="24 hours ago"):
        await apply(
            made,
            folder / STORE,
            ApplyOptions(connection=Connection(endpoint_url="http://127.0.0.1:9"), limits=Limits()),
            clock=clock,
        )


def test_a_plan_judged_at_another_time_can_be_shown_and_not_applied(
    iamaudit: Run, organization: World
) -> None:
    ran = iamaudit(
        "scan", "--accounts", "self", "--quiet", "--now", "2027-06-01", "--remediate", "dry-run"
    )
    assert "only to be looked at" in ran.stdout
    organization.emulator.requests.clear()

    applied = iamaudit(*apply_args())

    assert applied.code == 2
    assert "it can be looked at, not applied" in " ".join(applied.stderr.split())
    assert organization.emulator.requests == []
    refused = iamaudit("scan", "--quiet", "--now", "2027-06-01", "--remediate", "apply", "--yes")
    assert refused.code == 2
    assert changing(organization) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--max-actions", "9"), "more than the 9 of --max-actions"),
        (("--max-share", "0.01"), "more than --max-share 0.01"),
        (("--window", "Sat-Sun 00:00-00:01"), "outside the window"),
        (("--window", "tomorrow"), "is no window"),
        (("--sink", "s3"), "is no sink"),
    ],
)
def test_rails_refuse_before_any_call(
    iamaudit: Run, organization: World, arguments: tuple[str, ...], told: str
) -> None:
    ran = iamaudit(*apply_args(*arguments))

    assert ran.code == 2
    assert told in ran.stderr
    assert organization.emulator.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "reports/latest/plan.json"),
        ("undo", "latest"),
        ("scan", "--accounts", "org", "--quiet", "--remediate", "apply"),
        ("keys", "delete", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_without_a_terminal_and_without_yes_nothing_is_asked_and_nothing_done(
    iamaudit: Run, organization: World, arguments: tuple[str, ...]
) -> None:
    ran = iamaudit(*arguments)

    assert ran.code == 2
    assert "no terminal to ask on" in ran.stderr
    assert organization.emulator.requests == []


STRAY = {
    f"IAMAUDIT_{name}": value
    for name, value in {
        "REMEDIATE": "apply",
        "YES": "1",
        "ALLOW_DELETE": "1",
        "ALLOW_ROTATE": "1",
        "MAX_ACTIONS": "9999",
        "MAX_SHARE": "1",
        "SHOW_SECRET": "1",
        "RESUME": "1",
        "SINK": "file:secrets",
    }.items()
}


def test_no_variable_and_no_file_turns_looking_into_changing(
    iamaudit: Run, organization: World
) -> None:
    folder = _folder(iamaudit).parent
    for name in (".iamaudit.toml", "pyproject.toml"):
        (folder / name).write_text('remediate = "apply"\nyes = true\nallow_delete = true\n')
    before = statuses(organization)

    plain = iamaudit("scan", "--quiet", variables=STRAY).report
    dry = iamaudit(
        "scan", "--accounts", "org", "--quiet", "--remediate", "dry-run", variables=STRAY
    )
    asked = iamaudit("apply", "reports/latest/plan.json", variables=STRAY)
    deleted = iamaudit("keys", "delete", "AKIAIOSFODNN7EXAMPLE", variables=STRAY)

    assert statuses(organization) == before
    assert changing(organization) == []
    assert {action["kind"] for action in plan_of(dry.folder)["actions"]} <= {"deactivate"}
    assert plain["plan"] is None
    assert (asked.code, deleted.code) == (2, 2)


def test_a_plan_is_not_applied_twice(iamaudit: Run, organization: World) -> None:
    assert iamaudit(*apply_args()).code == 0
    number = len(changing(organization))

    again = iamaudit(*apply_args())
    resumed = iamaudit(*apply_args("--resume"))

    assert again.code == 2
    assert "was applied already" in again.stderr
    assert resumed.code == 0
    assert len(changing(organization)) == number


def test_protected_users_are_held_by_the_plan(iamaudit: Run, organization: World) -> None:
    ran = iamaudit("plan", "--protect", "svc-*", "--protect-tag", "Owner")

    plan = plan_of(ran.folder)
    assert ran.code == 0
    assert not [a for a in plan["actions"] if a["user_name"].startswith("svc-")]
    assert "protected by svc-*" in {held["reason"] for held in plan["held"]}
    assert plan["protection"] == {"patterns": ["svc-*"], "tag": "Owner"}


def test_a_user_protected_since_the_plan_is_refused(iamaudit: Run, organization: World) -> None:
    assert iamaudit("plan", "--limit", "3", "--protect-tag", "keep").code == 0
    action = plan_of(_folder(iamaudit))["actions"][0]
    user, key = key_of(organization, action)
    iam = organization.emulator.backend("iam", action["account_id"])
    iam.tag_user(action["user_name"], [{"Key": "keep", "Value": "yes"}])

    ran = iamaudit(*apply_args())

    iam.untag_user(action["user_name"], ["keep"])
    assert ran.code == 4
    assert "protected by the tag keep" in ran.stdout
    assert key.status == "Active"
    assert user.name == action["user_name"]


def test_history_tells_every_step(iamaudit: Run, organization: World) -> None:
    iamaudit(*apply_args())

    lines = json.loads(iamaudit("history", "latest", "--json").stdout)
    told = iamaudit("history", "latest").stdout

    assert [line["sequence"] for line in lines] == list(range(1, 21))
    assert sorted(line["step"] for line in lines) == ["intent"] * 10 + ["outcome"] * 10
    ends = [line["detail"] for line in lines if line["step"] == "outcome"]
    assert {end["result"] for end in ends} == {"applied"}
    assert all(end["request_id"] for end in ends)
    assert len(told.splitlines()) == 20
    assert "applied" in iamaudit("history").stdout


def test_a_deletion_needs_leave_and_long_inactivity(iamaudit: Run, organization: World) -> None:
    folder = _folder(iamaudit)
    held = iamaudit("plan", "--allow-delete", "--only", "inactive-key-lingering")
    assert plan_of(folder)["actions"] == []
    assert "inactive for 0 of 30 days" in held.stdout
    with sqlite3.connect(folder / STORE) as store:
        store.execute("UPDATE inactive_key SET since = '2026-01-01T00:00:00Z'")
    store.close()
    planned = iamaudit("plan", "--allow-delete", "--only", "inactive-key-lingering", "--limit", "2")
    actions = plan_of(folder)["actions"]
    assert [a["kind"] for a in actions] == ["delete", "delete"], planned.stdout

    refused = iamaudit(*apply_args())
    applied = iamaudit(*apply_args("--allow-delete"))

    assert refused.code == 2
    assert "that needs --allow-delete" in refused.stderr
    assert applied.code == 0, applied.stdout + applied.stderr
    left = statuses(organization)
    assert not [a for a in actions if a["access_key_id"] in left]
    undone = iamaudit("undo", "latest", "--yes")
    assert "a deletion can't be undone" in undone.stdout


def test_a_rotation_keeps_the_old_key_until_the_new_one_is_used(
    iamaudit: Run, organization: World
) -> None:
    rotating = ("--allow-rotate", "--sink", "file:secrets")
    iamaudit("plan", "--only", "key-too-old", "--limit", "1", *rotating)
    folder = _folder(iamaudit)
    [action] = plan_of(folder)["actions"]
    assert action["kind"] == "rotate"

    applied = iamaudit(*apply_args(*rotating))

    assert applied.code == 0, applied.stdout + applied.stderr
    user, old = key_of(organization, action)
    new = next(key for key in user.access_keys if key is not old)
    assert (old.status, new.status) == ("Active", "Active")
    [secret] = (folder.parent / "secrets").glob("*/*/*.json")
    assert json.loads(secret.read_text())["secret_access_key"] == new.secret_access_key

    def scan_again() -> dict[str, Any]:
        account = action["account_id"]
        ran = iamaudit(
            "scan", "--accounts", account, "--quiet", "--remediate", "dry-run", "--only",
            "key-too-old", *rotating,
        )  # fmt: skip
        return plan_of(ran.folder)

    def why(plan: dict[str, Any]) -> list[str]:
        return [h["reason"] for h in plan["held"] if h["access_key_id"] == old.access_key_id]

    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    assert any("has not been used yet" in reason for reason in why(scan_again()))
    new.last_used = AccessKeyLastUsed(now, "s3", "eu-west-1")
    old.last_used = AccessKeyLastUsed(now - timedelta(days=1), "s3", "eu-west-1")
    assert any("used in the last 7 days" in reason for reason in why(scan_again()))
    old.last_used = AccessKeyLastUsed(now - timedelta(days=8), "s3", "eu-west-1")
    retiring = scan_again()["actions"]
    assert [(a["kind"], a["access_key_id"]) for a in retiring] == [
        ("deactivate", old.access_key_id)
    ] or any(
        a["kind"] == "deactivate" and a["access_key_id"] == old.access_key_id for a in retiring
    )
