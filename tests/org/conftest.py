"""The demo's organization, and the command line that audits it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from auditor.demo.emulator import Emulator
from auditor.demo.organization import DemoOrganization, build

IAMAUDIT = Path(sys.executable).with_name("iamaudit")


@dataclass(frozen=True)
class World:
    emulator: Emulator
    organization: DemoOrganization

    @property
    def variables(self) -> Mapping[str, str]:
        return {
            **self.organization.environment,
            "AWS_ENDPOINT_URL": self.emulator.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True)
class Ran:
    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / "latest/report.json").read_text())
        return report


Run: TypeAlias = Callable[..., Ran]


def clean_environment() -> dict[str, str]:
    """This machine's environment without anything that tells the tool or the SDK what to do."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "IAMAUDIT_")) and name.upper() != "HOME"
    }


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
