"""Credential reports as they should not be: older than the account, or with one value spoilt."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_FIRST_VALUE = 2  # after `user` and `arn`, which say whose row it is
_ROOT_SLOT = slice(5, 10)
_NO_KEY = ["false", "N/A", "N/A", "N/A", "N/A"]
_A_KEY = ["true", "2024-01-02T03:04:05Z", "N/A", "N/A", "N/A"]
_CACHED = timedelta(hours=3)  # AWS makes a new report every four hours


def _with_content(answer: str, change: Callable[[str], str]) -> str:
    """Return an answer of GetCredentialReport with other text in its content."""

    def changed(found: re.Match[str]) -> str:
        return b64encode(change(b64decode(found[0]).decode()).encode()).decode()

    return re.sub(r"(?<=<Content>)[^<]+", changed, answer)


def with_mark(answer: str) -> str:
    """Begin the report with a byte order mark."""
    return _with_content(answer, lambda text: f"\ufeff{text}")


def without_zones(answer: str) -> str:
    """Take the zone from every date of an answer, and of the report in it."""
    answer = re.sub(r"(\d\d:\d\d:\d\d)Z<", r"\1<", answer)
    return _with_content(answer, lambda text: re.sub(r"(\d\d:\d\d:\d\d)Z", r"\1", text))


def older(answer: str) -> str:
    """Return the report of a time when the root user had a key, if it has none, or had none."""
    made = (datetime.now(UTC) - _CACHED).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = re.sub(r"(?<=<GeneratedTime>)[^<]+", made, answer)

    def change(text: str) -> str:
        header, root, *users = text.split("\n")
        cells = root.split(",")
        cells[_ROOT_SLOT] = _NO_KEY if cells[_ROOT_SLOT.start] == "true" else _A_KEY
        return "\n".join([header, ",".join(cells), *users])

    return _with_content(answer, change)


def with_one_spoilt(answer: str, number: int) -> str:
    """Spoil one value: by the number each date and flag of each row in turn."""

    def change(text: str) -> str:
        header, *rows = text.split("\n")
        width = header.count(",") + 1 - _FIRST_VALUE
        at = number // width % len(rows)
        cells = rows[at].split(",")
        cells[_FIRST_VALUE + number % width] = "soon"
        rows[at] = ",".join(cells)
        return "\n".join([header, *rows])

    return _with_content(answer, change)
