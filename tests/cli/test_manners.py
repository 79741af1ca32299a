"""Help, colours, pipes, the next step, completion."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from auditor.cli.examples import EXAMPLES
from auditor.cli.lazy import COMMANDS, load
from tests.command import IAMAUDIT, Run, World, clean_environment

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38;[\d;]+|9[0-7])m")
GROUPED = ("scan", "plan", "apply", "report")


def output_of(*arguments: str, variables: Mapping[str, str]) -> str:
    return subprocess.run(
        [IAMAUDIT, *arguments],
        env=clean_environment() | dict(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout


def on_a_terminal(*arguments: str, variables: Mapping[str, str], folder: Path) -> str:
    """Run the tool on a terminal of its own; return all that it shows there."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [IAMAUDIT, *arguments],
        env=clean_environment() | {"TERM": "xterm-256color", "HOME": str(folder)} | dict(variables),
        cwd=folder,
        stdin=its,
        stdout=its,
        stderr=its,
    ):
        os.close(its)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_commands_with_options_that_there_are(name: str) -> None:
    for line, _ in EXAMPLES[name]:
        tool, command, *arguments = shlex.split(line.split("|")[0])
        loaded = load(command)
        if hasattr(loaded, "commands"):
            loaded = loaded.commands[arguments[0]]
        options = {opt for one in loaded.params for opt in one.opts}

        assert (tool, command) == ("iamaudit", name)
        assert {one for one in arguments if one.startswith("--")} <= options


@pytest.mark.parametrize("name", GROUPED)
def test_options_are_grouped_and_help_ends_with_examples(name: str) -> None:
    loose = {
        one.name
        for one in load(name).params
        if one.param_type_name == "option" and not one.rich_help_panel
    }

    assert loose == {"config"}
    assert name in EXAMPLES


def test_the_help_of_a_scan_shows_the_examples() -> None:
    told = output_of("scan", "--help", variables={"COLUMNS": "120"})

    assert "iamaudit scan --accounts org --remediate dry-run  # with a plan" in told


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_terminals_and_not_for_those_who_want_none(
    tmp_path: Path, variables: Mapping[str, str], coloured: bool
) -> None:
    for arguments in (("demo", "--format", "json"), ("scan", "--help")):
        told = on_a_terminal(*arguments, variables=variables, folder=tmp_path)

        assert bool(COLOUR.search(told)) is coloured


def test_a_report_on_stdout_is_nothing_but_the_report(run: Run, world: World) -> None:
    scanned = run("scan", "--accounts", "org", "--format", "json", variables=world.variables)

    told = run("report", "--output", "-", "--format", "json")

    assert json.loads(told.stdout)["run"]["id"] == scanned.report["run"]["id"]
    assert told.stderr == ""


def test_after_a_scan_the_next_commands_are_told_on_stderr(run: Run, world: World) -> None:
    plain = run("scan", "--accounts", "org", variables=world.variables)
    run_id = plain.report["run"]["id"]
    dry = run(
        "scan", "--accounts", "org", "--remediate", "dry-run", "--output", "my reports",
        variables=world.variables,
    )  # fmt: skip
    quiet = run("scan", "--accounts", "org", "--quiet", variables=world.variables)

    assert "iamaudit doctor --accounts org" in plain.stderr
    assert plain.stderr.splitlines()[-1].endswith(f": iamaudit plan --run {run_id}")
    assert "Next" not in plain.stdout
    assert quiet.stderr == ""
    assert "iamaudit plan" not in dry.stderr
    plan = json.loads((dry.folder.parent / "my reports/latest/plan.json").read_text())
    assert f"iamaudit apply {plan['id']} --output 'my reports'" in dry.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("iamaudit ", set(COMMANDS)),
        ("iamaudit sc", {"scan", "schema"}),
        ("iamaudit keys ro", {"rotate"}),
        ("iamaudit scan --acc", {"--accounts"}),
        ("iamaudit scan --source ", {"live", "report"}),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, wanted: set[str]) -> None:
    variables = {
        "_IAMAUDIT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }

    assert set(output_of(variables=variables).split()) == wanted


def test_completion_minds_no_broken_file(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[")
    variables = {
        "_IAMAUDIT_COMPLETE": "complete_bash",
        "COMP_WORDS": "iamaudit scan --acc",
        "COMP_CWORD": "2",
        "IAMAUDIT_CONFIG": str(tmp_path / "broken.toml"),
    }

    assert output_of(variables=variables).split() == ["--accounts"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str) -> None:
    told = output_of(
        "--show-completion", shell,
        variables={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip

    assert f"_IAMAUDIT_COMPLETE=complete_{shell}" in told


def test_a_crash_leaves_no_memory_on_the_disk(tmp_path: Path) -> None:
    """The credentials of sessions and the secrets of new keys are in it."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -S -c unlimited && exec "$0" "$@"', sys.executable, "-c", LIMITS],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    assert done.stdout.splitlines()[-1] == "0"


LIMITS = """
import resource, sys
from auditor.cli import main
sys.argv = ["iamaudit", "--version"]
try:
    main()
finally:
    print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""
