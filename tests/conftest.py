"""Fixtures of every test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.demo.emulator import Emulator
from auditor.demo.organization import build
from auditor.store.runs import SqliteRunStore
from tests.command import Ran, Run, World, runs_in

LONG = (
    "faults/test_soak.py", "documents/test_commands.py", "crash/test_kill.py",
    "crash/test_write_faults.py", "org/test_remediation.py", "org/test_scan_organization.py",
    "org/test_faults.py", "cluster/test_workers.py", "cluster/test_sign_out.py",
)  # fmt: skip
"""Files that take longest; first, or in the end one worker waits for another's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long files begin."""
    first = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.path, len(LONG)))


@pytest.fixture
def anyio_backend() -> str:
    """The SDK runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteRunStore]:
    """A new store of runs."""
    store = SqliteRunStore(tmp_path / "iamaudit.db")
    yield store
    store.close()


@pytest.fixture
def world() -> Iterator[World]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield World(emulator, build(emulator, now=datetime.now(UTC)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `iamaudit` as a person would, in a folder of its own."""

    return runs_in(tmp_path)


@pytest.fixture
def scan(world: World, run: Run) -> Run:
    """Scan the whole organization."""

    def iamaudit_scan(*arguments: str) -> Ran:
        return run("scan", "--accounts", "org", "--quiet", *arguments, variables=world.variables)

    return iamaudit_scan
