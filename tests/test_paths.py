"""Files of the operator's: regular, not too large, and believed only where they are theirs."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.paths import check_private, read_bytes, read_text
from auditor.store.runs import SqliteRunStore
from tests.builders import a_run
from tests.command import Run, World


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_a_file_that_only_its_owner_can_write_is_private(tmp_path: Path, mode: int) -> None:
    check_private(tmp_path, _state(os.geteuid(), 0o100000 | mode))


@pytest.mark.parametrize("mode", [0o100620, 0o100602, 0o100666, 0o040770, 0o040777, 0o101666])
def test_what_others_can_write_is_refused_and_named(tmp_path: Path, mode: int) -> None:
    with pytest.raises(AuditError, match=str(tmp_path)):
        check_private(tmp_path, _state(os.geteuid(), mode))


def test_a_sticky_folder_may_be_shared(tmp_path: Path) -> None:
    check_private(tmp_path, _state(0, 0o041777))


def test_what_belongs_to_another_user_is_refused_with_that_user(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="uid 54321"):
        check_private(tmp_path, _state(54321, 0o100600))


def _state(owner: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))


OFFLINE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def stored(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    store = SqliteRunStore(tmp_path / "reports/iamaudit.db")
    store.begin(a_run(), [])
    store.close()


@contextmanager
def something(folder: Path, kind: str) -> Iterator[Path]:
    """Give what is at a path and no regular file."""
    path = folder / f"{kind}.j2"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
                yield path
                return
        case "device":
            path.symlink_to("/dev/zero")
    yield path


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    with something(tmp_path, kind) as path, pytest.raises(OSError, match=r"."):
        read_text(path)


def test_a_file_of_too_many_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 11)

    assert read_bytes(path, largest=11) == b"x" * 11
    with pytest.raises(OSError, match="too large"):
        read_bytes(path, largest=10)


def test_refused_files_are_closed(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    for kind in ("pipe", "folder", "device"):
        with something(tmp_path, kind) as path, pytest.raises(OSError, match=r"."):
            read_text(path)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


READS = [
    ("scan", "--policy", "{}"),
    ("report", "--policy", "{}"),
    ("doctor", "--policy", "{}"),
    ("policy", "check", "{}"),
    ("policy", "test", "{}"),
    ("scan", "--template", "{}"),
    ("apply", "{}", "--yes"),
    ("--config", "{}", "scan"),
    ("history", "--store", "{}"),
]


@pytest.mark.parametrize("command", READS)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_every_command_refuses_such_a_file_by_name(
    run: Run, tmp_path: Path, stored: None, command: tuple[str, ...], kind: str
) -> None:
    with something(tmp_path, kind) as path:
        ran = run(*(part.format(path) for part in command), variables=OFFLINE)

    assert (ran.code, ran.stdout) == (2, "")
    assert path.name in ran.stderr


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_list_of_accounts_is_a_regular_file(
    run: Run, world: World, tmp_path: Path, kind: str
) -> None:
    with something(tmp_path, kind) as path:
        ran = run("scan", "--accounts", f"@{path}", variables=world.variables)

    assert (ran.code, ran.stdout) == (2, "")
    assert path.name in ran.stderr
