from pathlib import Path

import pytest

from tests.command import World, clean_environment
from tests.documents.warm_shell import Shell
from tests.documents.words import dismiss, open_the_last_account


@pytest.fixture
def readable(world: World) -> World:
    """The demo's organization, smaller, and with the role in every account."""
    open_the_last_account(world)
    dismiss(world, left=3)
    return world


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    """A person's shell in a folder of their own."""
    for name in ("bin", "home", "work"):
        (tmp_path / name).mkdir()
    variables = {
        **clean_environment(),
        **world.variables,
        "HOME": str(tmp_path / "home"),
        "COLUMNS": "110",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    return Shell(tmp_path / "bin", tmp_path / "work", variables)
