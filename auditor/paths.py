"""Paths as operators write them."""

from pathlib import Path


def expanded(text: str) -> Path:
    """Return the path with `~` and `~user` replaced; as it is where there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
