import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.estate import (
    MANY_ACCOUNTS,
    ONE_ACCOUNT,
    PLANS,
    RULES,
    Desk,
    Estate,
    an_estate,
    scan_and_plan,
)


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of one account, scanned and planned; to be copied."""
    with an_estate(ONE_ACCOUNT) as estate:
        desk = Desk(tmp_path_factory.mktemp("scanned"), estate)
        scan_and_plan(desk, *estate.accounts, plans={kind: (kind, ()) for kind in RULES})
        return desk.reports


@pytest.fixture
def estate() -> Iterator[Estate]:
    with an_estate(ONE_ACCOUNT) as estate:
        yield estate


@pytest.fixture
def desk(scanned: Path, estate: Estate, tmp_path: Path) -> Desk:
    """A desk with the plans on it, and the keys as they were when they were planned."""
    shutil.copytree(scanned, tmp_path / "reports", symlinks=True)
    return Desk(tmp_path, estate)


@pytest.fixture(scope="session")
def widely_scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of many accounts, scanned and planned; to be copied."""
    with an_estate(MANY_ACCOUNTS) as estate:
        desk = Desk(tmp_path_factory.mktemp("widely-scanned"), estate)
        scan_and_plan(desk, *estate.accounts, plans=PLANS)
        return desk.reports


@pytest.fixture
def wide_estate() -> Iterator[Estate]:
    with an_estate(MANY_ACCOUNTS) as estate:
        yield estate
