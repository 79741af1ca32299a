"""The pages that people read: their blocks, and the commands in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
COMMANDS = frozenset({"console", "sh"})
"""Languages of blocks of commands: after a `$ ` and with output, or one on each line."""

_BLOCK = re.compile(
    r"(?:^<!-- file (?P<file>\S+) -->\n)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)
_EXITS = re.compile(r"\s#.*\bexits (\d+)")
_INLINE = re.compile(r"(?<!`)`(iamaudit [^`]+)`")


@dataclass(frozen=True)
class Command:
    """One command, with what the page says comes of it."""

    line: int
    text: str
    exits: int | None
    """None where the page says nothing."""
    shown: list[str] = field(default_factory=list)
    """The lines of its output that are shown; `…` stands for what was left out."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str
    file: str | None
    """The name under which the commands after it find it: `<!-- file NAME -->` before the block."""

    @property
    def commands(self) -> list[Command]:
        """The block's commands in order; raise ValueError for a block that has none."""
        if self.language not in COMMANDS:
            return []
        found: list[Command] = []
        unfinished = ""
        for number, line in enumerate(self.text.splitlines(), start=self.line + 1):
            if unfinished or self.language == "sh" or line.startswith("$ "):
                text = unfinished + line.removeprefix("$ ")
                unfinished = text.removesuffix("\\") if text.endswith("\\") else ""
                if not unfinished and text.strip():
                    exits = _EXITS.search(text)
                    found.append(Command(number, text, int(exits[1]) if exits else None))
            elif not found:
                raise ValueError(f"{self.page}:{number}: output before a command")
            else:
                found[-1].shown.append(line)
        if not found or unfinished:
            raise ValueError(f"{self.page}:{self.line}: no command, or half of one")
        return found


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        fence = text.index("```", match.start())
        yield Block(
            page=page.name,
            line=text.count("\n", 0, fence) + 1,
            language=match["language"],
            text=match["text"],
            file=match["file"],
        )


def inline_commands(page: Path) -> list[str]:
    """Return the commands that stand in running text; some of their words are placeholders."""
    text = _BLOCK.sub("", page.read_text())
    return [" ".join(command.split()) for command in _INLINE.findall(text)]


def shows(output: str, lines: list[str]) -> str | None:
    """Return the first of the lines that the output does not have, in their order; else None."""
    at, output = 0, _even(output)
    for line in lines:
        parts = [re.escape(part) for part in _even(line).strip().split("…")]
        if not any(parts):
            continue
        found = re.compile(r"[^\n]*?".join(parts)).search(output, at)
        if found is None:
            return line
        at = found.end()
    return None


def _even(text: str) -> str:
    """Return the text without what depends on the width of the terminal."""
    return re.sub(r"[ \t]+", " ", text)
