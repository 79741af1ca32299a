"""Killed at any step, resumed: nothing done twice, nothing lost, no key that nobody can use."""

import os
import pty
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from auditor.demo.emulator import Drop, Request
from auditor.demo.wire import Call, HttpAnswer
from tests.crash.estate import (
    Desk,
    Estate,
    an_estate,
    apply_of,
    kept_in_files,
    kept_in_vaults,
    name_of,
    scan_and_plan,
)
from tests.faults.cloud import CHANGES

Point = tuple[str, str]
SINGLE_CALL: tuple[Point, ...] = (
    ("before", "intent"),
    ("during", "intent"),
    ("after", "intent"),
    ("before", "call"),
    ("during", "call"),
    ("after", "call"),
    ("before", "outcome"),
    ("during", "outcome"),
    ("after", "outcome"),
)
ROTATION: tuple[Point, ...] = (
    ("before", "intent"),
    ("after", "intent"),
    ("before", "call"),
    ("during", "call"),
    ("after", "call"),
    ("during", "created"),
    ("after", "created"),
    ("during", "put"),
    ("before", "stored"),
    ("after", "stored"),
    ("before", "outcome"),
    ("after", "outcome"),
)
VAULT: tuple[Point, ...] = (
    ("before", "put"),
    ("during", "put"),
    ("before", "stored"),
)
UNDO: tuple[Point, ...] = (
    ("after", "intent"),
    ("during", "call"),
    ("before", "outcome"),
    ("after", "outcome"),
)
PUTS = frozenset({"CreateSecret", "PutSecretValue"})


@dataclass(frozen=True)
class Chain:
    """An apply (or undo) that is killed at the first user's point, its resume at the second's, …

    One user more than there are points is never reached by any that is killed.
    """

    kind: str
    points: tuple[Point, ...]
    more: tuple[str, ...] = ()
    undo: bool = False

    @property
    def users(self) -> list[str]:
        return [name_of(self.kind, each) for each in range(1, len(self.points) + 2)]

    @property
    def cases(self) -> list[tuple[str, Point | None]]:
        return list(zip(self.users, (*self.points, None), strict=True))


CHAINS = {
    "deactivate": Chain("deactivate", SINGLE_CALL),
    "delete": Chain("delete", SINGLE_CALL),
    "rotate": Chain("rotate", ROTATION),
    "vault": Chain("rotate", VAULT, more=("--sink", "secretsmanager")),
    "undo": Chain("deactivate", UNDO, undo=True),
}


@dataclass(frozen=True)
class End:
    """How a chain ended: per user, by the server, the journal and the sink."""

    codes: tuple[int, ...]
    """Of the last two runs, which nothing killed."""
    keys: dict[str, dict[str, str]]
    secrets: dict[str, str]
    """By key, the secret that the server made."""
    calls: dict[str, list[Request]]
    lines: dict[str, list[dict[str, Any]]]
    kept: dict[str, str]
    """By key, the secret that the sink has whole."""

    def results(self, user: str) -> list[str]:
        return [each["result"] for each in self.outcomes(user)]

    def outcomes(self, user: str) -> list[dict[str, Any]]:
        return [line["detail"] for line in self.lines[user] if line["step"] == "outcome"]

    def operations(self, user: str) -> list[str]:
        return [each.operation for each in self.calls[user]]


@dataclass
class Executioner:
    """Kills a process while the server answers it: the change is made, the answer never read."""

    account: str
    user: str
    operations: frozenset[str]
    pid: int = 0
    struck: bool = False

    def __call__(self, call: Call, answer: HttpAnswer) -> Drop | None:
        request = call.request
        subject = [request.params.get(name) for name in ("UserName", "Name", "SecretId")]
        named = {self.user, f"iamaudit/{self.account}/{self.user}"}
        if request.operation not in self.operations or request.account_id != self.account:
            return None
        if self.struck or answer.status != 200 or not named & set(subject):
            return None
        self.struck = True
        os.kill(self.pid, signal.SIGKILL)
        return Drop()


def _kill(desk: Desk, account: str, user: str, point: Point, command: tuple[str, ...]) -> None:
    """Run a command that is killed at the point, and see to it that it was."""
    by_server = point == ("during", "call") or (point == ("during", "put") and _in_vault(command))
    if by_server:
        operations = PUTS if point[1] == "put" else CHANGES
        executioner = Executioner(account, user, operations)
        desk.estate.emulator.spoils.append(executioner)
        process = desk.start(*command)
        executioner.pid = process.pid
        ran = desk.end(process)
        desk.estate.emulator.spoils.remove(executioner)
    else:
        ran = desk.run(*command, killed=(*point, user))
    assert ran.code == -signal.SIGKILL, (user, point, ran)


def _in_vault(command: tuple[str, ...]) -> bool:
    return "secretsmanager" in command


def _run_chain(chain: Chain, desk: Desk, account: str) -> End:
    scan_and_plan(desk, account, plans={chain.kind: (chain.kind, ())})
    command = apply_of(chain.kind, *chain.more)
    if chain.undo:
        assert desk.run(*command).code == 0
        command = ("undo", "latest", "--yes")
    resume = () if chain.undo else ("--resume",)
    before = len(desk.estate.changes(account))
    for number, (user, point) in enumerate(zip(chain.users, chain.points, strict=False)):
        _kill(desk, account, user, point, (*command, *(resume if number else ())))
    codes = tuple(desk.run(*command, *resume).code for _ in range(2))
    made = desk.estate.changes(account)[before:]
    history = desk.history()
    kept = kept_in_files(desk.folder / "secrets") | kept_in_vaults(desk.estate)
    keys = {user: desk.estate.keys(account, user) for user in chain.users}
    return End(
        codes=codes,
        keys=keys,
        secrets={
            key: desk.estate.secret(account, key) for statuses in keys.values() for key in statuses
        },
        calls={
            user: [each for each in made if each.params["UserName"] == user] for user in chain.users
        },
        lines={
            user: [
                line
                for line in history
                if line["user_name"] == user
                and (line["kind"] == "activate" if chain.undo else line["kind"] == chain.kind)
            ]
            for user in chain.users
        },
        kept=kept,
    )


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, End]:
    """How each chain ended; they run beside each other, each in an account of its own."""
    sizes = {index: len(chain.users) for index, chain in enumerate(CHAINS.values())}
    with an_estate(sizes) as estate, ThreadPoolExecutor(len(CHAINS)) as pool:
        running = {
            name: pool.submit(
                _run_chain, chain, Desk(tmp_path_factory.mktemp(name), estate), account
            )
            for (name, chain), account in zip(CHAINS.items(), estate.accounts, strict=True)
        }
        return {name: each.result() for name, each in running.items()}


def _cases(*names: str) -> list[Any]:
    return [
        pytest.param(name, user, point, id=f"{name}-{'-'.join(point) if point else 'untouched'}")
        for name in names
        for user, point in CHAINS[name].cases
    ]


DONE = {"deactivate": ["Inactive"], "delete": [], "undo": ["Active"]}


@pytest.mark.parametrize(("name", "user", "point"), _cases("deactivate", "delete", "undo"))
def test_a_change_cut_off_anywhere_is_made_once_and_told_once(
    ends: dict[str, End], name: str, user: str, point: Point | None
) -> None:
    end = ends[name]

    seen = {("during", "call"), ("after", "call"), ("before", "outcome"), ("during", "outcome")}
    # An undo settles the one before it, of which it skips what was not done, and starts anew.
    [outcome] = [each for each in end.outcomes(user) if each["result"] != "skipped"]
    assert list(end.keys[user].values()) == DONE[name]
    assert len(end.calls[user]) == 1
    assert outcome["result"] == "applied"
    assert outcome["reason"] == ("found done after the interruption" if point in seen else "")
    assert end.lines[user][-1]["step"] == "outcome"


def test_a_resume_that_did_all_exits_with_0_and_so_does_the_next(ends: dict[str, End]) -> None:
    assert {name: ends[name].codes for name in ("deactivate", "delete", "vault")} == {
        "deactivate": (0, 0),
        "delete": (0, 0),
        "vault": (0, 0),
    }


def test_an_undo_that_did_all_exits_with_0_and_the_next_has_nothing_to_do(
    ends: dict[str, End],
) -> None:
    assert ends["undo"].codes == (0, 2)


LOST = {("after", "intent"), ("before", "call")}
"""The call was not even sent; that, the journal can't tell."""
UNANSWERED = {("during", "call"), ("after", "call"), ("during", "created")}
UNSTORED = {("after", "created"), ("before", "put")}
HALF_STORED = ("during", "put")


def _is_taken_back(name: str, point: Point | None) -> bool:
    return point in UNSTORED or (name == "rotate" and point == HALF_STORED)


@pytest.mark.parametrize(
    ("name", "user", "point"),
    [
        case
        for case in _cases("rotate", "vault")
        if case.values[2] not in LOST | UNANSWERED and not _is_taken_back(*case.values[::2])
    ],
)
def test_a_rotation_cut_off_before_it_began_or_with_its_secret_safe_is_made_once(
    ends: dict[str, End], name: str, user: str, point: Point | None
) -> None:
    end = ends[name]

    [outcome] = end.outcomes(user)
    assert outcome["result"] == "applied"
    assert end.operations(user) == ["CreateAccessKey"]
    assert len(end.keys[user]) == 2
    assert end.kept[outcome["new_key_id"]] == end.secrets[outcome["new_key_id"]]


@pytest.mark.parametrize(
    ("name", "user", "point"),
    [case for case in _cases("rotate", "vault") if _is_taken_back(*case.values[::2])],
)
def test_a_new_key_whose_secret_was_not_stored_is_deleted_and_the_next_resume_makes_another(
    ends: dict[str, End], name: str, user: str, point: Point | None
) -> None:
    end = ends[name]

    refused, applied = end.outcomes(user)
    created = [line["detail"] for line in end.lines[user] if line["step"] == "created"]
    assert (refused["result"], applied["result"]) == ("refused", "applied")
    assert end.operations(user) == ["CreateAccessKey", "DeleteAccessKey", "CreateAccessKey"]
    assert end.calls[user][1].params["AccessKeyId"] == created[0]["new_key_id"]
    assert refused["new_key_id"] == created[0]["new_key_id"]
    assert refused["new_key_id"] not in end.keys[user]
    assert refused["new_key_id"] in refused["reason"]
    assert end.kept[applied["new_key_id"]] == end.secrets[applied["new_key_id"]]


@pytest.mark.parametrize(
    ("name", "user", "point"),
    [case for case in _cases("rotate") if case.values[2] in LOST | UNANSWERED],
)
def test_a_rotation_cut_off_before_aws_answered_is_unclear_and_names_what_it_may_have_made(
    ends: dict[str, End], name: str, user: str, point: Point
) -> None:
    end = ends[name]

    [outcome] = end.outcomes(user)
    old = {line["access_key_id"] for line in end.lines[user]}
    made = set(end.keys[user]) - old
    assert outcome["result"] == "unclear"
    assert len(made) == len(end.calls[user]) == (0 if point in LOST else 1)
    assert all(key in outcome["reason"] for key in made)
    assert made or "none shows yet" in outcome["reason"]
    assert "delete it by hand" in outcome["reason"]


def test_every_key_that_was_made_is_usable_or_named_as_unclear(ends: dict[str, End]) -> None:
    strays = set()
    for name in ("rotate", "vault"):
        end = ends[name]
        for user in CHAINS[name].users:
            old = {line["access_key_id"] for line in end.lines[user]}
            for key in set(end.keys[user]) - old:
                if end.kept.get(key) != end.secrets[key]:
                    strays.add(user)
                    assert key in end.outcomes(user)[-1]["reason"]
    unanswered = {user for user, point in CHAINS["rotate"].cases if point in UNANSWERED}
    assert strays == unanswered


def test_where_a_rotation_is_unclear_every_resume_exits_with_4(ends: dict[str, End]) -> None:
    assert ends["rotate"].codes == (4, 4)


def test_the_old_key_of_a_rotation_is_as_it_was(ends: dict[str, End]) -> None:
    for name in ("rotate", "vault"):
        for user in CHAINS[name].users:
            [old] = {line["access_key_id"] for line in ends[name].lines[user]}
            assert ends[name].keys[user][old] == "Active"


def test_a_scan_that_was_killed_while_it_applied_is_resumed_by_its_plan(
    desk: Desk, estate: Estate
) -> None:
    [account] = estate.accounts
    scan = ("scan", "--accounts", account, "--quiet", "--remediate", "apply", "--yes")
    killed = desk.run(*scan, killed=("after", "call", "idle-03"))
    assert killed.code == -signal.SIGKILL
    assert len(estate.changes()) == 3

    refused = desk.run("apply", "reports/latest/plan.json", "--yes")
    resumed = desk.run("apply", "reports/latest/plan.json", "--yes", "--resume")

    assert refused.code == 2
    assert "was applied already, or begun" in refused.stderr
    assert resumed.code == 0
    assert [each.params["UserName"] for each in estate.changes()] == [
        name_of("deactivate", each) for each in range(1, 6)
    ]
    outcomes = [line for line in desk.history() if line["step"] == "outcome"]
    assert [line["detail"]["result"] for line in outcomes] == ["applied"] * 5
    assert {status for key in _users(desk, "idle") for status in key.values()} == {"Inactive"}


def _users(desk: Desk, prefix: str) -> list[dict[str, str]]:
    [account] = desk.estate.accounts
    iam = desk.estate.iam(account)
    return [desk.estate.keys(account, user) for user in iam.users if user.startswith(prefix)]


def test_an_apply_killed_while_ten_accounts_change_leaves_nothing_done_twice_or_undone(
    widely_scanned: Path, wide_estate: Estate, tmp_path: Path
) -> None:
    shutil.copytree(widely_scanned, tmp_path / "reports", symlinks=True)
    desk = Desk(tmp_path, wide_estate)
    pids: list[int] = []

    def strike(call: Call, answer: HttpAnswer) -> Drop | None:
        if len(wide_estate.changes()) < 12:
            return None
        os.kill(pids[0], signal.SIGKILL)
        return Drop()

    wide_estate.emulator.spoils.append(strike)
    process = desk.start(*apply_of("deactivate"))
    pids.append(process.pid)
    killed = desk.end(process)
    wide_estate.emulator.spoils.clear()

    resumed = desk.run(*apply_of("deactivate", "--resume"))

    planned = [each["access_key_id"] for each in desk.plan("deactivate")["actions"]]
    ended = [line["access_key_id"] for line in desk.history() if line["step"] == "outcome"]
    statuses = wide_estate.all_keys()
    assert killed.code == -signal.SIGKILL
    assert resumed.code == 0, resumed
    assert {statuses[key] for key in planned} == {"Inactive"}
    assert sorted(each.params["AccessKeyId"] for each in wide_estate.changes()) == sorted(planned)
    assert sorted(ended) == sorted(planned)


@dataclass
class Hang:
    """Lets the first such call of a user hang, until it is released to be made or to break."""

    operation: str
    user: str
    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    lost: bool = False

    def __call__(self, request: Request) -> Drop | None:
        if (request.operation, request.params.get("UserName")) != (self.operation, self.user):
            return None
        if self.entered.is_set():
            return None
        self.entered.set()
        assert self.released.wait(60)
        return Drop() if self.lost else None

    def release(self, *, lost: bool) -> None:
        self.lost = lost
        self.released.set()


def hang(estate: Estate, operation: str, user: str) -> Hang:
    made = Hang(operation, user)
    estate.emulator.hooks.append(made)
    return made


@pytest.mark.parametrize(
    ("operation", "more", "begun"),
    [("ListAccessKeys", (), 0), ("UpdateAccessKey", ("--resume",), 1)],
    ids=["before its first line", "with a change under way"],
)
def test_of_two_applies_at_once_one_refuses_and_takes_over_when_the_other_is_dead(
    desk: Desk, estate: Estate, operation: str, more: tuple[str, ...], begun: int
) -> None:
    hanging = hang(estate, operation, "idle-01")
    first = desk.start(*apply_of("deactivate"))
    assert hanging.entered.wait(30)

    second = desk.run(*apply_of("deactivate", *more))

    assert second.code == 2
    assert "is being applied by another process" in second.stderr
    assert len(estate.changes()) == len(desk.history()) == begun
    first.kill()
    desk.end(first)
    hanging.release(lost=True)
    third = desk.run(*apply_of("deactivate", *more))
    assert third.code == 0, third
    assert len(estate.changes()) == 5 + begun  # the one that got lost was sent again
    assert {status for key in _users(desk, "idle") for status in key.values()} == {"Inactive"}


@pytest.mark.parametrize(
    "looking",
    [("history", "latest"), apply_of("deactivate")],
    ids=["history", "a refused apply"],
)
def test_a_look_at_the_store_during_an_apply_costs_it_no_line(
    desk: Desk, estate: Estate, looking: tuple[str, ...]
) -> None:
    hanging = hang(estate, "UpdateAccessKey", "idle-02")
    further = hang(estate, "UpdateAccessKey", "idle-04")
    process = desk.start(*apply_of("deactivate"))
    assert hanging.entered.wait(30)

    desk.run(*looking)
    hanging.release(lost=False)
    assert further.entered.wait(30)
    process.kill()
    killed = desk.end(process)
    further.release(lost=True)

    assert killed.code == -signal.SIGKILL
    assert [(line["user_name"], line["step"]) for line in desk.history()] == [
        (name_of("deactivate", each), step)
        for each in range(1, 5)
        for step in ("intent", "outcome")
    ][:-1]


def test_an_apply_that_waited_for_its_confirmation_keeps_others_out(
    desk: Desk, estate: Estate
) -> None:
    hanging = hang(estate, "ListAccessKeys", "idle-01")
    command = [each for each in apply_of("deactivate") if each != "--yes"]
    keyboard, terminal = pty.openpty()
    first = desk.start(*command, terminal=terminal)
    asked = ""
    while "Type 'yes' to confirm: " not in asked:
        asked += first.stdout.read(1) or pytest.fail(f"it did not ask: {asked}")

    desk.run("history", "latest")
    os.write(keyboard, b"yes\n")
    assert hanging.entered.wait(30)
    second = desk.run(*apply_of("deactivate"))
    hanging.release(lost=False)
    applied = desk.end(first)
    os.close(keyboard)
    os.close(terminal)

    assert second.code == 2
    assert "is being applied by another process" in second.stderr
    assert applied.code == 0


def test_of_applies_started_together_each_key_is_changed_by_one(desk: Desk, estate: Estate) -> None:
    started = [desk.start(*apply_of("deactivate")) for _ in range(3)]

    codes = [desk.end(each).code for each in started]

    assert 0 in codes
    assert set(codes) <= {0, 2}
    assert sorted(each.params["UserName"] for each in estate.changes()) == [
        name_of("deactivate", each) for each in range(1, 6)
    ]


@pytest.mark.parametrize(
    ("number", "lost"),
    [
        (signal.SIGINT, False),
        (signal.SIGINT, True),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
    ],
    ids=[
        "Ctrl-C, and it is done",
        "Ctrl-C, and it is not done",
        "SIGTERM, and it is done",
        "SIGHUP, and it is done",
    ],
)
def test_an_interrupted_apply_exits_with_130_and_its_resume_completes_it(
    desk: Desk, estate: Estate, number: signal.Signals, lost: bool
) -> None:
    hanging = hang(estate, "UpdateAccessKey", "idle-02")
    process = desk.start(*apply_of("deactivate"))
    assert hanging.entered.wait(30)

    process.send_signal(number)
    interrupted = desk.end(process)
    cut_off = desk.history()
    hanging.release(lost=lost)
    resumed = desk.run(*apply_of("deactivate", "--resume"))

    assert interrupted.code == 130
    assert "Traceback" not in interrupted.stderr
    assert [(line["user_name"], line["step"]) for line in cut_off] == [
        ("idle-01", "intent"),
        ("idle-01", "outcome"),
        ("idle-02", "intent"),
    ]
    assert resumed.code == 0, resumed
    twice = ["idle-02"] if lost else []
    assert sorted(each.params["UserName"] for each in estate.changes()) == sorted(
        [name_of("deactivate", each) for each in range(1, 6)] + twice
    )
    outcomes = [line for line in desk.history() if line["step"] == "outcome"]
    assert [line["detail"]["result"] for line in outcomes] == ["applied"] * 5
    assert {status for key in _users(desk, "idle") for status in key.values()} == {"Inactive"}


def test_an_interrupted_rotation_first_brings_its_secret_to_the_sink(
    desk: Desk, estate: Estate
) -> None:
    hanging = hang(estate, "CreateAccessKey", "old-02")
    process = desk.start(*apply_of("rotate"))
    assert hanging.entered.wait(30)

    for _ in range(2):  # the second Ctrl-C of the impatient is no different
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
    hanging.release(lost=False)
    interrupted = desk.end(process)
    [account] = estate.accounts
    cut_off = desk.history()

    assert interrupted.code == 130
    assert [line["step"] for line in cut_off if line["user_name"] == "old-02"] == [
        "intent", "created", "stored", "outcome"
    ]  # fmt: skip
    assert {line["user_name"] for line in cut_off} == {"old-01", "old-02"}
    assert cut_off[-1]["detail"]["result"] == "applied"
    resumed = desk.run(*apply_of("rotate", "--resume"))
    assert resumed.code == 0, resumed
    kept = kept_in_files(desk.folder / "secrets")
    assert len(kept) == 5
    assert kept == {key: estate.secret(account, key) for key in kept}
    assert [each.params["UserName"] for each in estate.changes()] == [
        name_of("rotate", each) for each in range(1, 6)
    ]


def test_an_undo_of_an_apply_that_was_cut_off_restores_all_that_it_deactivated(
    desk: Desk, estate: Estate
) -> None:
    killed = desk.run(*apply_of("deactivate"), killed=("after", "call", "idle-02"))
    assert killed.code == -signal.SIGKILL

    undone = desk.run("undo", "latest", "--yes")

    statuses = {user: list(estate.keys(estate.accounts[0], user).values()) for user in _idle()}
    assert undone.code == 0
    assert statuses == {user: ["Active"] for user in _idle()}


def test_an_undo_of_one_key_does_not_go_on_with_an_undo_of_all_that_was_cut_off(
    desk: Desk, estate: Estate
) -> None:
    assert desk.run(*apply_of("deactivate")).code == 0
    killed = desk.run("undo", "latest", "--yes", killed=("after", "intent", "idle-02"))
    assert killed.code == -signal.SIGKILL
    [named] = estate.keys(estate.accounts[0], "idle-04")

    desk.run("undo", "latest", "--yes", "--key", named)

    active = {
        user for user in _idle() if "Active" in estate.keys(estate.accounts[0], user).values()
    }
    assert active - {"idle-02"} == {"idle-01", "idle-04"}  # what was begun may be settled


def test_what_an_interrupted_apply_had_begun_is_not_told_like_what_it_never_began(
    desk: Desk, estate: Estate
) -> None:
    hanging = hang(estate, "UpdateAccessKey", "idle-02")
    process = desk.start(*apply_of("deactivate"))
    assert hanging.entered.wait(30)

    process.send_signal(signal.SIGINT)
    interrupted = desk.end(process)
    hanging.release(lost=False)

    [told] = [line for line in interrupted.stdout.splitlines() if "of idle-02" in line]
    [untouched] = [line for line in interrupted.stdout.splitlines() if "of idle-03" in line]
    assert untouched.startswith("skipped")
    assert told.startswith("unclear")


def _idle() -> list[str]:
    return [name_of("deactivate", each) for each in range(1, 6)]
