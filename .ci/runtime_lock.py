"""Print the part of the lock that iamaudit needs to run, with what the extras named add."""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).with_name("requirements.lock")


def needed(name: str, extras: frozenset[str], found: set[tuple[str, frozenset[str]]]) -> None:
    """Collect a package and what it needs, as the environment that this runs in has them."""
    if (name, extras) in found:
        return
    found.add((name, extras))
    try:
        lines = requires(name) or []
    except PackageNotFoundError:  # for another system
        return
    for line in lines:
        wanted = Requirement(line)
        if wanted.marker is None or any(
            wanted.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            needed(canonicalize_name(wanted.name), frozenset(wanted.extras), found)


def main() -> None:
    found: set[tuple[str, frozenset[str]]] = set()
    needed("iamaudit", frozenset(sys.argv[1:]) | {""}, found)
    names = {name for name, _ in found}
    for part in re.split(r"\n(?=\S)", LOCK.read_text()):
        if canonicalize_name(re.split(r"[=\[ ;]", part, maxsplit=1)[0]) in names:
            print(part.rstrip("\n"))


if __name__ == "__main__":
    main()
