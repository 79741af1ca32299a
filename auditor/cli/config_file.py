"""`iamaudit.toml`: which file counts, and what it may say.

A key is an option that has an IAMAUDIT_* variable. What makes a run go further (`--yes`,
`--allow-…`, `--remediate`, `--show-secret`) has none: no file says it, either. A file in the
current folder may have come with a clone: it is read only where `--config` names it, and may say
`HARMLESS` alone.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, time
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from auditor.errors import AuditError
from auditor.paths import check_private, read_text

NAME = "iamaudit.toml"
HARMLESS = frozenset({
    "accounts", "exclude", "source", "transport", "concurrency", "rate", "region",
    "policy", "now", "fail-on", "only", "limit", "protect", "protect-tag", "max-actions",
    "max-share", "window", "format", "output", "store", "run", "mask-keys", "quiet", "log-level",
})  # fmt: skip
"""What a file in the current folder may say; an option that is new is not among it by itself.

Nor is what starts processes: `workers`.
"""
# The commands that act on what is stored, and where it lies: nobody else may choose that.
ACTING = frozenset({"plan", "apply", "undo", "keys"})
STORED = frozenset({"store", "output", "run"})
RAILS = frozenset({"only", "limit", "protect-tag", "max-actions", "max-share", "window"})
"""What the operator's own file says of these stands, whatever lies in the current folder."""
LOWERED = frozenset({"max-actions", "max-share"})
"""Rails that a file may make narrower, and have no variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of settings."""

    shown: str
    content: Mapping[str, Any]
    own: bool
    """Whether it is the operator's: not so in the current folder and below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command, as a file may say it."""

    key: str
    """Its name without the dashes."""
    parameter: str
    kind: type
    repeatable: bool
    settable: bool
    default: Any


Options: TypeAlias = Mapping[str, Option]
Names: TypeAlias = tuple[str, ...]
"""A command or a group by its names: (), ("scan",), ("keys", "list")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What counts for an option, and the file that says so."""

    value: Any
    file: File


class Commands(Protocol):
    """The commands of the tool; each is loaded when it is looked at."""

    def names(self, above: Names) -> list[str]:
        """Return what is in a group by name; nothing for a command itself."""

    def options(self, above: Names) -> Iterator[Options]:
        """Yield the options of each command of a group; of the command itself where it is one."""


def read_files(given: Path | None, variables: Mapping[str, str]) -> list[File]:
    """Return the files that count, the nearer first; raise AuditError.

    That is the one that is named. Without one, and beside one in the current folder, it is the
    operator's own.
    """
    named = [] if given is None else [_read(given, str(given), own=not _is_here(given))]
    home = own_path(variables)
    if home is None or not home.is_file() or any(file.own for file in named):
        return named
    if given is not None and given.exists() and given.samefile(home):
        return [replace(named[0], own=True)]
    return [*named, _read(home, str(home), own=True)]


def unread(given: Path | None, variables: Mapping[str, str]) -> bool:
    """Whether there is a file in the current folder that nobody named, and so does not count."""
    here, home = Path(NAME), own_path(variables)
    if given is not None or not here.exists():
        return False
    return home is None or not home.is_file() or not here.samefile(home)


def _is_here(path: Path) -> bool:
    """Whether a file lies in the current folder or below, or a link there leads to it."""
    # The folder that is named may itself be a link to here.
    named = path.parent.resolve() / path.name
    here, places = Path.cwd(), (path.absolute(), named, path.resolve())
    if here == here.parent:  # in a container, say: not all files of a machine are of its root
        return any(each.parent == here for each in places)
    return any(each.is_relative_to(here) for each in places)


def own_path(variables: Mapping[str, str]) -> Path | None:
    """Return where the operator's own file is looked for; None where there is no home."""
    folder = Path(variables.get("XDG_CONFIG_HOME", ""))
    try:
        base = folder if folder.is_absolute() else Path.home() / ".config"
    except RuntimeError:
        return None
    return base / "iamaudit" / NAME


def _read(path: Path, shown: str, *, own: bool) -> File:
    import tomllib  # noqa: PLC0415 -- most runs have no file

    try:
        if own:
            check_private(path, path.stat(), group_may_write=True)
        return File(shown=shown, content=tomllib.loads(read_text(path)), own=own)
    except OSError as error:
        raise AuditError(f"{shown}: {error.strerror}", hint="name a readable file") from None
    except UnicodeDecodeError:
        raise AuditError(f"{shown}: it is not UTF-8 text", hint="save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AuditError(f"{shown}: {error}", hint='write TOML, as accounts = "org"') from None


def settings(
    files: list[File], names: Names, options: Options, commands: Commands
) -> dict[str, Setting]:
    """Return what the files say for a command, by key; raise AuditError.

    The nearer file wins, but for the rails of the operator's own; what is protected by either is.
    """
    said = [_said(file, names, options, commands) for file in files]
    merged: dict[str, Setting] = {}
    for values in reversed(said):
        merged |= {
            key: setting for key, setting in values.items() if not (key in RAILS and key in merged)
        }
    protect = [one for values in reversed(said) for one in _protected(values)]
    if protect:
        every = list(dict.fromkeys(protect))
        merged["protect"] = replace(merged["protect"], value=every)
    return merged


def _protected(values: Mapping[str, Setting]) -> list[str]:
    return list(values["protect"].value) if "protect" in values else []


def _said(file: File, names: Names, options: Options, commands: Commands) -> dict[str, Setting]:
    """Return what one file says for a command: at the top, then in its tables, the inner last."""
    said: dict[str, Setting] = {}
    table: Any = file.content
    for depth in range(len(names) + 1):
        above = names[:depth]
        for written, value in table.items():
            shown, key = ".".join((*above, written)), written.replace("_", "-")
            if isinstance(value, dict):
                _check_table(file, shown, written, commands.names(above))
            elif key in options and options[key].settable:
                _check_place(file, shown, key, names)
                said[key] = Setting(value=_value(file, shown, options[key], value), file=file)
            else:
                _check_key(file, shown, key, above, commands)
        table = table.get(names[depth]) if depth < len(names) else None
        if not isinstance(table, dict):
            break
    return said


def _check_table(file: File, shown: str, name: str, names: list[str]) -> None:
    """Raise AuditError for a table that is named after no command."""
    if name not in names:
        raise AuditError(
            f"{file.shown}: [{shown}]: there is no such command{_near(name, names)}",
            hint="name the table after a command, as [scan]",
        )


def _check_place(file: File, shown: str, key: str, names: Names) -> None:
    """Raise AuditError for what only a file of the operator's own may say to a command."""
    if file.own:
        return
    if key not in HARMLESS:
        whom = ""
    elif key in STORED and ACTING.intersection(names[:1]):
        whom = f" for {names[0]}"
    else:
        return
    raise AuditError(
        f"{file.shown}: {shown} can't be set{whom} in a file in the current folder",
        hint=f"move it to {own_path(os.environ) or 'your own file'}, or give --{key}",
    )


def _check_key(file: File, shown: str, key: str, above: Names, commands: Commands) -> None:
    """Raise AuditError for a key that none of the commands that it is for takes from a file."""
    mine = [options[key] for options in commands.options(above) if key in options]
    if any(option.settable for option in mine):
        _check_place(file, shown, key, above)
    elif mine:
        raise AuditError(
            f"{file.shown}: {shown} is never taken from a file",
            hint=f"remove it, and give --{key} on the command line where it is wanted",
        )
    else:
        every = [one for options in commands.options(()) for one in options.values()]
        names = {one.key for one in every if one.settable or one.key == key}
        told = "the command has" if key in names else "there is"
        raise AuditError(
            f"{file.shown}: {shown}: {told} no such option{_near(key, sorted(names - {key}))}",
            hint="a key is the name of an option, as --help of the command lists them",
        )


def _near(word: str, names: list[str]) -> str:
    near = get_close_matches(word, names, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _value(file: File, shown: str, option: Option, value: Any) -> Any:
    """Return a value as the command line takes it; raise AuditError for one of another type."""
    items = value if option.repeatable and isinstance(value, list) else [value]
    taken = [_plain(option.kind, item) for item in items]
    if not taken or None in taken:
        wanted = _wanted(option)
        got = "an empty list" if not taken else _toml(items[taken.index(None)])
        raise AuditError(f"{file.shown}: {shown}: {got} is not {wanted}", hint=f"write {wanted}")
    if option.key in LOWERED and option.default is not None and taken[0] > option.default:
        raise AuditError(
            f"{file.shown}: {shown} can only be lowered in a file, from {option.default}",
            hint=f"give --{option.key} on the command line",
        )
    return taken if option.repeatable else taken[0]


def _plain(kind: type, item: Any) -> Any:
    if kind is bool or isinstance(item, bool):
        return item if kind is bool and isinstance(item, bool) else None
    if kind in {int, float}:
        return item if isinstance(item, int | kind) else None
    if isinstance(item, date | time):
        return item.isoformat()
    if issubclass(kind, Enum) and item not in [one.value for one in kind]:
        return None
    return item if isinstance(item, str) and item else None


def _wanted(option: Option) -> str:
    if issubclass(option.kind, Enum):
        return "one of " + ", ".join(f'"{one.value}"' for one in option.kind)
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    told = names.get(option.kind, "text in quotes")
    return f"{told}, or a list of such" if option.repeatable else told


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return repr(value)
