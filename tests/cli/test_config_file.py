"""`iamaudit.toml`: what counts, what is refused, and what it can never say."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from auditor.cli.config_file import HARMLESS, own_path, read_files, settings
from auditor.cli.configured import Loaded, options_of
from auditor.cli.lazy import COMMANDS, load
from auditor.errors import AuditError
from tests.command import Ran, Run

Says: TypeAlias = Callable[..., Mapping[str, Any]]

COMMAND_LINE = Loaded()
OWN = ".config/iamaudit/iamaudit.toml"
NOBODY = {"AWS_PROFILE": "nobody", "COLUMNS": "200"}
"""A run that comes to AWS says so, and ends there."""


class Folder:
    """The folder that a command runs in, which is its home, too."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self._run = run

    def writes(self, text: str, *, name: str = "iamaudit.toml") -> "Folder":
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return self

    def runs(self, *arguments: str, **variables: str) -> Ran:
        return self._run(*arguments, variables=NOBODY | {"XDG_CONFIG_HOME": ""} | variables)

    def store_of(self, *arguments: str, **variables: str) -> str:
        """The store that a command looks for, and does not find."""
        told = self.runs("history", *arguments, **variables).stderr
        assert "there is no store" in told, told
        return told.split("there is no store ")[1].split(";")[0]


@pytest.fixture
def folder(tmp_path: Path, run: Run) -> Folder:
    return Folder(tmp_path, run)


@pytest.fixture
def says(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Says:
    """What the files come to for a command, without running it."""

    def defaults(*names: str, config: str | None = None) -> Mapping[str, Any]:
        monkeypatch.chdir(folder.path)
        variables = {"XDG_CONFIG_HOME": str(folder.path / ".config")}
        files = read_files(None if config is None else Path(config), variables)
        [options] = COMMAND_LINE.options(names)
        found = settings(files, names, options, COMMAND_LINE)
        return {key: one.value for key, one in found.items()}

    return defaults


def refused(ran: Ran) -> str:
    assert ran.code == 2, ran.stderr
    assert ran.stdout == ""
    [line] = ran.stderr.splitlines()
    assert line.startswith("iamaudit: ")
    assert "; " in line
    return line


def test_the_command_line_goes_before_the_variable_before_the_file_before_the_default(
    folder: Folder,
) -> None:
    assert folder.store_of() == "reports/iamaudit.db"

    folder.writes('output = "filed"', name=OWN)

    assert folder.store_of() == "filed/iamaudit.db"
    assert folder.store_of(IAMAUDIT_OUTPUT="variable") == "variable/iamaudit.db"
    assert folder.store_of("--output", "line", IAMAUDIT_OUTPUT="variable") == "line/iamaudit.db"


def test_a_table_of_the_command_goes_before_the_top_and_is_nobody_elses(folder: Folder) -> None:
    folder.writes('output = "top"\n[history]\noutput = "table"\n[plan]\noutput = "plan"', name=OWN)

    assert folder.store_of() == "table/iamaudit.db"


def test_a_file_is_looked_for_among_the_operators_own_alone(folder: Folder) -> None:
    folder.writes('output = "own"', name=OWN)
    folder.writes('output = "xdg"', name="xdg/iamaudit/iamaudit.toml")

    assert folder.store_of() == "own/iamaudit.db"
    assert folder.store_of(XDG_CONFIG_HOME=str(folder.path / "xdg")) == "xdg/iamaudit.db"

    folder.writes('output = "here"')

    assert folder.store_of() == "own/iamaudit.db"


def test_a_file_that_is_named_goes_before_the_operators_own(folder: Folder) -> None:
    folder.writes('output = "here"').writes('output = "other"', name="other.toml")
    variable = {"IAMAUDIT_CONFIG": "other.toml"}

    assert folder.store_of("--config", "other.toml") == "other/iamaudit.db"
    assert folder.store_of(**variable) == "other/iamaudit.db"
    assert folder.store_of("--config", "iamaudit.toml", **variable) == "here/iamaudit.db"
    before = folder.runs("--config", "iamaudit.toml", "history", **variable).stderr
    assert "here/iamaudit.db" in before


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_file_in_the_current_folder_that_nobody_named_is_not_used_and_said_so(
    folder: Folder, quiet: tuple[str, ...]
) -> None:
    folder.writes("not even TOML")

    assert folder.runs("scan", *quiet).stderr.startswith("iamaudit.toml in the current folder is")
    assert "--config iamaudit.toml" in folder.runs("scan", *quiet).stderr


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_file_in_the_current_folder_that_is_named_is_said_to_count(
    folder: Folder, quiet: tuple[str, ...]
) -> None:
    folder.writes("quiet = true")
    using = "Using options from iamaudit.toml.\n"

    assert folder.runs("scan", *quiet, "--config", "iamaudit.toml").stderr.startswith(using)


def test_the_operators_own_file_counts_without_a_word_though_it_lies_in_the_current_folder(
    folder: Folder,
) -> None:
    folder.writes('output = "own"', name="iamaudit/iamaudit.toml")
    home = {"XDG_CONFIG_HOME": str(folder.path)}

    assert "iamaudit.toml" not in folder.runs("history", **home).stderr
    assert folder.store_of("--config", "iamaudit/iamaudit.toml", **home) == "own/iamaudit.db"


def test_a_link_out_of_the_current_folder_is_still_of_the_current_folder(
    folder: Folder, says: Says, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.toml"
    elsewhere.write_text('profile = "prod"')
    (folder.path / "linked.toml").symlink_to(elsewhere)
    to_here = elsewhere.parent / "to-here"
    to_here.symlink_to(folder.path)

    assert says("scan", config=str(elsewhere)) == {"profile": "prod"}
    for linked in ("linked.toml", str(to_here / "linked.toml")):
        with pytest.raises(AuditError, match="profile can't be set"):
            says("scan", config=linked)


def test_a_file_of_the_operators_own_that_anybody_can_write_is_refused(
    folder: Folder, says: Says
) -> None:
    folder.writes('profile = "prod"', name=OWN)
    (folder.path / OWN).chmod(0o666)

    with pytest.raises(AuditError, match="can be written by others"):
        says("scan")


@pytest.mark.parametrize("command", [("plan",), ("apply",), ("undo",), ("keys", "rotate")])
def test_which_store_and_plan_are_believed_is_not_said_by_a_file_of_the_current_folder(
    folder: Folder, says: Says, command: tuple[str, ...]
) -> None:
    [options] = COMMAND_LINE.options(command)
    for key in {"store", "output", "run"}.intersection(options):
        folder.writes(f'{key} = "x"')

        with pytest.raises(AuditError, match=f"{key} can't be set for {command[0]}"):
            says(*command, config="iamaudit.toml")

        folder.writes(f'{key} = "x"', name=OWN)
        assert says(*command) == {key: "x"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('outpt = "x"', "iamaudit.toml: outpt: there is no such option (did you mean output?)"),
        ('[scan]\nacounts = "org"', "scan.acounts: there is no such option (did you mean accounts"),
        ("[scna]\n", "[scna]: there is no such command (did you mean scan?)"),
        ('[scan]\nrun = "x"', "scan.run: the command has no such option"),
        ("accounts = [111111111111]", "accounts: 111111111111 is not text in quotes, or a list"),
        ("accounts = []", "accounts: an empty list is not text in quotes"),
        ('concurrency = "60"', "concurrency: '60' is not a whole number"),
        ("concurrency = true", "concurrency: true is not a whole number"),
        ("quiet = 1", "quiet: 1 is not true or false"),
        ('max-share = "x"', "max-share: 'x' is not a number"),
        ("output = ['x']", "output: a list is not text in quotes"),
        ('source = "lief"', 'source: \'lief\' is not one of "live", "report"'),
        ("a = [", "iamaudit.toml: "),
        ("max_actions = 51", "max_actions can only be lowered in a file, from 50"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_the_key(
    folder: Folder, says: Says, text: str, told: str
) -> None:
    folder.writes(text)

    with pytest.raises(AuditError, match=re.escape(told)) as caught:
        says("scan", config="./iamaudit.toml")

    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_mistake_ends_a_run_with_2_and_one_line(folder: Folder) -> None:
    folder.writes('outpt = "x"', name=OWN)
    assert "outpt: there is no such option (did you mean output?)" in refused(folder.runs("scan"))

    folder.writes("concurrency = 100000", name=OWN)
    assert "iamaudit.toml: concurrency: " in refused(folder.runs("scan"))


def test_a_table_of_a_group_is_checked_when_one_of_its_commands_runs(
    folder: Folder, says: Says
) -> None:
    folder.writes('[keys]\nsink = "file:x"\nregion = "a"\n[keys.list]\nregion = "b"\n', name=OWN)
    assert says("keys", "list") == {"region": "b"}
    assert says("keys", "create") == {"sink": "file:x", "region": "a"}

    folder.writes("[keys.lst]\n", name=OWN)
    assert says("scan") == {}
    with pytest.raises(AuditError, match=r"\[keys.lst\]: there .* \(did you mean list\?\)"):
        says("keys", "list")


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_named(
    folder: Folder, says: Says, content: bytes | None
) -> None:
    if content is not None:
        (folder.path / "mine.toml").write_bytes(content)

    with pytest.raises(AuditError, match=r"mine\.toml: "):
        says("history", config="mine.toml")


@pytest.mark.parametrize("place", ["iamaudit.toml", OWN, "named.toml"])
@pytest.mark.parametrize(
    "line",
    [
        "yes = true",
        'remediate = "apply"',
        'remediate = "dry-run"',
        "allow-delete = true",
        "allow_rotate = true",
        "show-secret = true",
        "resume = true",
    ],
)
def test_what_makes_a_run_go_further_is_taken_from_no_file(
    folder: Folder, place: str, line: str
) -> None:
    folder.writes(line, name=place)
    named = () if place == OWN else ("--config", place)

    told = refused(folder.runs("scan", *named))

    assert f"{line.split(maxsplit=1)[0]} is never taken from a file" in told
    assert f"--{line.split(maxsplit=1)[0].replace('_', '-')} on the command line" in told


@pytest.mark.parametrize(
    "line",
    [
        'endpoint-url = "http://127.0.0.1:9"',
        'role-name = "admin"',
        'write_role_name = "admin"',
        'external-id = "abc"',
        'source-identity = "amy"',
        'profile = "prod"',
        'sink = "file:/tmp"',
        'scheduler = "tls://127.0.0.1:9"',
        "workers = 2",
    ],
)
def test_whom_a_run_trusts_is_not_said_by_a_file_of_the_current_folder(
    folder: Folder, says: Says, line: str
) -> None:
    folder.writes(line)
    key = line.split(maxsplit=1)[0]

    for command in ("scan", "apply", "history"):  # the last has no such option
        with pytest.raises(AuditError, match=f"{key} can't be set in a file in the current"):
            says(command, config="iamaudit.toml")

    folder.writes(line, name=OWN)
    assert says("scan").keys() == {key.replace("_", "-")}


def test_the_operators_own_file_says_whom_to_trust(folder: Folder) -> None:
    folder.writes('profile = "ghost"', name=OWN)

    assert "ghost" in folder.runs("scan", AWS_PROFILE="").stderr


def test_where_a_plan_to_be_applied_is_kept_is_not_said_by_a_file_of_the_current_folder(
    folder: Folder,
) -> None:
    apply = ("scan", "--remediate", "apply", "--yes", "--config", "iamaudit.toml")
    folder.writes('output = "elsewhere"')

    assert "output can't be set for --remediate apply" in refused(folder.runs(*apply))
    assert "can't be set" not in folder.runs(*apply, "--output", "mine").stderr


def test_the_rails_of_the_operators_own_file_stand(folder: Folder, says: Says) -> None:
    folder.writes(
        'output = "own"\nmax-share = 0.1\nlimit = 5\nonly = "root-access-key"\nprotect = "svc-*"'
        '\nwindow = "Mon 09:00-10:00 UTC"\nprotect-tag = "keep"\nmax_actions = 3\n',
        name=OWN,
    )
    folder.writes(
        'output = "here"\nlimit = 500\nonly = "key-too-old"\nprotect = ["ci-*", "svc-*"]\n'
        'window = "Sun 00:00-24:00 UTC"\nprotect-tag = "none"\n[scan]\nmax-share = 1\n'
        "max_actions = 50\n"
    )

    said = says("scan", config="iamaudit.toml")

    assert {**said, "protect": None} == {
        "output": "here",
        "max-share": 0.1,
        "limit": 5,
        "only": ["root-access-key"],
        "protect": None,
        "window": "Mon 09:00-10:00 UTC",
        "protect-tag": "keep",
        "max-actions": 3,
    }
    assert said["protect"] == ["svc-*", "ci-*"]


def test_a_time_may_be_written_as_toml_has_it(folder: Folder, says: Says) -> None:
    folder.writes("now = 2026-01-31T12:00:00Z")

    assert says("scan", config="iamaudit.toml") == {"now": "2026-01-31T12:00:00+00:00"}


def test_no_home_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", lost)

    assert own_path({}) is None
    assert own_path({"XDG_CONFIG_HOME": "relative"}) is None
    assert own_path({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/iamaudit/iamaudit.toml")


def test_every_option_with_a_variable_has_a_key_and_no_other_but_rails_to_lower() -> None:
    for name in COMMANDS:
        command = load(name)
        for leaf in getattr(command, "commands", {name: command}).values():
            options = options_of(leaf)
            for one in leaf.params:
                key = one.opts[0].removeprefix("--")
                if key in options:
                    wanted = one.envvar is not None or key in {"max-actions", "max-share"}
                    assert options[key].settable is wanted, key


def test_a_file_of_the_current_folder_says_only_what_there_is_an_option_for() -> None:
    """A misspelt name in the list would be harmless by mistake."""
    known = {
        key
        for name in COMMANDS
        for leaf in getattr(load(name), "commands", {name: load(name)}).values()
        for key in options_of(leaf)
    }

    assert HARMLESS - known <= {"rate"}


def test_the_file_in_the_documentation_is_one_that_counts(folder: Folder, says: Says) -> None:
    text = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    folder.writes(text.split("```toml\n")[1].split("```")[0], name=OWN)

    assert says("scan")["concurrency"] == 100
    assert says("plan")["max-share"] == 0.1
    assert says("keys", "create") == {"sink": "secretsmanager"}
