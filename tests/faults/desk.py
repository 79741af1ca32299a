"""Running the tool's own scan, plan, apply and undo within this process, on a quick clock."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import botocore

from auditor.aws.connection import Connection
from auditor.cli.exits import ExitCode, exit_code
from auditor.config import ScanOptions, TransportName
from auditor.engine.tally import Tally
from auditor.errors import AuditError, InterruptedAuditError, NothingAuditedError
from auditor.model.finding import Severity
from auditor.store.output import Output
from auditor.wiring.report import replay, write_reports
from auditor.wiring.scan import new_run_id, scan
from tests.command import IAMAUDIT, clean_environment
from tests.faults.cloud import CALLER_KEY, CALLER_SECRET

SPEED = 100.0
"""Seconds of the quick clock in one of this machine's."""
CONNECT_TIMEOUT, READ_TIMEOUT = 1.0, 0.8
PATIENCE = 30.0
"""Seconds that answers may take where none is to hang: a busy machine is no fault."""
VARIABLES = {
    "AWS_ACCESS_KEY_ID": CALLER_KEY,
    "AWS_SECRET_ACCESS_KEY": CALLER_SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "TZ": "ODD3:30",  # no date may be taken for one of this machine's zone
}


class QuickClock:
    """The real time, or so long `ago`; but waiting, and what is measured, goes by at `SPEED`.

    Where nobody waits, what is measured goes by at `idle_speed`: at 1, a machine that stalls for a
    fifth of a second is not taken for a call that took twenty.
    """

    def __init__(self, *, ago: timedelta = timedelta(), idle_speed: float = SPEED) -> None:
        self._ago = ago
        self._idle_speed = idle_speed
        self._waiting = 0
        self._at, self._seen = 0.0, time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC) - self._ago

    def monotonic(self) -> float:
        seen = time.monotonic()
        self._at += (seen - self._seen) * (SPEED if self._waiting else self._idle_speed)
        self._seen = seen
        return self._at

    async def sleep(self, seconds: float) -> None:
        self.monotonic()
        self._waiting += 1
        try:
            await anyio.sleep(seconds / SPEED)
        finally:
            self.monotonic()
            self._waiting -= 1


@contextmanager
def caller_in(environment: Any = os.environ) -> Iterator[None]:
    """Let this process be the caller of the cloud."""
    before = {
        name: value
        for name, value in environment.items()
        if name.startswith("AWS_") or name in VARIABLES
    }
    for name in before:
        del environment[name]
    with tempfile.TemporaryDirectory() as folder:
        environment.update(VARIABLES | {"AWS_CA_BUNDLE": str(_one_authority(Path(folder)))})
        time.tzset()
        try:
            yield
        finally:
            for name in (*VARIABLES, "AWS_CA_BUNDLE"):
                environment.pop(name, None)
            environment.update(before)
            time.tzset()


def _one_authority(folder: Path) -> Path:
    """Write one of the SDK's authorities: each client takes 50 ms to load all, for no TLS here."""
    bundle = Path(botocore.__file__).with_name("cacert.pem").read_text()
    end = "-----END CERTIFICATE-----\n"
    file = folder / "authority.pem"
    file.write_text(bundle.partition(end)[0] + end)
    return file


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
    patient: bool = False

    @property
    def connection(self) -> Connection:
        return Connection(
            endpoint_url=self.url,
            connect_timeout=PATIENCE if self.patient else CONNECT_TIMEOUT,
            read_timeout=PATIENCE if self.patient else READ_TIMEOUT,
        )

    def clock(self, *, ago: timedelta = timedelta()) -> QuickClock:
        return QuickClock(ago=ago, idle_speed=1.0 if self.patient else SPEED)

    @property
    def store(self) -> Path:
        return self.folder / "iamaudit.db"

    async def scan(self, *, ago: timedelta = timedelta(), **more: Any) -> Ran:
        tally, clock = Tally(), self.clock(ago=ago)
        asked: dict[str, Any] = {
            "accounts": self.accounts,
            "connection": self.connection,
            "formats": ("json",),
            "output": self.folder,
            "transport": self.transport,
            **self.more,
            **more,
        }
        options = ScanOptions(fail_on=Severity.LOW, **asked)
        try:
            run_id = new_run_id(clock.now())
            with await scan(options, run_id=run_id, tally=tally, clock=clock) as result:
                code = exit_code(
                    result.document, fail_on=options.fail_on, interrupted=result.ended.interrupted
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

    def report(self, run_id: str) -> Mapping[str, Any]:
        """Report again on a run, as it stands now."""
        output = Output(self.folder)
        with replay(self.store, run_id) as again:
            file, *_ = write_reports(output, again.document, run_id, ("json",))
        report: Mapping[str, Any] = json.loads(file.read_text())
        return report


@dataclass
class Command:
    """The installed command as a process of its own, beside the server in this one."""

    folder: Path
    url: str
    process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str, file_limit: int | None = None) -> None:
        """Start it; no file may grow beyond `file_limit` bytes, as on a full disk."""
        limited = () if file_limit is None else ("prlimit", f"--fsize={file_limit}")
        self.process = await asyncio.create_subprocess_exec(
            *limited,
            str(IAMAUDIT),
            *arguments,
            env=clean_environment()
            | VARIABLES
            | {"HOME": str(self.folder), "AWS_ENDPOINT_URL": self.url},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    def signal(self, number: int) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> tuple[int, str, str]:
        """Wait for it; return the exit code and what it said on stdout and stderr."""
        assert self.process is not None
        async with asyncio.timeout(60):
            said, told = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode(), told.decode()

    async def run(self, *arguments: str, file_limit: int | None = None) -> tuple[int, str, str]:
        await self.start(*arguments, file_limit=file_limit)
        return await self.end()

    def report(self) -> dict[str, Any]:
        text = (self.folder / "reports/latest/report.json").read_text()
        report: dict[str, Any] = json.loads(text)
        return report


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
