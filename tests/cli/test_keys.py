"""`iamaudit keys …`: the five key operations, rotation and the tour, as processes."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.demo.emulator import Drop, Emulator, Request, Response
from auditor.demo.organization import build
from tests.command import IAMAUDIT, Ran, Run, World, clean_environment

MEMBER_USER = "svc-settlement-export"


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield World(emulator, build(emulator, now=datetime.now(UTC)))


@pytest.fixture
def world(served: World) -> Iterator[World]:
    """The caller has its one key before and after."""
    served.emulator.requests.clear()
    user = _caller(served)
    before = list(user.access_keys)
    yield served
    served.emulator.hooks.clear()
    user.access_keys[:] = before


@pytest.fixture
def keys(run: Run, world: World) -> Run:
    def iamaudit_keys(*arguments: str) -> Ran:
        return run("keys", *arguments, variables=world.variables)

    return iamaudit_keys


def _caller(world: World) -> Any:
    iam = world.emulator.backend("iam", world.organization.management_account_id)
    return iam.users["iamaudit"]


def ids(world: World) -> list[str]:
    return [key.access_key_id for key in _caller(world).access_keys]


def secrets(world: World) -> list[str]:
    return [key.secret_access_key for key in _caller(world).access_keys]


def member(world: World) -> tuple[str, Any]:
    """The member account of a user that has one active key, and the user."""
    for account_id in world.organization.member_account_ids:
        users = world.emulator.backend("iam", account_id).users
        if MEMBER_USER in users:
            return account_id, users[MEMBER_USER]
    raise LookupError(MEMBER_USER)


def test_the_keys_of_the_current_user_are_listed(keys: Run, world: World) -> None:
    listed = json.loads(keys("list", "--json").stdout)

    assert [key["access_key_id"] for key in listed] == [world.organization.access_key_id]
    assert (listed[0]["status"], listed[0]["last_used"]["state"]) == ("Active", "used")
    assert world.organization.access_key_id in keys("list").stdout


def test_a_last_use_is_told_with_service_and_region(keys: Run, world: World) -> None:
    key = world.organization.access_key_id

    assert " for sts in us-east-1" in keys("last-used", key).stdout
    use = json.loads(keys("last-used", key, "--json").stdout)["last_used"]
    assert (use["state"], use["service"], use["region"]) == ("used", "sts", "us-east-1")


def test_a_key_never_used_is_never(keys: Run, world: World, tmp_path: Path) -> None:
    made = json.loads(keys("create", "--sink", "file:secrets", "--json").stdout)

    use = json.loads(keys("last-used", made["access_key_id"], "--json").stdout)["last_used"]
    assert use == {"state": "never"}


def test_a_last_use_that_can_not_be_read_is_unknown(keys: Run, world: World) -> None:
    def hook(request: Request) -> Response | None:
        if request.operation != "GetAccessKeyLastUsed":
            return None
        return Response(status=403, code="AccessDenied", message="no")

    world.emulator.hooks.append(hook)

    told = keys("last-used", world.organization.access_key_id)
    assert told.stdout.strip().endswith("unknown (iam:GetAccessKeyLastUsed denied)")


def test_a_created_keys_secret_goes_to_the_sink_alone(
    keys: Run, world: World, tmp_path: Path
) -> None:
    ran = keys("create", "--sink", "file:secrets", "--json")

    told = json.loads(ran.stdout)
    [_, secret] = secrets(world)
    assert told["access_key_id"] == ids(world)[1]
    assert json.loads(Path(told["secret_in"]).read_text())["secret_access_key"] == secret
    assert Path(told["secret_in"]).stat().st_mode & 0o777 == 0o600
    assert secret not in ran.stdout + ran.stderr
    assert "wrong way to sign in" in ran.stderr


def test_a_secret_is_shown_once_where_that_is_asked_for(keys: Run, world: World) -> None:
    ran = keys("create", "--show-secret")

    [_, secret] = secrets(world)
    assert ran.stdout.count(secret) == 1
    assert secret not in ran.stderr


def test_a_key_without_a_place_for_its_secret_is_not_created(keys: Run, world: World) -> None:
    ran = keys("create")

    assert ran.code == 2
    assert "--sink" in ran.stderr
    assert world.emulator.requests == []


def test_a_third_key_is_refused_with_what_to_do(keys: Run, world: World) -> None:
    keys("create", "--sink", "file:secrets")

    ran = keys("create", "--sink", "file:secrets")

    assert ran.code == 2
    assert "has two access keys already" in ran.stderr
    assert all(key in ran.stderr for key in ids(world))
    assert len(ids(world)) == 2


def test_where_a_secret_can_not_be_stored_no_key_is_made(
    keys: Run, world: World, tmp_path: Path
) -> None:
    (tmp_path / "secrets").write_text("a file where the folder should be")

    ran = keys("create", "--sink", "file:secrets")

    assert ran.code == 2
    assert "secrets" in ran.stderr
    assert "created" not in ran.stderr
    assert ids(world) == [world.organization.access_key_id]


def test_a_key_goes_through_its_life(keys: Run, world: World) -> None:
    key = json.loads(keys("create", "--sink", "file:secrets", "--json").stdout)["access_key_id"]

    def status() -> list[str]:
        return [each.status for each in _caller(world).access_keys if each.access_key_id == key]

    early = keys("delete", key, "--yes")
    assert (early.code, status()) == (2, ["Active"])
    assert "deactivate it first" in early.stderr
    assert (keys("deactivate", key).code, status()) == (0, ["Inactive"])
    again = json.loads(keys("deactivate", key, "--json").stdout)
    assert (again["result"], again["reason"]) == ("applied", "it is Inactive already")
    assert (keys("activate", key).code, status()) == (0, ["Active"])
    assert keys("deactivate", key).stdout == f"deactivate {key}: applied\n"
    assert (keys("delete", key, "--yes").code, status()) == (0, [])
    gone = keys("delete", key, "--yes")
    assert gone.code == 2
    assert f"has no access key {key}" in gone.stderr


def test_the_key_that_calls_is_neither_deactivated_nor_deleted(keys: Run, world: World) -> None:
    for command in ("deactivate", "delete"):
        more = ("--yes",) if command == "delete" else ()
        ran = keys(command, world.organization.access_key_id, *more)

        assert ran.code == 2
        assert "it may be what calls" in ran.stderr
    assert _caller(world).access_keys[0].status == "Active"


def test_another_users_key_in_another_account_is_changed_under_a_session_policy(
    keys: Run, world: World
) -> None:
    account, user = member(world)
    [key] = user.access_keys

    ran = keys("deactivate", key.access_key_id, "--user", MEMBER_USER, "--account", account)

    assert ran.code == 0, ran.stderr
    assert key.status == "Inactive"
    key.status = "Active"
    [assumed] = [r for r in world.emulator.requests if r.operation == "AssumeRole"]
    assert str(assumed.params["RoleArn"]).endswith(":role/iamaudit-write")
    granted = json.loads(assumed.params["Policy"])["Statement"][0]
    assert granted["Action"] == ["iam:UpdateAccessKey"]
    assert granted["Resource"] == [
        f"arn:aws:iam::{account}:user/*/{MEMBER_USER}",
        f"arn:aws:iam::{account}:user/{MEMBER_USER}",
    ]


def test_looking_at_keys_asks_for_nothing_but_to_read(keys: Run, world: World) -> None:
    account, _ = member(world)

    keys("list", "--user", MEMBER_USER, "--account", account)

    [assumed] = [r for r in world.emulator.requests if r.operation == "AssumeRole"]
    actions = [
        action
        for statement in json.loads(assumed.params["Policy"])["Statement"]
        for action in statement["Action"]
    ]
    assert all(action.startswith(("iam:Get", "iam:List")) for action in actions)


def test_a_rotation_needs_a_sink_and_a_free_slot(keys: Run, world: World) -> None:
    assert keys("rotate").code == 2
    first = keys("rotate", "--sink", "secretsmanager", "--json")

    told = json.loads(first.stdout)
    assert (told["result"], told["new_access_key_id"]) == ("applied", ids(world)[1])
    assert ":secret:iamaudit/" in told["secret_in"]
    assert not [secret for secret in secrets(world) if secret in first.stdout + first.stderr]
    second = keys("rotate", "--sink", "secretsmanager")
    assert second.code == 4
    assert "both key slots are taken" in second.stdout


def test_the_tour_goes_through_all_and_leaves_nothing_behind(keys: Run, world: World) -> None:
    ran = keys("tour")

    assert ran.code == 0, ran.stderr
    words = [line.split()[0] for line in ran.stdout.splitlines()]
    assert words == ["created", "its", "listed", "listed", "last", "deactivated", "deleted"]
    assert ids(world) == [world.organization.access_key_id]


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("ListAccessKeys", Response(status=403, code="AccessDenied", message="no")),
        ("UpdateAccessKey", Response(status=403, code="AccessDenied", message="no")),
        ("UpdateAccessKey", Drop()),
    ],
)
def test_a_tour_that_fails_half_way_leaves_nothing_behind(
    keys: Run, world: World, operation: str, answer: Response | Drop
) -> None:
    made: list[str] = []

    def hook(request: Request) -> Response | Drop | None:
        made.extend(["made"] if request.operation == "CreateAccessKey" else [])
        if request.operation == "DeleteAccessKey":
            world.emulator.hooks.clear()
        return answer if made and request.operation == operation else None

    world.emulator.hooks.append(hook)

    ran = keys("tour")

    assert ran.code != 0
    assert made
    assert ids(world) == [world.organization.access_key_id]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("list", "--user", "nobody"), 2, "AWS knows no such user"),
        (("list", "--account", "12"), 2, "12-digit"),
        (("list", "--account", "111111111111"), 2, "name a user with --user"),
        (("list", "--user", "x", "--account", "111111111111"), 4, "AccessDenied"),
        (("deactivate", "AKIAIOSFODNN7EXAMPLE"), 2, "has no access key"),
        (("create", "--sink", "s3"), 2, "is no sink"),
    ],
)
def test_a_mistake_is_one_line(
    keys: Run, world: World, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ran = keys(*arguments)

    assert (ran.code, ran.stdout) == (code, "")
    assert told in ran.stderr
    told_before = [line for line in ran.stderr.splitlines() if not line.startswith("iamaudit: ")]
    assert all(line.startswith("As arn:") for line in told_before)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("tour",), 1),
        (("rotate", "--sink", "file:secrets"), 2),
        (("create", "--sink", "file:secrets"), 2),
    ],
)
def test_interrupted_while_a_key_is_made_nothing_is_left_that_nobody_can_use(
    world: World, tmp_path: Path, arguments: tuple[str, ...], left: int
) -> None:
    asked = threading.Event()

    def hook(request: Request) -> None:
        if request.operation == "CreateAccessKey":
            asked.set()
            time.sleep(1)

    world.emulator.hooks.append(hook)
    process = subprocess.Popen(
        [IAMAUDIT, "keys", *arguments],
        env=clean_environment() | {"HOME": str(tmp_path)} | dict(world.variables),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(30)

    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert "created AKIA" in stdout + stderr
    assert len(ids(world)) == left
    kept = [json.loads(each.read_text()) for each in tmp_path.glob("secrets/*/*/*.json")]
    assert [each["secret_access_key"] for each in kept] == secrets(world)[1:]
