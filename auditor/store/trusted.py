"""Files that decide which keys are changed: nobody else can have had a hand in them.

A folder is checked by its opened descriptor, and what lies in it relative to that.
"""

import errno
import os
import stat
from pathlib import Path

from auditor.errors import AuditError
from auditor.paths import check_private
from auditor.store.output import LATEST

# SQLite reads these beside the store: what they say counts as much as the store itself.
_BESIDE = ("", "-wal", "-shm", "-journal")


def check_store(path: Path) -> None:
    """Raise AuditError unless only this user and root can change the store and its folder.

    The store is not opened: closing any descriptor of it would give up SQLite's locks on it. A
    store that is not there passes.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unreadable(path.parent, error) from None
    try:
        check_private(path.parent, os.fstat(folder))
        for suffix in _BESIDE:
            file = path.with_name(path.name + suffix)
            try:
                found = os.stat(file.name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            _check_plain(file, found)
            check_private(file, found)
    finally:
        os.close(folder)


def read_trusted(path: Path, *, largest: int) -> bytes:
    """Return a plain file's bytes; raise AuditError where another user may have written it.

    Raises OSError where it can't be read, also for more than `largest` bytes.
    """
    _check_latest(path)
    # Without O_NONBLOCK a FIFO would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _check_plain(path, found)
        check_private(path, found)
        _check_folder(path.parent)
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def _check_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        check_private(folder, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _check_latest(path: Path) -> None:
    """Raise AuditError where the path goes through a `latest` that leads out of its folder."""
    for part in (path, *path.parents):
        if part.name != LATEST or not part.is_symlink():
            continue
        target = part.readlink()
        beside = part.with_name(target.name)
        if str(target) != target.name or target.name in {"", ".."} or beside.is_symlink():
            raise AuditError(
                f"{part} is a link to {target}, which is not a run's folder beside it",
                hint="remove the link, and name the plan by its id",
            )


def _check_plain(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise AuditError(f"{path} is not a plain file", hint="name the file itself, not a link")


def _unreadable(path: Path, error: OSError) -> AuditError:
    return AuditError(f"{path} can't be read: {error.strerror}", hint="name another with --output")
