"""Fixtures of every test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.demo.emulator import Emulator
from auditor.demo.organization import build
from auditor.store.runs import SqliteRunStore
from tests.command import Ran, Run, World, runs_in


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
