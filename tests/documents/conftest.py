from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import World, clean_environment
from tests.documents.warm_shell import Shell, tools
from tests.documents.words import dismiss, open_the_last_account


@pytest.fixture(scope="session")
def iamaudit_on_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tools(tmp_path_factory.mktemp("tools")) as folder:
        yield folder


@pytest.fixture
def readable(world: World) -> World:
    """The demo's organization, smaller, and with the role in every account."""
    open_the_last_account(world)
    dismiss(world, left=3)
    return world


@pytest.fixture
def shell(iamaudit_on_path: Path, world: World, tmp_path: Path) -> Shell:
    """A person's shell in a folder of their own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    variables = {
        **clean_environment(),
        **world.variables,
        "HOME": str(tmp_path / "home"),
        "COLUMNS": "110",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    return Shell(iamaudit_on_path, tmp_path / "work", variables)
