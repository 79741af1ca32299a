"""Paths as operators write them, and files of theirs: never more of one than is sensible."""

import errno
import os
import stat
from pathlib import Path

from auditor.errors import AuditError

_LARGEST = 4 * 1024 * 1024
"""Of a policy, a list of accounts, a file of settings, a template."""


def expanded(text: str) -> Path:
    """Return the path with `~` and `~user` replaced; as it is where there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def read_text(path: Path, *, largest: int = _LARGEST) -> str:
    """Return a file's UTF-8 text, lines ended by LF; raise OSError or UnicodeDecodeError.

    What is not a regular file, or has more than `largest` bytes, can't be read either.
    """
    text = read_bytes(path, largest=largest).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Return a file's bytes; raise OSError, also where there are more than `largest`.

    Only regular files are read: a pipe may never end, nor begin, and a device is no text.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(largest + 1)
    finally:
        os.close(descriptor)
    if len(content) > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def check_private(path: Path, found: os.stat_result, *, group_may_write: bool = False) -> None:
    """Raise AuditError unless nobody but this user and root can change what is at `path`.

    With `group_may_write` its group may, too: many systems make files so, for a group that has one
    member.

    `found` is the state of the opened file or folder, so that nobody can swap it in between. A
    folder that others may write to passes with the sticky bit, as /tmp: who owns what lies in it
    is checked by itself.
    """
    owner = found.st_uid
    if owner not in {os.geteuid(), 0}:
        raise AuditError(
            f"{path} belongs to another user (uid {owner})",
            hint=f"run iamaudit as that user (sudo -u '#{owner}', docker run --user {owner}), or"
            " work with a file of your own",
        )
    shared = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    others = stat.S_IWOTH if group_may_write else stat.S_IWGRP | stat.S_IWOTH
    if found.st_mode & others and not shared:
        raise AuditError(
            f"{path} can be written by others (mode {stat.S_IMODE(found.st_mode):04o})",
            hint=f"chmod go-w {path}, after making sure that what is in it is yours",
        )
