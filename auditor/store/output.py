"""The output folder: a folder per run, a link to the latest, and the store's file."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from auditor.errors import AuditError

STORE = "iamaudit.db"
LATEST = "latest"


class Output:
    """An output folder; files are made 0600 and folders 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def store(self) -> Path:
        """The store's file."""
        return self._folder / STORE

    def check(self) -> None:
        """Raise AuditError unless the folder can be written to; make nothing yet."""
        place = self._folder.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise _unusable(self._folder, "Not a directory")
        if not os.access(place, os.W_OK | os.X_OK):
            raise _unusable(self._folder, "Permission denied")

    def prepare(self) -> None:
        """Make the folder, and keep its content out of git; raise AuditError."""
        try:
            for folder in reversed([self._folder, *self._folder.parents]):
                if not folder.exists():
                    folder.mkdir(mode=0o700)
            with (
                suppress(FileExistsError),
                open(self._folder / ".gitignore", "x", opener=_owner_only) as ignore,
            ):
                ignore.write("*\n")
        except OSError as error:
            raise _unusable(self._folder, error.strerror) from None

    def write(self, run_id: str, name: str, write: Callable[[TextIO], None]) -> Path:
        """Write one file of a run, whole or not at all; raise AuditError.

        Lines end in LF on every system, so that two runs compare byte by byte.
        """
        folder = self._folder / run_id
        path, partial = folder / name, folder / f".{name}.partial"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            try:
                opener = _owner_only
                with open(partial, "w", encoding="utf-8", newline="\n", opener=opener) as out:
                    write(out)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(path, error.strerror) from None
        return path

    def link_first(self, run_id: str) -> None:
        """Let `latest` point to the run where there is no such link yet."""
        if not (self._folder / LATEST).is_symlink():
            self.link_latest(run_id)

    def link_latest(self, run_id: str) -> Path:
        """Let `latest` point to the run; return the link, or the run's folder if there is none.

        A folder of that name is left alone.
        """
        link, fresh = self._folder / LATEST, self._folder / f".{LATEST}.{run_id}"
        if link.exists() and not link.is_symlink():
            return self._folder / run_id
        try:
            fresh.symlink_to(run_id, target_is_directory=True)
            fresh.replace(link)
        except OSError:
            fresh.unlink(missing_ok=True)
            return self._folder / run_id
        return link

    def remove(self, run_id: str) -> bool:
        """Remove the folder of a run and say whether there was one; raise AuditError.

        Never what a link leads to, and never the folder that `latest` points to.
        """
        folder, link = self._folder / run_id, self._folder / LATEST
        if run_id != Path(run_id).name or folder.is_symlink() or not folder.is_dir():
            return False
        if link.exists() and link.samefile(folder):
            return False
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise AuditError(
                f"{folder} can't be removed: {error.strerror}", hint="remove it by hand"
            ) from None
        return True


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _unusable(path: Path, reason: str | None) -> AuditError:
    return AuditError(
        f"{path} can't be written: {reason}", hint="choose another folder with --output"
    )
