"""Nothing in the current folder is code, for this process or for its workers."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bench.fake_aws.process import Served, served
from tests.command import IAMAUDIT, clean_environment

RAN = "what-ran"
HOSTILE = f"open({RAN!r}, 'a').write(__name__ + '\\n')\nraise ImportError(__name__)\n"


@pytest.fixture(scope="module")
def fake() -> Iterator[Served]:
    with served(accounts=2, users=2) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a hostile module in the name of everything that could be imported."""
    for name in {*sys.stdlib_module_names, *packages_distributions()}:
        if name.isidentifier():
            (tmp_path / f"{name}.py").write_text(HOSTILE)
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
@pytest.mark.parametrize("safe", [None, "1"], ids=["", "safe path set by the operator"])
def test_a_scan_imports_nothing_from_the_current_folder(
    fake: Served, folder: Path, options: Sequence[str], safe: str | None
) -> None:
    done = subprocess.run(
        [IAMAUDIT, "scan", "--accounts", "org", "--format", "json", "--fail-on", "never", *options],
        cwd=folder,
        env=clean_environment()
        | dict(fake.variables)
        | {"HOME": str(folder / "home")}
        | ({} if safe is None else {"PYTHONSAFEPATH": safe}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert not (folder / RAN).exists(), (folder / RAN).read_text()
    assert done.returncode == 0, done.stderr
    assert (folder / "reports/latest/report.json").exists()
