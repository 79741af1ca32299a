"""Every command in README.md and docs/ does what its page says."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.cli.exits import ExitCode
from auditor.cli.lazy import COMMANDS as SUBCOMMANDS
from auditor.cli.lazy import load
from tests.command import World
from tests.documents.elsewhere import ELSEWHERE, LOST
from tests.documents.pages import COMMANDS, PAGES, ROOT, Command, blocks, inline_commands, shows
from tests.documents.snippets import SNIPPETS, parse
from tests.documents.warm_shell import Shell
from tests.documents.words import here

HERE = frozenset({"cat", "cd", "export", "iamaudit", "mkdir"})
"""What a line that is run begins with."""
FINDS = frozenset({"scan", "report"})
"""Commands that exit with 1 where the organization that is served has open findings."""
WITH_COMMANDS = [page for page in PAGES if any(block.commands for block in blocks(page))]
INCOMPLETE = "first-scan.md"
"""The page about an account that can't be entered; for the others all can."""


@pytest.fixture
def served(request: pytest.FixtureRequest, page: Path) -> World:
    name = "world" if page.name == INCOMPLETE else "readable"
    world: World = request.getfixturevalue(name)
    return world


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(
    page: Path, served: World, shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    (folder / "templates").symlink_to(ROOT / "templates")
    told = []
    for block in blocks(page):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(here(block.text, served, folder))
            for script, exits in SNIPPETS[block.file](path):
                code, output = shell.run(script)
                if code != exits:
                    told.append(f"{block.file} exits {code}, not {exits}: {script}\n{output}")
        for command in block.commands:
            told += [
                f"{page.name}:{command.line}: {command.text}\n  {each}"
                for each in wrong(command, served, shell, folder)
            ]

    assert not told, "\n".join(told)


def wrong(command: Command, world: World, shell: Shell, folder: Path) -> Iterator[str]:
    """Run or check the command; yield what is not as the page says."""
    text = command.text.strip()
    words = shlex.split(text, comments=True)
    if shlex.join(words) in LOST:
        yield from unknown_options(words)
        return
    if words[0] in ELSEWHERE:
        try:
            inside = ELSEWHERE[words[0]](words[1:], folder)
        except (AssertionError, LookupError, OSError, ValueError) as error:
            yield repr(error)
            return
        if inside is None:
            return
        text, words = inside, shlex.split(inside)
    if words[0] not in HERE:
        yield f"no way to try {words[0]}: run it, or say in tests/documents/elsewhere.py how"
        return
    code, output = shell.run(here(text, world, folder))
    expected = command.exits
    if expected is None:
        expected = ExitCode.FINDINGS if set(words[1:2]) & FINDS else ExitCode.CLEAN
    if code != expected:
        yield f"exits {code}, not {int(expected)}:\n{output}"
    missing = shows(output, [here(line, world, folder) for line in command.shown])
    if missing is not None:
        yield f"does not show {missing!r}:\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_is_looked_at(page: Path) -> None:
    for block in blocks(page):
        if block.language not in COMMANDS | {"text"}:
            assert parse(block.language, block.text) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_running_text_have_options_that_there_are(page: Path) -> None:
    told = [each for text in inline_commands(page) for each in unknown_options(shlex.split(text))]

    assert not told


def unknown_options(words: list[str]) -> Iterator[str]:
    """Yield what our command line does not know of `iamaudit COMMAND … --option …`."""
    name, *rest = words[1:]
    if name.startswith("--"):
        return
    if name not in SUBCOMMANDS:
        yield f"iamaudit {name}"
        return
    command = load(name)
    inside = getattr(command, "commands", {})
    leaf = inside.get(rest[0], command) if rest else command
    known = {opt for one in leaf.params for opt in one.opts} | {"--help"}
    for word in rest:
        if word.startswith("-") and word != "-" and word.partition("=")[0] not in known:
            yield f"iamaudit {name}: {word}"
