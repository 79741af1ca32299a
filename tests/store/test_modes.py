"""Whatever the umask says, what the tool writes is its owner's alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.config import FORMATS
from auditor.store.journal import SqliteJournal
from tests.fuzz.stores import a_store
from tests.fuzz.trials import iamaudit


@pytest.fixture(autouse=True)
def _permissive() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_every_file_is_0600_and_every_folder_0700(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "reports"
    template = tmp_path / "mine.txt.j2"
    template.write_text("{{ run.id }}\n")
    store = tmp_path / "store"
    store.mkdir(0o700)
    a_store(store / "iamaudit.db")
    formats = [f"--format={name}" for name in FORMATS]
    where = [f"--store={store / 'iamaudit.db'}", f"--output={folder}"]

    journal = SqliteJournal(store / "iamaudit.db")  # so that the files of its WAL are there, too
    journal.lines("plan-1")
    said = [
        iamaudit("modes", "report", *formats, f"--template={template}", *where),
        iamaudit("modes", "plan", *where),
    ]
    made = [*folder.parent.rglob("*"), folder.parent, *store.iterdir()]
    modes = {path.name: (path.is_dir(), stat.S_IMODE(path.lstat().st_mode)) for path in made}
    journal.close()

    assert [each.code for each in said] == [3, 0]
    links = {path.name for path in made if path.is_symlink()}
    for name, (is_folder, mode) in modes.items():
        assert name in links or mode == (0o700 if is_folder else 0o600), name
    assert {"plan.json", "mine.txt", "report.html", ".gitignore", "iamaudit.db-wal"} <= set(modes)
