"""Fixtures of every test."""

import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.demo.emulator import Emulator
from auditor.demo.organization import build
from auditor.store.runs import SqliteRunStore
from tests.command import IAMAUDIT, Ran, Run, World, clean_environment


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

    def iamaudit(*arguments: str, variables: Mapping[str, str] | None = None) -> Ran:
        ran = subprocess.run(
            [IAMAUDIT, *arguments],
            env=clean_environment() | {"HOME": str(tmp_path)} | dict(variables or {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr, tmp_path / "reports")

    return iamaudit


@pytest.fixture
def scan(world: World, run: Run) -> Run:
    """Scan the whole organization."""

    def iamaudit_scan(*arguments: str) -> Ran:
        return run("scan", "--accounts", "org", "--quiet", *arguments, variables=world.variables)

    return iamaudit_scan
