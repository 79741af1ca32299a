"""Scans by several processes: as complete as by one, whatever happens to them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.fake_aws.process import Served, served
from tests.command import IAMAUDIT, clean_environment

ACCOUNTS, USERS = 12, 20
# A day: the reports of two scans shall differ in nothing.
JUDGED = ("--now", f"{datetime.now(UTC):%Y-%m-%d}", "--fail-on", "never")


@pytest.fixture(scope="module")
def fake() -> Iterator[Served]:
    with served(accounts=ACCOUNTS, users=USERS, latency=40) as running:
        yield running


class Scanning:
    """A scan as a process of its own, the leader of a process group as in a terminal."""

    def __init__(self, fake: Served, folder: Path, *options: str) -> None:
        self.folder = folder
        command: list[str | Path] = [IAMAUDIT, "scan", "--accounts", "org", "--format", "json"]
        self.process = subprocess.Popen(
            [*command, *JUDGED, "--output", folder, *options],
            env=clean_environment() | dict(fake.variables) | {"HOME": str(folder.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def workers(self) -> list[psutil.Process]:
        """Return the processes that read, without what multiprocessing keeps beside them."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def ended(self, code: int) -> None:
        """Wait for the end, and hold it to its exit code."""
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == code, out + err

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / "latest/report.json").read_text())
        return report


def told(report: dict[str, Any]) -> dict[str, Any]:
    """Return all that must not depend on who read."""
    accounts = [account | {"credential_report_at": None} for account in report["accounts"]]
    return report | {"run": None, "accounts": accounts}


def wait_for_calls(fake: Served, number: int) -> None:
    """Wait until the scan is in the middle of its reading."""
    until = time.monotonic() + 30
    while sum(fake.stats()["calls"].values()) < number:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def alone(fake: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a scan by one process."""
    scanning = Scanning(fake, tmp_path_factory.mktemp("alone") / "reports")
    scanning.ended(0)
    return scanning.report()


@contextmanager
def scheduler(fake: Served, *options: str) -> Iterator[str]:
    """A scheduler and a worker that were there before the scan; the worker has an identity."""
    environment = clean_environment() | dict(fake.variables)
    dask = str(Path(sys.executable).with_name("dask"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *options],
        env=environment,
        **quiet,  # type: ignore[call-overload]
    ) as leader:
        try:
            address = next(line.split()[-1] for line in leader.stderr if "Scheduler at:" in line)
            with subprocess.Popen(
                [dask, "worker", address, "--nthreads", "4", "--no-dashboard", "--no-nanny"],
                env=environment,
                **quiet,  # type: ignore[call-overload]
            ) as worker:
                try:
                    next(line for line in worker.stderr if "Registered to:" in line)
                    yield address
                finally:  # else a test that fails would wait for both for ever
                    worker.terminate()
                    worker.communicate()
        finally:
            leader.terminate()
            leader.communicate()


def test_two_workers_give_the_report_of_one_process(
    fake: Served, alone: dict[str, Any], tmp_path: Path
) -> None:
    scanning = Scanning(fake, tmp_path / "reports", "--workers", "2")
    scanning.ended(0)

    report = scanning.report()
    assert told(report) == told(alone)
    assert report["run"]["api_calls"]["iam:ListAccessKeys"] == ACCOUNTS * USERS


def test_a_killed_workers_accounts_are_read_again_and_none_is_lost(
    fake: Served, alone: dict[str, Any], tmp_path: Path
) -> None:
    fake.reset()
    scanning = Scanning(fake, tmp_path / "reports", "--workers", "2")
    wait_for_calls(fake, 100)
    scanning.workers()[0].kill()
    scanning.ended(0)

    assert told(scanning.report()) == told(alone)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP])
def test_a_stop_keeps_what_the_workers_have_read(
    fake: Served, tmp_path: Path, ending: signal.Signals
) -> None:
    fake.reset()
    scanning = Scanning(fake, tmp_path / "reports", "--workers", "2", "--concurrency", "8")
    wait_for_calls(fake, 150)
    workers = scanning.workers()
    os.killpg(scanning.process.pid, ending)
    scanning.ended(130)

    report = scanning.report()
    outcomes = {account["outcome"] for account in report["accounts"]}
    assert "partial" in outcomes
    assert any(error["code"] == "Interrupted" for error in errors(report))
    assert report["keys"]
    assert not any(worker.is_running() for worker in workers)


def errors(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [error for account in report["accounts"] for error in account["errors"]]


def test_the_workers_of_a_scheduler_read_with_their_own_identity(
    fake: Served, alone: dict[str, Any], tmp_path: Path
) -> None:
    with scheduler(fake) as address:
        scanning = Scanning(fake, tmp_path / "reports", "--scheduler", address)
        scanning.ended(0)

    assert told(scanning.report()) == told(alone)


def test_a_scheduler_that_is_lost_leaves_accounts_unreachable_and_says_so(
    fake: Served, tmp_path: Path
) -> None:
    fake.reset()
    with scheduler(fake) as address:
        scanning = Scanning(fake, tmp_path / "reports", "--scheduler", address)
        wait_for_calls(fake, 50)
    scanning.ended(4)

    assert {error["code"] for error in errors(scanning.report())} == {"WorkerLost"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scheduler", "tcp://10.0.0.1:8786"), "neither encrypted nor on this machine"),
        (("--scheduler", "10.0.0.1"), "is no address"),
        (("--scheduler", "tcp://127.0.0.1:9", "--workers", "2"), "leave out one"),
        (("--scheduler", "tcp://127.0.0.1:9"), "can't be reached"),
        (("--scheduler", "tls://127.0.0.1:9"), "can't be reached"),
    ],
)
def test_a_scheduler_that_will_not_do_is_refused_before_anything_is_read(
    fake: Served, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    scanning = Scanning(fake, tmp_path / "reports", *options)
    _, err = scanning.process.communicate(timeout=60)

    assert scanning.process.returncode == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "reports" / "iamaudit.db").exists()
