"""How each contender is started, and how what it read is known."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.measure import Ran, clean_environment

IAMAUDIT = Path(sys.executable).with_name("iamaudit")
PEERS = Path(__file__).resolve().parents[1] / ".peers"

Facts = Mapping[str, int]
"""What was read: some of accounts, users, keys, used; of iamaudit also unknown and failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A program that reads all accounts of an organization."""

    name: str
    command: Callable[[Path], list[str]]
    """Of the folder that it may write to."""
    facts: Callable[[Ran, Path], Facts]
    missing: Callable[[], str | None] = lambda: None
    """Why it can't be run here, None where it can."""
    together: bool = False
    """Whether it is several processes, whose memory counts together."""
    slow: bool = False
    """Whether few runs have to do: it takes long, and no number that must be shown is its."""


def _told(ran: Ran, _folder: Path) -> Facts:
    facts: Facts = json.loads(ran.stdout)
    return facts


def _stored(_ran: Ran, folder: Path) -> Facts:
    """Ask the store, which takes less memory than to load a report."""
    questions = {
        "accounts": "SELECT count(*) FROM account WHERE outcome = 'audited'",
        "failed": "SELECT count(*) FROM account WHERE outcome != 'audited'",
        "users": "SELECT sum(users) FROM account",
        "keys": "SELECT count(*) FROM access_key WHERE id IS NOT NULL",
        "used": "SELECT count(*) FROM access_key WHERE id IS NOT NULL AND last_used_state = 'used'",
        "unknown": "SELECT count(*) FROM access_key WHERE last_used_state = 'unknown'",
    }
    with closing(sqlite3.connect(folder / "iamaudit.db")) as store:
        return {name: store.execute(query).fetchone()[0] for name, query in questions.items()}


@cache
def _help() -> str:
    environment = clean_environment() | {"COLUMNS": "200"}
    ran = subprocess.run(  # noqa: S603 -- our own command
        [IAMAUDIT, "scan", "--help"], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout


def _iamaudit(
    name: str,
    *options: str,
    without: str | None = None,
    slow: bool = False,
    together: bool = False,
) -> Contender:
    """Return iamaudit with these options, which an older one may lack.

    Where `without` is lacking, the plain command is what the options would have chosen.
    """

    def lacking() -> list[str]:
        return [each for each in options if each.startswith("--") and each not in _help()]

    def command(folder: Path) -> list[str]:
        chosen = [] if without in lacking() else options
        common = ["--accounts", "org", "--quiet", "--fail-on", "never", "--output", str(folder)]
        return [str(IAMAUDIT), "scan", *common, *chosen]

    def missing() -> str | None:
        gone = [each for each in lacking() if each != without]
        return f"this iamaudit has no {gone[0]}" if gone else None

    return Contender(
        name=name, command=command, facts=_stored, missing=missing, slow=slow, together=together
    )


def _module(name: str, module: str, *options: str) -> Contender:
    return Contender(
        name=name,
        command=lambda _: [sys.executable, "-m", f"bench.contenders.{module}", *options],
        facts=_told,
    )


def _peer(tool: str, module: str) -> Contender:
    path = PEERS / tool / "bin" / tool
    program = f"bench.contenders.{module}"
    return Contender(
        name=tool,
        command=lambda folder: [sys.executable, "-m", program, str(path), str(folder)],
        facts=_told,
        missing=lambda: None if path.exists() else f"no {tool}: make bench-peers installs it",
        together=True,
        slow=True,
    )


FAST = _iamaudit("iamaudit fast", "--transport", "fast")
SDK = _iamaudit("iamaudit sdk", "--transport", "sdk", without="--transport", slow=True)
REPORT = _iamaudit("iamaudit report", "--source", "report")
WORKERS = _iamaudit("iamaudit, 2 workers", "--workers", "2", together=True)
NAIVE = _module("naive aioboto3", "naive_aioboto3")
THREADS = _module("boto3, 32 threads", "boto3_threads")
SEQUENTIAL = _module("boto3, in a row", "boto3_threads", "--threads", "1")
BARE = _module("bare limit", "bare")
C7N = _peer("c7n-org", "c7n_org")
PROWLER = _peer("prowler", "prowler")
