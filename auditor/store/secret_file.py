"""Secrets of new keys as files that only their owner can read."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from string import ascii_letters, digits
from typing import TypeVar

import anyio.to_thread

from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId
from auditor.model.stored_secret import content, is_of
from auditor.paths import check_private
from auditor.ports import CreatedKey, Owner

T = TypeVar("T")

_LITERAL = frozenset(ascii_letters + digits + "+=,.@_-")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class SecretFile:
    """Keeps each secret in `FOLDER/ACCOUNT/USER/KEY.json`, 0600 (port SecretSink).

    A name that no folder could safely have is written with `%2F` for what is in the way. Below
    the folder no link is followed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    async def put(self, owner: Owner, key: CreatedKey) -> str:
        """Write id and secret, read them back, and return the path; raise AuditError.

        A file of the same content is as good; one of another is left alone.
        """
        text = _document(owner, key)
        return await _in_thread(lambda: self._put(owner, key.id, text))

    async def check(self, owner: Owner) -> None:
        """Raise AuditError where others could read or change what is in the folder."""
        await _in_thread(lambda: self._check(owner))

    def _check(self, owner: Owner) -> None:
        path = self._user_folder(owner)
        with _mistakes(path, "written"), ExitStack() as stack:
            self._open_all(stack, path)

    def _open_all(self, stack: ExitStack, path: Path) -> list[int]:
        """Make and open the folders down to `path`.

        Raises AuditError for one that is not this user's alone: others could put another secret
        into the place of this one.
        """
        _make_folders(self._folder)
        opened = [_open_folder(stack, str(self._folder), None, link_allowed=True)]
        check_private(self._folder, os.fstat(opened[0]))
        reached = self._folder
        for name in path.relative_to(self._folder).parts:
            reached /= name
            _make_folder(name, opened[-1])
            opened.append(_open_folder(stack, name, opened[-1]))
            check_private(reached, os.fstat(opened[-1]))
        return opened

    async def find(self, owner: Owner, key_id: AccessKeyId) -> str | None:
        """Return the path of the file that has this key whole; raise AuditError."""
        return await _in_thread(lambda: self._find(owner, key_id))

    def _put(self, owner: Owner, key_id: AccessKeyId, text: bytes) -> str:
        path = self._path(owner, key_id)
        with _mistakes(path, "written"), ExitStack() as stack:
            folders = self._open_all(stack, path.parent)
            with suppress(FileExistsError):
                _write(".gitignore", folders[0], b"*\n")
            try:
                _write(path.name, folders[-1], text)
            except FileExistsError:
                _check(_read(path.name, folders[-1]) == text, path, "has another content already")
            for folder in folders:
                os.fsync(folder)
            _check(_read(path.name, folders[-1]) == text, path, "does not read as it was written")
        return str(path)

    def _find(self, owner: Owner, key_id: AccessKeyId) -> str | None:
        path = self._path(owner, key_id)
        with _mistakes(path, "read"), ExitStack() as stack:
            try:
                folder = _open_folder(stack, str(self._folder), None, link_allowed=True)
                for name in path.relative_to(self._folder).parts[:-1]:
                    folder = _open_folder(stack, name, folder)
                text = _read(path.name, folder)
            except FileNotFoundError:
                return None
        return str(path) if is_of(text, key_id) else None

    def _path(self, owner: Owner, key_id: AccessKeyId) -> Path:
        return self._user_folder(owner) / f"{_safe(key_id)}.json"

    def _user_folder(self, owner: Owner) -> Path:
        return self._folder / _safe(owner.account.id) / _safe(owner.user_name)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run what waits for the disk; it is never abandoned half-way."""
    return await anyio.to_thread.run_sync(work)


def _safe(name: str) -> str:
    """Return a name of one file for one name of AWS's: never empty, hidden or a path."""
    escaped = "".join(
        chr(byte) if chr(byte) in _LITERAL else f"%{byte:02X}" for byte in name.encode()
    )
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped or "%"


def _make_folders(folder: Path) -> None:
    """Make the folder and those above it that are missing, for their owner only."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(mode=0o700)
            with ExitStack() as stack:
                os.fsync(_open_folder(stack, str(each.parent), None, link_allowed=True))


def _make_folder(name: str, parent: int) -> None:
    with suppress(FileExistsError):  # whether it is a folder shows when it is opened
        os.mkdir(name, 0o700, dir_fd=parent)


def _open_folder(
    stack: ExitStack, name: str, parent: int | None, *, link_allowed: bool = False
) -> int:
    flags = _FOLDER & ~os.O_NOFOLLOW if link_allowed else _FOLDER
    folder = os.open(name, flags, dir_fd=parent)
    stack.callback(os.close, folder)
    return folder


def _write(name: str, folder: int, text: bytes) -> None:
    """Write a new file, whole and on the disk, or none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def _read(name: str, folder: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@contextmanager
def _mistakes(path: Path, verb: str) -> Iterator[None]:
    """Raise AuditError where the file system refuses."""
    try:
        yield
    except OSError as error:
        raise AuditError(
            f"the secret file {path} can't be {verb}: {error.strerror}",
            hint="choose another folder with --sink file:DIR",
        ) from None


def _check(good: bool, path: Path, otherwise: str) -> None:
    if not good:
        raise AuditError(
            f"the secret file {path} {otherwise}", hint="look at it, or choose another folder"
        )


def _document(owner: Owner, key: CreatedKey) -> bytes:
    kept = content(
        key_id=key.id, secret=key.secret, user_name=owner.user_name, account_id=owner.account.id
    )
    return json.dumps(kept, indent=2).encode() + b"\n"
