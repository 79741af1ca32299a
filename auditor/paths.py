"""Paths as operators write them, and files of theirs: never more of one than is sensible."""

import errno
import os
from pathlib import Path

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

    A file of more than `largest` bytes, as a device that never ends, can't be read either.
    """
    text = read_bytes(path, largest=largest).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Return a file's bytes; raise OSError, also where there are more than `largest`."""
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content
