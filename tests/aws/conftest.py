from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from auditor.demo.emulator import Emulator
from auditor.demo.organization import DemoOrganization, build


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        yield emulator


@pytest.fixture
def organization(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> DemoOrganization:
    """The demo's organization, and the environment of a principal of its management account."""
    organization = build(emulator, now=datetime.now(UTC))
    for name, value in organization.environment.items():
        monkeypatch.setenv(name, value)
    return organization
