"""An organization whose answers can get lost, and `iamaudit` as processes beside it."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from moto.iam.models import AccessKeyLastUsed
from moto.secretsmanager.models import secretsmanager_backends

from auditor.demo.emulator import Drop, Emulator, Request, Response
from auditor.demo.organization import build
from auditor.demo.wire import Call, HttpAnswer, render_error
from auditor.store.output import STORE
from tests import warm
from tests.command import IAMAUDIT, Ran, World, clean_environment
from tests.faults.cloud import CHANGES

NOW = datetime.now(UTC).replace(microsecond=0)

RULES = {
    "deactivate": "key-unused",
    "delete": "inactive-key-lingering",
    "rotate": "key-too-old",
}
"""The rule that leads to each kind of action."""
PLANS = {
    "deactivate": ("deactivate", ("idle-03",)),
    "delete": ("delete", ()),
    "rotate": ("rotate", ("old-03", "old-04")),
    "role": ("deactivate", ("idle-01", "idle-02", "idle-04")),
    "vault": ("rotate", ("old-01", "old-02")),
}
"""What is planned over many accounts: the kind of action, and whom it leaves to another plan."""
ONE_ACCOUNT, MANY_ACCOUNTS = {0: 5}, dict.fromkeys(range(10), 4)
"""How many users there are of each kind, by the account's index."""
USERS = {"deactivate": "idle", "delete": "left", "rotate": "old"}
"""What the users are called whose keys such an action is about: `idle-01`, `idle-02`, …"""
ALLOWED = {
    "deactivate": (),
    "delete": ("--allow-delete",),
    "rotate": ("--allow-rotate", "--sink", "file:secrets"),
}
_AGES = {"deactivate": (80, 60), "delete": (400, 200), "rotate": (120, 1)}
"""Days since each kind of key was made and used, so that one rule is broken and no other."""
_HANDED_OUT = re.compile(rb"<(?:SecretAccessKey|SessionToken)>([^<]+)<")

Spoil: TypeAlias = Callable[[Call, HttpAnswer], HttpAnswer | Response | Drop | None]
"""Looks at an answer, with the change made, and may replace it; None leaves it as it is."""


class LossyEmulator(Emulator):
    """An emulator whose answers can get lost after the change was made."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: datetime.now(UTC))
        self.spoils: list[Spoil] = []
        self.handed_out: set[str] = set()
        """Every secret key and session token that any answer ever had in it."""

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer | Drop:
        answer = super()._answer(method, path, headers, body)
        if isinstance(answer, Drop):
            return answer
        self.handed_out |= {each.decode() for each in _HANDED_OUT.findall(answer.body)}
        call = self._parse(method, path, headers, body)
        for spoil in self.spoils:
            match spoil(call, answer):
                case None:
                    continue
                case Response() as response:
                    return render_error(response, call)
                case other:
                    return other
        return answer


@dataclass(frozen=True)
class Estate:
    """The organization: in each account users whose keys are to be changed, and no others."""

    world: World
    emulator: LossyEmulator
    accounts: tuple[str, ...]
    """All that a plan acts in, in its order; the first has most users."""

    def iam(self, account: str) -> Any:
        return self.emulator.backend("iam", account)

    def keys(self, account: str, user: str) -> dict[str, str]:
        """The status of each key of a user, as the server has it."""
        return {key.access_key_id: key.status for key in self.iam(account).users[user].access_keys}

    def all_keys(self) -> dict[str, str]:
        return {
            key: status
            for account in self.accounts
            for user in self.iam(account).users
            for key, status in self.keys(account, user).items()
        }

    def secret(self, account: str, key_id: str) -> str:
        return str(self.iam(account).access_keys[key_id].secret_access_key)

    def changes(self, account: str | None = None, user: str | None = None) -> list[Request]:
        """The calls that change a key and reached the server."""
        return [
            each
            for each in tuple(self.emulator.requests)
            if each.operation in CHANGES
            and account in {None, each.account_id}
            and user in {None, each.params.get("UserName")}
        ]

    def vault(self, account: str) -> Any:
        """What Secrets Manager keeps in an account: secrets by name."""
        return secretsmanager_backends[account]["us-east-1"].secrets


@contextmanager
def an_estate(users: Mapping[int, int]) -> Iterator[Estate]:
    """Open the estate: the users of each kind in the account at each index.

    Two that are opened with the same numbers have the same keys.
    """
    with LossyEmulator() as emulator:
        organization = build(emulator, now=NOW)
        out = {organization.suspended_account_id, organization.unreachable_account_id}
        members = sorted(each for each in organization.member_account_ids if each not in out)
        emulator.root_keys.clear()
        for id_ in (organization.management_account_id, *members):
            iam = emulator.backend("iam", id_)
            for name in [each for each in iam.users if each != "iamaudit"]:
                for key in iam.users.pop(name).access_keys:
                    iam.access_keys.pop(key.access_key_id, None)
        chosen = tuple(members[: max(users) + 1])
        for index, number in users.items():
            for kind in USERS:
                for position in range(1, number + 1):
                    _add(emulator.backend("iam", chosen[index]), kind, position)
        yield Estate(World(emulator, organization), emulator, chosen)


def name_of(kind: str, position: int) -> str:
    return f"{USERS[kind]}-{position:02}"


def _add(iam: Any, kind: str, position: int) -> None:
    name = name_of(kind, position)
    iam.create_user("us-east-1", name, "/", [])
    key = iam.create_access_key(name, status="Inactive" if kind == "delete" else "Active")
    age, idle = _AGES[kind]
    key.create_date = (NOW - timedelta(days=age)).replace(tzinfo=None)
    used = (NOW - timedelta(days=idle)).replace(tzinfo=None)
    key.last_used = AccessKeyLastUsed(used, "s3", "eu-west-1")


@dataclass
class Desk:
    """A folder in which somebody runs `iamaudit`, and what was printed there."""

    folder: Path
    estate: Estate
    printed: list[str] = field(default_factory=list)
    variables: Mapping[str, str] = field(default_factory=dict)
    """Set in the environment besides."""

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def environment(self) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return (
            clean_environment()
            | {"HOME": str(self.folder), "TMPDIR": str(temporary)}
            | dict(self.estate.world.variables)
            | dict(self.variables)
        )

    def run(self, *arguments: str, killed: tuple[str, str, str] | None = None) -> Ran:
        """Run `iamaudit` to its end, or to the point where it is killed (see killed.py)."""
        code, stdout, stderr = warm.run(
            arguments, environment=self.environment, folder=self.folder, killed=killed
        )
        return self._kept(Ran(code, stdout, stderr, self.reports))

    def start(self, *arguments: str, terminal: int = subprocess.DEVNULL) -> Any:
        """Start the installed command."""
        return subprocess.Popen(
            [IAMAUDIT, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: Any) -> Ran:
        """Wait for a started command."""
        stdout, stderr = process.communicate(timeout=120)
        return self._kept(Ran(process.returncode, stdout, stderr, self.reports))

    def _kept(self, ran: Ran) -> Ran:
        self.printed += [ran.stdout, ran.stderr]
        return ran

    def plan(self, kind: str) -> dict[str, Any]:
        plan: dict[str, Any] = json.loads((self.reports / "latest" / f"{kind}.json").read_text())
        return plan

    def history(self) -> list[dict[str, Any]]:
        """The journal of the latest run."""
        ran = self.run("history", "latest", "--json")
        assert ran.code == 0, ran.stderr
        lines: list[dict[str, Any]] = json.loads(ran.stdout)
        return lines


def kept_in_files(folder: Path) -> dict[str, str]:
    """What a file sink has whole."""
    kept = {}
    for file in folder.glob("*/*/*.json"):
        with suppress(json.JSONDecodeError):
            content = json.loads(file.read_text())
            kept[content["access_key_id"]] = content["secret_access_key"]
    return kept


def kept_in_vaults(estate: Estate) -> dict[str, str]:
    """What Secrets Manager has in any account and version: the secret by its key."""
    versions = [
        json.loads(version["secret_string"])
        for account in estate.accounts
        for secret in estate.vault(account).values()
        for version in secret.versions.values()
    ]
    return {each["access_key_id"]: each["secret_access_key"] for each in versions}


def apply_of(plan: str, *more: str) -> tuple[str, ...]:
    """The command line that applies a plan of ours."""
    kind = PLANS[plan][0]
    return ("apply", f"reports/latest/{plan}.json", "--yes", *ALLOWED[kind], *more)


def scan_and_plan(
    desk: Desk, *accounts: str, plans: Mapping[str, tuple[str, tuple[str, ...]]]
) -> None:
    """Scan, and plan, each plan into a file of its own beside the reports."""
    ran = desk.run("scan", "--accounts", ",".join(accounts), "--quiet", "--format", "json")
    assert ran.code == 1, ran
    with sqlite3.connect(desk.reports / STORE) as store:
        long_ago = (NOW - timedelta(days=40)).isoformat().replace("+00:00", "Z")
        store.execute("UPDATE inactive_key SET since = ?", (long_ago,))
    store.close()
    for name, (kind, protected) in plans.items():
        others = [part for each in protected for part in ("--protect", each)]
        made = desk.run("plan", "--only", RULES[kind], *ALLOWED[kind], *others)
        assert made.code == 0, made
        latest = desk.reports / "latest"
        (latest / "plan.json").rename(latest / f"{name}.json")
        assert {each["kind"] for each in desk.plan(name)["actions"]} == {kind}
