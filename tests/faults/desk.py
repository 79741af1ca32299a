"""Running the tool's own scan, plan, apply and undo within this process, on a quick clock."""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from auditor.aws.connection import Connection
from auditor.cli.exits import ExitCode, exit_code
from auditor.config import ScanOptions, TransportName
from auditor.engine.tally import Tally
from auditor.errors import AuditError, InterruptedAuditError, NothingAuditedError
from auditor.model.finding import Severity
from auditor.wiring.scan import new_run_id, scan
from tests.faults.cloud import CALLER_KEY

SPEED = 100.0
"""Seconds of the quick clock in one of this machine's."""
CONNECT_TIMEOUT, READ_TIMEOUT = 0.5, 0.3
VARIABLES = {
    "AWS_ACCESS_KEY_ID": CALLER_KEY,
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class QuickClock:
    """The real time; but waiting, and what is measured of it, goes by at `SPEED`."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * SPEED

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / SPEED)


@contextmanager
def caller_in(environment: Any = os.environ) -> Iterator[None]:
    """Let this process be the caller of the cloud."""
    before = {name: value for name, value in environment.items() if name.startswith("AWS_")}
    for name in before:
        del environment[name]
    environment.update(VARIABLES)
    try:
        yield
    finally:
        for name in VARIABLES:
            environment.pop(name, None)
        environment.update(before)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of one scan."""

    code: int
    report: Mapping[str, Any] | None
    """None where there is none: nothing could be audited, or asked for wrongly."""
    error: AuditError | None
    tally: Tally


@dataclass
class Desk:
    """A folder in which the tool is run."""

    folder: Path
    url: str
    accounts: tuple[str, ...] = ("org",)
    transport: TransportName = TransportName.FAST
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        return Connection(
            endpoint_url=self.url, connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT
        )

    @property
    def store(self) -> Path:
        return self.folder / "iamaudit.db"

    async def scan(self, **more: Any) -> Ran:
        tally, clock = Tally(), QuickClock()
        options = ScanOptions(
            accounts=self.accounts,
            connection=self.connection,
            formats=("json",),
            output=self.folder,
            fail_on=Severity.LOW,
            transport=self.transport,
            **(self.more | more),
        )
        try:
            run_id = new_run_id(clock.now())
            with await scan(options, run_id=run_id, tally=tally, clock=clock) as result:
                code = exit_code(
                    result.document, fail_on=options.fail_on, interrupted=result.interrupted
                )
                report = json.loads((result.folder / "report.json").read_text())
        except AuditError as error:
            codes = {
                NothingAuditedError: ExitCode.NOTHING,
                InterruptedAuditError: ExitCode.INTERRUPTED,
            }
            code = codes.get(type(error), ExitCode.USAGE)
            return Ran(code=code, report=None, error=error, tally=tally)
        return Ran(code=code, report=report, error=None, tally=tally)


def open_files() -> set[str]:
    """Return what this process has open, but for its event loop's own."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(link.readlink()))
    return {each for each in found if not each.startswith("anon_inode:")}


def others() -> set[asyncio.Task[Any]]:
    """Return the tasks beside the one that asks."""
    return {each for each in asyncio.all_tasks() if each is not asyncio.current_task()}
