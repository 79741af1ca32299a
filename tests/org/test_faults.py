"""What goes wrong on AWS's side costs what it must and nothing else."""

import random
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.demo.emulator import Drop, Emulator, Request, Response
from auditor.demo.organization import build
from tests.command import IAMAUDIT, Ran, Run, World, clean_environment, runs_in

DENIED = Response(status=403, code="AccessDenied", message="not authorized")
THROTTLED = Response(status=400, code="Throttling", message="Rate exceeded")


class Buckets:
    """At most `rate` IAM calls a second for each account."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens: dict[str, float] = defaultdict(lambda: rate)
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response | None:
        if request.service != "iam":
            return None
        with self._lock:
            now = time.monotonic()
            account = request.account_id
            passed = now - self._seen.get(account, now)
            self._seen[account] = now
            self._tokens[account] = min(self._rate, self._tokens[account] + passed * self._rate)
            if self._tokens[account] < 1:
                return THROTTLED
            self._tokens[account] -= 1
            return None


def worst_account(world: World) -> str:
    """A member with many users, so that much is left when it fails half-way."""
    sizes = {
        member: len(world.emulator.backend("iam", member).users)
        for member in world.organization.member_account_ids
    }
    return max(sizes, key=lambda member: sizes[member])


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {account["id"]: account["outcome"] for account in report["accounts"]}


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield World(emulator, build(emulator, now=datetime.now(UTC)))


@pytest.fixture(scope="module")
def whole(served: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a scan in which nothing goes wrong."""
    run = runs_in(tmp_path_factory.mktemp("whole"), **served.variables)
    return run("scan", "--accounts", "org", "--quiet", "--format", "json").report


@pytest.fixture
def world(served: World, whole: dict[str, Any]) -> Iterator[World]:
    """The organization of the whole scan; what a test lets go wrong ends with it."""
    served.emulator.requests.clear()
    yield served
    served.emulator.hooks.clear()


def test_accounts_that_throttle_at_20_calls_a_second_are_read_whole(
    scan: Run, world: World
) -> None:
    world.emulator.hooks.append(Buckets(rate=20))

    report = scan().report

    assert report["run"]["throttled"] > 0
    assert report["coverage"]["unknown_last_use"] == 0
    assert report["coverage"]["accounts"]["partial"] == 0
    assert report["coverage"]["accounts"]["unreachable"] == 1  # the one without the role


@pytest.mark.parametrize("answer", [DENIED, Drop()], ids=["denies", "dies"])
def test_an_account_that_fails_half_way_costs_only_itself(
    scan: Run, world: World, whole: dict[str, Any], answer: Response | Drop
) -> None:
    victim, calls = worst_account(world), 0

    def fail(request: Request) -> Response | Drop | None:
        nonlocal calls
        if request.account_id != victim or request.service != "iam":
            return None
        calls += 1
        return answer if calls > 20 else None

    before = outcomes(whole)
    world.emulator.hooks.append(fail)

    ran = scan()

    after = outcomes(ran.report)
    assert ran.code == 3
    assert after.pop(victim) == "partial"
    assert before.pop(victim) == "audited"
    assert after == before
    assert "Traceback" not in ran.stderr


def test_a_tenth_of_last_use_denied_is_unknown_and_never_a_pass(
    scan: Run, world: World, whole: dict[str, Any]
) -> None:
    chosen: dict[str, bool] = {}
    dice = random.Random(11)  # noqa: S311

    def deny_some(request: Request) -> Response | None:
        if request.operation != "GetAccessKeyLastUsed":
            return None
        key = str(request.params["AccessKeyId"])
        return DENIED if chosen.setdefault(key, dice.random() < 0.1) else None

    world.emulator.hooks.append(deny_some)

    ran = scan()

    report, denied = ran.report, {key for key, hit in chosen.items() if hit}
    unknown = {
        key["access_key_id"] for key in report["keys"] if key["last_used"]["state"] == "unknown"
    }
    assert ran.code == 3
    assert len(denied) > 10
    assert unknown == denied
    assert report["coverage"]["unknown_last_use"] == len(denied)
    _check_verdicts(whole, report, denied)
    gaps = report["coverage"]["gaps"]
    assert [gap["operation"] for gap in gaps] == ["iam:GetAccessKeyLastUsed"]
    assert gaps[0]["statement"]["Action"] == ["iam:GetAccessKeyLastUsed"]
    assert f"{gaps[0]['keys']} keys in" in gaps[0]["message"]
    assert ran.stdout.count("iam:GetAccessKeyLastUsed denied") == 1


def _check_verdicts(whole: dict[str, Any], report: dict[str, Any], denied: set[str]) -> None:
    """Indeterminate where last use decides, right everywhere else."""
    about_use = {"key-unused", "key-never-used", "inactive-key-lingering"}

    def verdicts(of: dict[str, Any]) -> dict[tuple[str, str | None, str], str]:
        return {
            (each["user_name"], each["access_key_id"], each["rule_id"]): each["status"]
            for each in of["findings"]
        }

    before, after = verdicts(whole), verdicts(report)
    for finding, status in before.items():
        lost = finding[1] in denied and finding[2] in about_use
        assert after.pop(finding) == ("indeterminate" if lost else status)
    assert set(after.values()) <= {"indeterminate"}
    assert {key for _, key, _ in after} <= denied
    assert {rule for _, _, rule in after} <= about_use


def test_denied_enrichment_is_said_once_with_the_statement_that_mends_it(
    scan: Run, world: World
) -> None:
    def deny(request: Request) -> Response | None:
        return DENIED if request.operation == "GetAccountAuthorizationDetails" else None

    world.emulator.hooks.append(deny)

    ran = scan()

    report = ran.report
    audited = report["coverage"]["accounts"]["audited"]
    [gap] = report["coverage"]["gaps"]
    active = sum(
        key["status"] == "Active" and key["user_class"] != "root" for key in report["keys"]
    )
    assert audited == 14
    assert ran.code == 3
    assert gap["rules"] == ["admin-access-key"]
    assert gap["keys"] == active
    assert gap["message"] == (
        f"admin-access-key could not be judged for {active} keys in {gap['accounts']} accounts:"
        " iam:GetAccountAuthorizationDetails denied"
    )
    assert gap["statement"] == {
        "Effect": "Allow",
        "Action": ["iam:GetAccountAuthorizationDetails"],
        "Resource": "*",
    }
    quarantined = [each for each in report["findings"] if each["rule_id"] == "key-quarantined"]
    assert [each["status"] for each in quarantined] == ["open"]  # told by ListEntitiesForPolicy
    html = (ran.folder / "latest/report.html").read_text()
    assert html.count("could not be judged for") == 1


def test_where_nothing_tells_of_root_keys_each_account_has_one_indeterminate_finding(
    scan: Run, world: World
) -> None:
    def deny(request: Request) -> Response | None:
        silent = {"GenerateCredentialReport", "GetCredentialReport", "GetAccountSummary"}
        return DENIED if request.operation in silent else None

    world.emulator.hooks.append(deny)

    report = scan().report

    about_root = [each for each in report["findings"] if each["user_name"] == "<root_account>"]
    assert len(about_root) == report["coverage"]["accounts"]["audited"] == 14
    assert {(each["rule_id"], each["status"]) for each in about_root} == {
        ("root-access-key", "indeterminate")
    }
    control = next(
        each
        for each in report["compliance"]
        if each["framework"] == "cis-aws-5.0.0" and each["control"] == "1.3"
    )
    assert (control["indeterminate"], control["passed"], control["not_assessed"]) == (14, 0, 1)


def test_a_key_deleted_between_listing_and_last_use_is_gone(scan: Run, world: World) -> None:
    deleted: list[str] = []
    before: list[tuple[Any, Any, list[Any]]] = []

    def delete_once(request: Request) -> None:
        if request.operation == "GetAccessKeyLastUsed" and not deleted:
            key = str(request.params["AccessKeyId"])
            deleted.append(key)
            backend = world.emulator.backend("iam", request.account_id)
            for user in backend.users.values():
                if any(each.access_key_id == key for each in user.access_keys):
                    before.append((backend, user, list(user.access_keys)))
                    backend.delete_access_key(key, user.name)
                    return

    world.emulator.hooks.append(delete_once)

    report = scan().report

    for backend, user, keys in before:  # for the tests after this one
        user.access_keys[:] = keys
        backend.access_keys |= {each.access_key_id: each for each in keys}
    assert deleted
    assert deleted[0] not in {key["access_key_id"] for key in report["keys"]}
    assert report["coverage"]["unknown_last_use"] == 0
    assert report["coverage"]["accounts"]["partial"] == 0


def test_ctrl_c_stops_cleanly_and_keeps_what_was_read(world: World, tmp_path: Path) -> None:
    enough = threading.Event()

    def watch(request: Request) -> None:
        calls = sum(each.operation == "ListAccessKeys" for each in world.emulator.requests)
        if calls > 100:
            enough.set()

    world.emulator.hooks.append(watch)
    process = subprocess.Popen(
        [IAMAUDIT, "scan", "--accounts", "org", "--quiet"],
        env=clean_environment() | {"HOME": str(tmp_path)} | dict(world.variables),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert enough.wait(60)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)

    report = Ran(process.returncode, "", stderr, tmp_path / "reports").report
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert report["run"]["finished_at"] is None
    assert report["coverage"]["complete"] is False
    assert 0 < report["coverage"]["users"] < 263
    errors = [error["code"] for account in report["accounts"] for error in account["errors"]]
    assert "Interrupted" in errors
