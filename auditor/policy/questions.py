"""What conditions tell keys apart by, where their text shows it.

Most conditions are flags, and facts compared with something fixed, joined by `&&`, `||` and `!`. No
two keys are of the same age, but there are few ways in which all the comparisons can come out
together, and what the conditions come to follows from that. Others have to be asked for each key.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import timedelta
from typing import Any, TypeAlias

Compare: TypeAlias = Callable[[Any, Any], bool]

_COMPARES: Mapping[str, Compare] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PART = re.compile(
    r"""\s*(?:
        &&|\|\||[!()]
      | (?P<name>[a-z_][\w.]*)
        (?:\s*(?P<compare>[<>]=?|[=!]=)\s*(?:
            (?P<other>[a-z_][\w.]*)
          | "(?P<text>[^"\\\n]*)"
          | (?P<number>\d{1,15})
          | days\((?P<days>\d{1,6})\)
        ))?
        (?=\s*(?:\)|&&|\|\||\Z))  # nothing else is done with it
    )\s*""",
    re.VERBOSE | re.ASCII,
)
"""An operator, a parenthesis, a flag, or a whole comparison."""


class Questions:
    """What some conditions ask of a key's facts, all together."""

    def __init__(self) -> None:
        self._plain: set[str] = set()
        """Flags, and what facts are compared with."""
        self._compared: set[tuple[str, Compare, str]] = set()
        self._fixed: set[tuple[str, Compare, object]] = set()
        """Facts that are compared with a constant."""

    def answers(self, values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the answers for one key: with equal ones the conditions come to the same.

        None stands for a fact that is not known.
        """
        get = values.get
        return (
            *map(get, self._plain),
            *[
                None if (value := get(name)) is None else compare(value, values[other])
                for name, compare, other in self._compared
            ],
            *[
                None if (value := get(name)) is None else compare(value, fixed)
                for name, compare, fixed in self._fixed
            ],
        )

    def flag(self, name: str) -> None:
        """Ask whether it is true."""
        self._plain.add(name)

    def compare(self, name: str, compare: Compare, other: str) -> None:
        """Ask for a comparison with a parameter, which is known always."""
        self._plain.add(other)
        self._compared.add((name, compare, other))

    def compare_fixed(self, name: str, compare: Compare, fixed: object) -> None:
        """Ask for a comparison with a constant."""
        self._fixed.add((name, compare, fixed))


def questions(texts: Iterable[str], *, flags: Set[str], comparable: Set[str]) -> Questions | None:
    """Return what conditions that compile ask; None where one is not written so simply.

    `flags` are the names that are true or false, `comparable` those that stand for a number, a
    text or a duration.
    """
    asked = Questions()
    for text in texts:
        at = 0
        while at < len(text):
            part = _PART.match(text, at)
            if part is None or not _take(part, asked, flags, comparable):
                return None
            at = part.end()
    return asked


def _take(part: "re.Match[str]", asked: Questions, flags: Set[str], comparable: Set[str]) -> bool:
    """Take a part of a condition in; return False where it asks for something else."""
    name, other = part["name"], part["other"]
    if name is None or name in {"true", "false"}:
        return name is None or part["compare"] is None
    if part["compare"] is None:
        asked.flag(name)
        return name in flags
    compare = _COMPARES[part["compare"]]
    if other is None:
        asked.compare_fixed(name, compare, _constant(part))
        return name in comparable
    asked.compare(name, compare, other)
    return {name, other} <= comparable and other.startswith("params.")


def _constant(part: "re.Match[str]") -> object:
    if part["text"] is not None:
        return part["text"]
    if part["number"] is not None:
        return int(part["number"])
    return timedelta(days=int(part["days"]))
