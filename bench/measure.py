"""One process, measured from outside.

Stays small: the kernel counts the memory of whoever starts a process as that process's own, as
long as it has not yet become the program it is to run.
"""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, Self

from bench.fake_aws.process import ROOT, Served

_SAMPLING = 0.1
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one run took."""

    wall: float
    cpu: float
    """Seconds, user and system, of the process and of those it waited for."""
    peak: float
    """MiB; of the largest process, or of all together where they were asked for."""
    calls: float = 0
    """That were answered."""
    iam_calls: float = 0
    throttled: float = 0
    fake_cpu: float = 0
    busiest: float = 0
    """CPU seconds of the busiest process that it started, where all were looked at together."""

    @classmethod
    def median_of(cls, samples: Sequence[Self]) -> Self:
        """Return the medians, each number for itself."""
        return cls(**{each.name: median(getattr(s, each.name) for s in samples)
                      for each in fields(cls)})  # fmt: skip

    def as_json(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A process that ended."""

    code: int
    stdout: str
    stderr: str
    sample: Sample


def clean_environment() -> dict[str, str]:
    """Return this machine's environment without what tells a tool or an SDK what to do."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "IAMAUDIT_", "PYTHON")) and name != "HOME"
    }


def measure(
    command: Sequence[str | Path],
    *,
    fake: Served | None = None,
    variables: Mapping[str, str] | None = None,
    together: bool = False,
) -> Ran:
    """Run a command to its end in the checkout, with a home of its own.

    `together` counts the memory of all its processes, sampled.
    """
    before = _counted(fake, reset=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        pointing = fake.variables if fake else {}
        environment = clean_environment() | {"HOME": home} | dict(pointing) | dict(variables or {})
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 -- what is to be measured
            command, cwd=ROOT, env=environment, stdout=out, stderr=err
        )
        sampled = _Sampled(process.pid) if together else None
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        after = _counted(fake)
        out.seek(0)
        err.seek(0)
        sample = Sample(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak=sampled.peak() if sampled else usage.ru_maxrss / 1024,
            calls=sum(after["calls"].values()),
            iam_calls=sum(count for name, count in after["calls"].items() if name in _OF_IAM),
            throttled=after["throttled"],
            fake_cpu=after["cpu"] - before["cpu"],
            busiest=sampled.busiest() if sampled else 0,
        )
        return Ran(code=process.returncode, stdout=out.read(), stderr=err.read(), sample=sample)


_OF_IAM = frozenset({
    "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed", "GenerateCredentialReport",
    "GetCredentialReport", "GetAccountAuthorizationDetails", "GetAccountSummary",
    "GetLoginProfile", "ListEntitiesForPolicy",
})  # fmt: skip


def _counted(fake: Served | None, *, reset: bool = False) -> dict[str, Any]:
    if fake is None:
        return {"calls": {}, "throttled": 0, "cpu": 0}
    if reset:
        fake.reset()
    return fake.stats()


class _Sampled:
    """The memory of a process and its descendants, and their CPU, looked at now and then."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._cpu: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def peak(self) -> float:
        self._over.set()
        self._thread.join()
        return self._peak / _MIB

    def busiest(self) -> float:
        return max(self._cpu.values(), default=0)

    def _look(self) -> None:
        while not self._over.wait(_SAMPLING):
            family = _family(self._pid)
            self._peak = max(self._peak, sum(map(_resident, family)))
            self._cpu |= {pid: max(self._cpu.get(pid, 0), _cpu(pid)) for pid in family[1:]}


def _family(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _family(int(child))
    return found


def _cpu(pid: int) -> float:
    """Return the seconds, user and system, that a process has taken."""
    with suppress(OSError):
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return 0


def _resident(pid: int) -> int:
    """Return the bytes of a process, what it shares with others shared out among them."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
