"""The demo's organization, and the command line that audits it, as fixtures."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from auditor.demo.emulator import Emulator
from auditor.demo.organization import DemoOrganization
from tests import warm

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


def runs_in(folder: Path, **given: str) -> Run:
    """Return what runs `iamaudit` as a person would, in a folder that is their home, too."""

    def iamaudit(*arguments: str, variables: Mapping[str, str] | None = None) -> Ran:
        environment = clean_environment() | {"HOME": str(folder)} | given | dict(variables or {})
        code, stdout, stderr = warm.run(arguments, environment=environment, folder=folder)
        return Ran(code, stdout, stderr, folder / "reports")

    return iamaudit
