"""Real processes that are interrupted or killed at random moments, and go on."""

import asyncio
import signal
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.cloud import Asked, Cloud
from tests.faults.desk import Command
from tests.faults.server import FaultServer

_LAST = 330
"""About as many requests as a whole scan of the cloud makes."""
_TOLD_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Stops:
    """What came of stopping processes."""

    interrupted: int = 0
    killed: int = 0
    longest: float = 0.0
    """Seconds from Ctrl-C, SIGTERM or SIGHUP to the end of the process."""
    wrong: list[str] = field(default_factory=list)


def what_was_found(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without what tells one run from another."""
    own = {"id", "started_at", "finished_at", "api_calls", "throttled", "digest"}
    return report | {
        "run": {name: value for name, value in report["run"].items() if name not in own},
        "accounts": [each | {"credential_report_at": None} for each in report["accounts"]],
    }


class Interrupted:
    """Scans of one organization, each stopped once and resumed."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)  # noqa: S311
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._whole: dict[str, Any] | None = None
        self.stops = Stops()

    @property
    def _scan(self) -> tuple[str, ...]:
        now = self._now.isoformat()
        return ("scan", "--accounts", "org", "--format", "json", "--now", now, "--quiet")

    def _cloud(self) -> Cloud:
        return Cloud(5, accounts=30, users=6, now=self._now)

    async def trial(self) -> None:
        """Stop one scan at a random moment, let it go on, and hold it against a whole one."""
        with tempfile.TemporaryDirectory() as folder:
            server = FaultServer(self._cloud(), latency=0.002)
            async with server.serving():
                command = Command(Path(folder), server.url)
                if self._whole is None:
                    await command.run(*self._scan)
                    self._whole = what_was_found(command.report())
                await self._stop(server, command)

    async def _stop(self, server: FaultServer, command: Command) -> None:
        number = self._dice.randint(50, _LAST)
        how = self._dice.choice([*_TOLD_TO_END, signal.SIGINT, signal.SIGKILL])
        came, sent_at = 0, 0.0

        def count(_: Asked) -> None:
            nonlocal came, sent_at
            came += 1
            if came == number:
                sent_at = time.monotonic()
                command.signal(how)

        server.before = count
        code, _, told = await command.run(*self._scan)
        took = time.monotonic() - sent_at
        server.before = lambda _: None
        where = f"stopped by {how.name} at request {number}"
        if not sent_at:
            return  # it was done before
        if how in _TOLD_TO_END:
            self.stops.interrupted += 1
            self.stops.longest = max(self.stops.longest, took)
        else:
            self.stops.killed += 1
        if code != (130 if how in _TOLD_TO_END else -signal.SIGKILL) or "Traceback" in told:
            self.stops.wrong.append(f"{where}: exit {code}, {told}")
        code, _, told = await command.run(*self._scan, "--resume", "latest")
        if code != 1 or what_was_found(command.report()) != self._whole:
            self.stops.wrong.append(f"{where}: resumed with {code}, {told}")


def stopped(number: int, *, seed: int = 0) -> Stops:
    """Stop and resume so many scans."""
    trials = Interrupted(seed)

    async def all_of_them() -> None:
        for _ in range(number):
            await trials.trial()

    asyncio.run(all_of_them())
    return trials.stops
