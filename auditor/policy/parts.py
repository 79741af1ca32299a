"""The parts of a condition, as `&&` and `||` join them, for telling which of them decided."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_PAIRS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, and what it is joined of; without parts of its own it is decided as a whole."""

    text: str
    joined_by: Literal["&&", "||"] | None = None
    parts: tuple["Part", ...] = ()


def parts_of(text: str) -> Part:
    """Return the condition by its parts; `text` is CEL that compiles."""
    text = text.strip()
    while _wrapped(text):
        text = text[1:-1].strip()
    if any(token == "?" for _, token in _outer(text)):  # noqa: S105 -- an operator of CEL
        return Part(text)
    for operator in ("||", "&&"):
        pieces = _split(text, operator)
        if len(pieces) > 1:
            joined_by: Literal["&&", "||"] = "||" if operator == "||" else "&&"
            return Part(text, joined_by, tuple(parts_of(piece) for piece in pieces))
    return Part(text)


def without_literals(text: str) -> str:
    """Return CEL with a space for each string and comment."""
    code, at = [], 0
    while at < len(text):
        if text[at] in "\"'":
            at, letter = _after_string(text, at), " "
        elif text.startswith("//", at):
            at, letter = _after_comment(text, at), " "
        else:
            at, letter = at + 1, text[at]
        code.append(letter)
    return "".join(code)


def _split(text: str, operator: str) -> list[str]:
    pieces, start = [], 0
    for at, token in _outer(text):
        if token == operator:
            pieces.append(text[start:at])
            start = at + len(operator)
    return [*pieces, text[start:]]


def _wrapped(text: str) -> bool:
    """Whether the first parenthesis closes at the very end."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    closed = [at for at, token in _tokens(text) if token == "0"]  # noqa: S105
    return bool(closed) and closed[0] == len(text) - 1


def _outer(text: str) -> Iterator[tuple[int, str]]:
    return ((at, token) for at, token in _tokens(text) if token in {"||", "&&", "?"})


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """Yield `||`, `&&` and `?` that stand in no bracket, and "0" where the last one closes."""
    at, open_ = 0, 0
    while at < len(text):
        letter = text[at]
        if letter in "\"'":
            at = _after_string(text, at)
            continue
        if text.startswith("//", at):
            at = _after_comment(text, at)
            continue
        if letter in _PAIRS:
            open_ += 1
        elif letter in _PAIRS.values():
            open_ -= 1
            if open_ == 0:
                yield at, "0"
        elif open_ == 0 and (letter == "?" or text[at : at + 2] in {"||", "&&"}):
            token = letter if letter == "?" else text[at : at + 2]
            yield at, token
            at += len(token) - 1
        at += 1


def _after_comment(text: str, at: int) -> int:
    """Return where the line ends."""
    return at + len(text[at:].partition("\n")[0])


def _after_string(text: str, at: int) -> int:
    """Return where the literal that begins at `at` is over."""
    raw = at > 0 and text[at - 1] in "rR"
    quote = text[at] * 3 if text.startswith(text[at] * 3, at) else text[at]
    at += len(quote)
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if text[at] == "\\" and not raw else 1
    return at + len(quote)
