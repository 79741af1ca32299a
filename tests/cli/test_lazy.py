"""What is put off while modules are loaded, and what is not."""

import gc
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

import auditor.cli


@pytest.fixture
def without_collections() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collections")
def test_garbage_is_looked_for_once_a_command_is_loaded() -> None:
    result = CliRunner().invoke(auditor.cli.app, ["policy", "list"])

    assert result.exit_code == 0
    assert gc.isenabled()


def test_garbage_is_looked_for_after_a_command_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["iamaudit", "nothing"])

    with pytest.raises(SystemExit):
        auditor.cli.main()

    assert gc.isenabled()
