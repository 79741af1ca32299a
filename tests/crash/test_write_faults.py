"""What AWS answers to a change, or fails to, against what its keys say: never a false outcome."""

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from moto.secretsmanager.models import secretsmanager_backends

from auditor.demo.emulator import Drop, Request, Response
from auditor.demo.wire import Call, HttpAnswer
from tests.command import Ran
from tests.crash.estate import (
    MANY_ACCOUNTS,
    PLANS,
    Desk,
    Estate,
    an_estate,
    apply_of,
    kept_in_vaults,
    name_of,
)

THROTTLED = Response(status=400, code="Throttling", message="Rate exceeded")
THROTTLED_JSON = Response(status=400, code="ThrottlingException", message="Rate exceeded")
BROKEN = Response(status=500, code="InternalFailure", message="we are sorry")
DENIED = Response(status=403, code="AccessDenied", message="not authorized")
FULL = Response(status=409, code="LimitExceeded", message="Cannot exceed quota: 2")
RESET = Drop()

Spoiled: TypeAlias = Callable[[HttpAnswer], HttpAnswer]


class CutShort(bytes):
    """A body that is announced longer than it is."""

    def __len__(self) -> int:
        return super().__len__() + 100


def truncated(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def cut_off(answer: HttpAnswer) -> HttpAnswer:
    body = CutShort(answer.body[: len(answer.body) // 2])
    return replace(answer, headers=(*answer.headers, ("Connection", "close")), body=body)


def of_a_proxy(answer: HttpAnswer) -> HttpAnswer:
    html = (("Content-Type", "text/html"),)
    return HttpAnswer(status=200, headers=html, body=b"<html><body>Please sign in.<br></html>")


@dataclass(frozen=True)
class Done:
    """The change is made, and then the answer is this."""

    answer: Response | Drop | Spoiled


@dataclass(frozen=True)
class Gone:
    """Somebody deletes the key just before the call arrives."""


Step: TypeAlias = Response | Drop | Done | Gone | None
"""What becomes of one call; None is nothing out of the ordinary."""


@dataclass(frozen=True)
class Fault:
    """What becomes of the calls about one key, and what must come of that."""

    steps: tuple[Step, ...]
    """Of the first, the second, …; the last of all further ones."""
    result: str
    changed: bool
    calls: int
    told: str = ""
    reads: Response | None = None
    """What is answered to ListAccessKeys once the change was asked for."""


CALL_FAULTS: dict[str, Fault] = {
    # The slow ones first: each has an account for itself.
    "throttled always": Fault((THROTTLED,), "refused", False, 5, "throttled"),
    "done, and not to be read": Fault((None,), "unclear", True, 1, "not show", reads=DENIED),
    "500 always": Fault((BROKEN,), "unclear", False, 5, "InternalFailure"),
    "reset always": Fault((RESET,), "unclear", False, 5, "ConnectionClosedError"),
    "throttled twice": Fault((THROTTLED, THROTTLED, None), "applied", True, 3),
    "500 once": Fault((BROKEN, None), "applied", True, 2),
    "reset once": Fault((RESET, None), "applied", True, 2),
    "reset, then throttled": Fault((RESET, THROTTLED, None), "applied", True, 3),
    "done, then reset": Fault((Done(RESET),), "applied", True, 1, "seen, though"),
    "done, then 500": Fault((Done(BROKEN),), "applied", True, 1, "seen, though"),
    "done, then truncated": Fault((Done(truncated),), "applied", True, 1, "seen, though"),
    "done, then cut off": Fault((Done(cut_off),), "applied", True, 1, "seen, though"),
    "done, then a page of a proxy": Fault((Done(of_a_proxy),), "applied", True, 1),
    "denied": Fault((DENIED,), "refused", False, 1, "AccessDenied"),
    "reset, then denied": Fault((RESET, DENIED), "unclear", False, 2, "ConnectionClosedError"),
    "done and reset, then all denied": Fault(
        (Done(RESET), DENIED), "unclear", True, 2, "ConnectionClosedError", reads=DENIED
    ),
    "gone meanwhile": Fault((Gone(),), "drifted", False, 1, "gone"),
}
"""Of UpdateAccessKey."""

DELETE_FAULTS = CALL_FAULTS | {
    "gone meanwhile": replace(CALL_FAULTS["gone meanwhile"], changed=True)
}
"""Of DeleteAccessKey."""

CREATE_FAULTS: Mapping[str, Fault] = {
    "throttled always": Fault((THROTTLED,), "refused", False, 5, "throttled"),
    "throttled twice": Fault((THROTTLED, THROTTLED, None), "applied", True, 3),
    "500": Fault((BROKEN,), "unclear", False, 1, "none shows yet"),
    "reset": Fault((RESET,), "unclear", False, 1, "none shows yet"),
    "done, then reset": Fault((Done(RESET),), "unclear", True, 1, "it may be {new}"),
    "done, then 500": Fault((Done(BROKEN),), "unclear", True, 1, "it may be {new}"),
    "done, then truncated": Fault((Done(truncated),), "unclear", True, 1, "it may be {new}"),
    "done, then cut off": Fault((Done(cut_off),), "unclear", True, 1, "it may be {new}"),
    "done, then a page of a proxy": Fault(
        (Done(of_a_proxy),), "unclear", True, 1, "it may be {new}"
    ),
    "done and reset, and not to be read": Fault(
        (Done(RESET),), "unclear", True, 1, "could not be listed", reads=DENIED
    ),
    "denied": Fault((DENIED,), "refused", False, 1, "AccessDenied"),
    "both slots taken meanwhile": Fault((FULL,), "refused", False, 1, "LimitExceeded"),
}
"""Of CreateAccessKey."""


@dataclass(frozen=True)
class SinkFault:
    """What becomes of the calls that keep a new secret, and of the deletion where they fail."""

    steps: Mapping[str, tuple[Step, ...]]
    """By operation."""
    result: str
    keys: int
    """How many the user has afterwards."""
    told: str = ""
    had: bool = False
    """Whether there is a secret of this user from before."""


def swapped(answer: HttpAnswer) -> HttpAnswer:
    content = json.loads(answer.body)
    return replace(answer, body=json.dumps({**content, "SecretString": "another"}).encode())


CREATE, PUT, GET, DELETE = "CreateSecret", "PutSecretValue", "GetSecretValue", "DeleteAccessKey"
SINK_FAULTS: Mapping[str, SinkFault] = {
    "throttled twice": SinkFault({CREATE: (THROTTLED_JSON, THROTTLED_JSON, None)}, "applied", 2),
    "500 once": SinkFault({CREATE: (BROKEN, None)}, "applied", 2),
    "reset once": SinkFault({CREATE: (RESET, None)}, "applied", 2),
    "kept, then reset": SinkFault({CREATE: (Done(RESET), None)}, "applied", 2),
    "kept, then 500": SinkFault({CREATE: (Done(BROKEN), None)}, "applied", 2),
    "next version, then reset": SinkFault({PUT: (Done(RESET), None)}, "applied", 2, had=True),
    "next version denied": SinkFault({PUT: (DENIED,)}, "refused", 1, "PutSecretValue", had=True),
    "denied": SinkFault({CREATE: (DENIED,)}, "refused", 1, "CreateSecret"),
    "not to be read back": SinkFault({GET: (DENIED,)}, "refused", 1, "GetSecretValue"),
    "read back as another": SinkFault({GET: (Done(swapped),)}, "refused", 1, "NotAsStored"),
    "kept, then truncated": SinkFault({CREATE: (Done(truncated),)}, "applied", 2),
    "read back truncated": SinkFault({GET: (Done(truncated),)}, "refused", 1, "MalformedAnswer"),
    "denied, and the deletion done but reset": SinkFault(
        {CREATE: (DENIED,), DELETE: (Done(RESET),)}, "refused", 1, "was deleted"
    ),
    "denied, and the deletion throttled": SinkFault(
        {CREATE: (DENIED,), DELETE: (THROTTLED, None)}, "refused", 1, "was deleted"
    ),
    "denied, and the deletion denied": SinkFault(
        {CREATE: (DENIED,), DELETE: (DENIED,)}, "unclear", 2, "could not be deleted"
    ),
}

ROLE_FAULTS: Mapping[str, Fault] = {
    "denied": Fault((DENIED,), "refused", False, 0, "no session in the account"),
    "throttled twice": Fault((THROTTLED, THROTTLED, None), "applied", True, 1),
    "500 twice": Fault((BROKEN, BROKEN, None), "applied", True, 1),
    "reset twice": Fault((RESET, RESET, None), "applied", True, 1),
    "done, then reset": Fault((Done(RESET), None), "applied", True, 1),
    "done, then truncated": Fault((Done(truncated),), "refused", False, 0, "MalformedAnswer"),
}
"""Of AssumeRole; the account's one key is then deactivated, or not."""


@dataclass
class Weather:
    """Lets the faults happen: a hook before the change and a spoil after it."""

    estate: Estate
    subject: Callable[[Request], tuple[str, str] | None]
    """Account and user that a call is about; None where it is not to fail."""
    steps: Mapping[tuple[str, str, str], tuple[Step, ...]]
    """By account, user and operation."""
    reads: Mapping[tuple[str, str], Response] = field(default_factory=dict)
    seen: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def before(self, request: Request) -> Response | Drop | None:
        subject = self.subject(request)
        if subject is None:
            return None
        if request.operation == "ListAccessKeys" and any(key[:2] == subject for key in self.seen):
            return self.reads.get(subject)
        call = (*subject, request.operation)
        if call not in self.steps:
            return None
        self.seen[call] = self.seen.get(call, 0) + 1
        match self._step(call):
            case Response() | Drop() as answer:
                return answer
            case Gone():
                iam = self.estate.iam(subject[0])
                iam.delete_access_key(str(request.params["AccessKeyId"]), subject[1])
        return None

    def after(self, call: Call, answer: HttpAnswer) -> HttpAnswer | Response | Drop | None:
        subject = self.subject(call.request)
        step = self._step((*subject, call.request.operation)) if subject else None
        match step:
            case Done(answer=Response() | Drop() as instead):
                return instead
            case Done(answer=spoil):
                return spoil(answer)  # type: ignore[operator]
            case _:
                return None

    def _step(self, call: tuple[str, str, str]) -> Step:
        steps = self.steps.get(call, (None,))
        return steps[min(self.seen.get(call, 1), len(steps)) - 1]


@dataclass(frozen=True)
class End:
    """How one apply with faults ended."""

    ran: Ran
    lines: list[dict[str, Any]]
    planned: list[dict[str, Any]]
    accounts: tuple[str, ...]
    keys: dict[str, dict[str, dict[str, str]]]
    """By account and user, the status of each key, as the server has it."""
    calls: list[Request]
    kept: dict[str, str]
    """By key, the secret that Secrets Manager has whole."""

    def action(self, index: int, user: str) -> dict[str, Any]:
        """The planned action about the user."""
        [action] = [
            each
            for each in self.planned
            if (each["account_id"], each["user_name"]) == (self.accounts[index], user)
        ]
        return action

    def outcome(self, action: Mapping[str, Any]) -> dict[str, Any]:
        """The one outcome of an action."""
        [line] = [
            line
            for line in self.lines
            if (line["action_id"], line["step"]) == (action["id"], "outcome")
        ]
        detail: dict[str, Any] = line["detail"]
        return detail

    def keys_of(self, action: Mapping[str, Any]) -> dict[str, str]:
        return self.keys[action["account_id"]][action["user_name"]]

    def calls_about(self, action: Mapping[str, Any]) -> list[Request]:
        """The changing calls about the user of an action."""
        subject = (action["account_id"], action["user_name"])
        return [
            each for each in self.calls if (each.account_id, each.params["UserName"]) == subject
        ]

    def changed(self, action: Mapping[str, Any]) -> bool:
        """Whether what an action was for is so, by the server."""
        keys, old = self.keys_of(action), action["access_key_id"]
        match action["kind"]:
            case "deactivate":
                return keys.get(old) == "Inactive"
            case "delete":
                return old not in keys
            case _:
                return len(keys) > 1


def by_user(request: Request) -> tuple[str, str] | None:
    """What a call is about: a user's key, or the user's secret."""
    name = request.params.get("UserName") or request.params.get("Name")
    name = name or request.params.get("SecretId")
    return (request.account_id, str(name).rpartition("/")[2]) if name else None


def by_role(request: Request) -> tuple[str, str] | None:
    """What an AssumeRole is about: an account, where a key is to be changed in it by `role`."""
    if "user/idle-03" not in str(request.params.get("Policy")):
        return None
    return str(request.params["RoleArn"]).split(":")[4], ""


@dataclass(frozen=True)
class Apply:
    """One apply, and what goes wrong in it."""

    plan: str
    faults: Mapping[str, Any]
    users: tuple[int, ...]
    """The numbers of the users whose calls fail."""
    more: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return PLANS[self.plan][0]

    def place(self, name: str) -> tuple[int, str]:
        """The account's index and the user of a fault; the slow ones get an account each."""
        number, slow = list(self.faults).index(name), 4
        if number < slow:
            return number, name_of(self.kind, self.users[0])
        row, column = divmod(number - slow, len(MANY_ACCOUNTS) - slow)
        return slow + column, name_of(self.kind, self.users[row])


APPLIES = {
    "deactivate": Apply("deactivate", CALL_FAULTS, (1, 2, 4)),
    "delete": Apply("delete", DELETE_FAULTS, (1, 2, 4)),
    "rotate": Apply("rotate", CREATE_FAULTS, (1, 2)),
    "sink": Apply("vault", SINK_FAULTS, (3, 4), more=("--sink", "secretsmanager")),
    "role": Apply("role", ROLE_FAULTS, (3,)),
}
OPERATIONS = {
    "deactivate": "UpdateAccessKey",
    "delete": "DeleteAccessKey",
    "rotate": "CreateAccessKey",
    "role": "AssumeRole",
}


def _weather(estate: Estate, name: str) -> Weather:
    steps: dict[tuple[str, str, str], tuple[Step, ...]] = {}
    reads: dict[tuple[str, str], Response] = {}
    for fault_name, fault in APPLIES[name].faults.items():
        index, user = APPLIES[name].place(fault_name)
        account = estate.accounts[index]
        match fault:
            case SinkFault(steps=by_operation):
                steps |= {(account, user, each): by_operation[each] for each in by_operation}
                if fault.had:
                    _keep_another(account, user)
            case Fault():
                subject = (account, "" if name == "role" else user)
                steps[*subject, OPERATIONS[name]] = fault.steps
                if fault.reads is not None:
                    reads[subject] = fault.reads
    return Weather(estate, by_role if name == "role" else by_user, steps, reads)


def _keep_another(account: str, user: str) -> None:
    secretsmanager_backends[account]["us-east-1"].create_secret(
        name=f"iamaudit/{account}/{user}",
        secret_string='{"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x"}',
        secret_binary=None,
        description=None,
        tags=[{"Key": "iamaudit", "Value": "access-key"}],
        kms_key_id=None,
        client_request_token="t" * 32,
        replica_regions=[],
        force_overwrite=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ends(widely_scanned: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, End]:
    """How the applies ended; they run at the same time, on users of their own."""

    def run(name: str, estate: Estate) -> tuple[Ran, list[dict[str, Any]], list[dict[str, Any]]]:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(widely_scanned, folder / "reports", symlinks=True)
        desk, apply = Desk(folder, estate), APPLIES[name]
        ran = desk.run(*apply_of(apply.plan, *apply.more))
        return ran, desk.history(), desk.plan(apply.plan)["actions"]

    with an_estate(MANY_ACCOUNTS) as estate, ThreadPoolExecutor(len(APPLIES)) as pool:
        for name in APPLIES:
            weather = _weather(estate, name)
            estate.emulator.hooks.append(weather.before)
            estate.emulator.spoils.append(weather.after)
        running = {name: pool.submit(run, name, estate) for name in APPLIES}
        finished = {name: each.result() for name, each in running.items()}
        return {
            name: End(
                ran=ran,
                lines=lines,
                planned=planned,
                accounts=estate.accounts,
                keys={
                    account: {
                        user: estate.keys(account, user) for user in estate.iam(account).users
                    }
                    for account in estate.accounts
                },
                calls=estate.changes(),
                kept=kept_in_vaults(estate),
            )
            for name, (ran, lines, planned) in finished.items()
        }


def _faults(*names: str) -> list[Any]:
    return [
        pytest.param(name, fault, id=f"{name}: {fault}")
        for name in names
        for fault in APPLIES[name].faults
    ]


@pytest.mark.parametrize(("name", "fault"), _faults("deactivate", "delete", "rotate", "role"))
def test_what_came_of_a_change_is_told_as_the_server_has_it(
    ends: dict[str, End], name: str, fault: str
) -> None:
    end, expected = ends[name], APPLIES[name].faults[fault]
    action = end.action(*APPLIES[name].place(fault))

    outcome = end.outcome(action)

    old = action["access_key_id"]
    new = [key for key in end.keys_of(action) if key != old]
    assert (outcome["result"], end.changed(action)) == (expected.result, expected.changed)
    assert len(end.calls_about(action)) == expected.calls
    assert expected.told.format(new=new[0] if new else "") in outcome["reason"]


@pytest.mark.parametrize(("name", "fault"), _faults("sink"))
def test_a_new_key_is_kept_whole_or_deleted_or_named(
    ends: dict[str, End], name: str, fault: str
) -> None:
    end, expected = ends[name], APPLIES[name].faults[fault]
    action = end.action(*APPLIES[name].place(fault))

    outcome = end.outcome(action)

    keys = end.keys_of(action)
    assert (outcome["result"], len(keys)) == (expected.result, expected.keys)
    assert expected.told in outcome["reason"]
    assert keys[action["access_key_id"]] == "Active"
    creates = [each for each in end.calls_about(action) if each.operation == "CreateAccessKey"]
    assert len(creates) == 1
    new = outcome["new_key_id"]
    assert (new in end.kept and new in keys) == (expected.result == "applied")
    assert (new in keys) == (expected.result != "refused")
    assert new in outcome["reason"]


@pytest.mark.parametrize("name", APPLIES)
def test_applied_is_only_what_changed_and_refused_only_what_did_not(
    ends: dict[str, End], name: str
) -> None:
    end = ends[name]
    results = [(end.outcome(action)["result"], end.changed(action)) for action in end.planned]

    assert {changed for result, changed in results if result == "applied"} == {True}
    assert {changed for result, changed in results if result == "refused"} == {False}
    assert len(results) > len(APPLIES[name].faults)


@pytest.mark.parametrize("name", APPLIES)
def test_a_fault_costs_no_other_user_anything(ends: dict[str, End], name: str) -> None:
    end, apply = ends[name], APPLIES[name]
    faulty = {(end.accounts[index], user) for index, user in map(apply.place, apply.faults)}

    others = [
        end.outcome(action)
        for action in end.planned
        if (action["account_id"], action["user_name"]) not in faulty
    ]

    assert [other for other in others if other["result"] != "applied"] == []
    assert len(others) == len(end.planned) - len(faulty) > 0


@pytest.mark.parametrize("name", APPLIES)
def test_an_apply_with_faults_exits_with_4_and_prints_no_traceback(
    ends: dict[str, End], name: str
) -> None:
    ran = ends[name].ran

    assert ran.code == 4
    assert "Traceback" not in ran.stdout + ran.stderr
    unclear = sum("unclear" in line for line in ran.stdout.splitlines()[:-1])
    expected = sum(each.result == "unclear" for each in APPLIES[name].faults.values())
    assert unclear == expected
