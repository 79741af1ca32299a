"""Commands that take options from `iamaudit.toml`, too."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from auditor.cli import lazy
from auditor.cli.config_file import (
    LOWERED,
    NAME,
    File,
    Names,
    Option,
    Options,
    Setting,
    read_files,
    settings,
    unread,
)
from auditor.errors import AuditError

# What a plan of `--remediate apply` is kept in, and believed from.
DECIDING = ("output",)

_META = "auditor.cli.configured"


def configure(leaf: Any) -> None:
    """Give a command the option --config, and what the files say as its defaults."""
    leaf.params.append(_config_option())
    invoke = leaf.invoke

    def checked(ctx: Any) -> Any:
        _check_apply(ctx)
        return invoke(ctx)

    leaf.invoke = checked


def _config_option() -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(_placeholder)
    return next(one for one in typer.main.get_command(app).params if one.name == "config")


def _read_config(ctx: typer.Context, value: Path | None) -> None:
    if ctx.resilient_parsing:
        return
    before = ctx.meta.get(_META)
    given = value if _source(ctx, "config") == "COMMANDLINE" else before or value
    ctx.meta[f"{_META}.unread"] = unread(given, os.environ)
    files = read_files(given, os.environ)
    if not files:
        return
    names: list[str] = []
    above: Any = ctx
    while above.parent is not None:
        names.insert(0, above.info_name)
        above = above.parent
    options = options_of(ctx.command)
    said = settings(files, tuple(names), options, Loaded())
    ctx.default_map = {options[key].parameter: one.value for key, one in said.items()}
    ctx.meta[f"{_META}.said"] = {options[key].parameter: one for key, one in said.items()}
    ctx.meta[f"{_META}.here"] = next((file for file in files if not file.own), None)


def _placeholder(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="IAMAUDIT_CONFIG",
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_read_config,
            help=f"options in TOML; where not given, ~/.config/iamaudit/{NAME}",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Stand for the option: typer makes it from this."""


def remember(ctx: typer.Context, value: Path | None) -> None:
    """Keep a --config that was given before the command."""
    if value is not None:
        ctx.meta[_META] = value


def _source(ctx: Any, parameter: str) -> str:
    source = ctx.get_parameter_source(parameter)
    return "" if source is None else str(source.name)


def _from_file(ctx: Any, parameter: str) -> Setting | None:
    """Return what a file says where that counts: neither the command line nor a variable does."""
    said: dict[str, Setting] = ctx.meta.get(f"{_META}.said", {})
    return said.get(parameter) if _source(ctx, parameter) == "DEFAULT_MAP" else None


def _check_apply(ctx: Any) -> None:
    """Say which file of the current folder counts, or does not; raise AuditError for an apply.

    Even a quiet run says so: what it does depends on the folder that it runs in.
    """
    if ctx.meta.get(f"{_META}.unread"):
        typer.echo(f"{NAME} in the current folder is not used; --config {NAME} uses it.", err=True)
    here: File | None = ctx.meta.get(f"{_META}.here")
    if here is None:
        return
    for key in DECIDING if ctx.params.get("remediate") == "apply" else ():
        setting = _from_file(ctx, key)
        if setting is not None and not setting.file.own:
            raise AuditError(
                f"{here.shown}: {key} can't be set for --remediate apply in a file in the current"
                " folder",
                hint=f"give --{key}",
            )
    typer.echo(f"Using options from {here.shown}.", err=True)


def mistaken(error: Any) -> AuditError | None:
    """Return what to say where a usage error is about a value of a file."""
    ctx, parameter = error.ctx, error.param
    setting = ctx and parameter and _from_file(ctx, parameter.name)
    if not setting:
        return None
    key = parameter.opts[0].removeprefix("--")
    told = f"{setting.file.shown}: {key}: {error.message}"
    return AuditError(told, hint=f"iamaudit {ctx.info_name} --help says what --{key} may be")


def options_of(command: Any) -> Options:
    """Return the options of a command by key, as its function declares them."""
    hints = get_type_hints(command.callback)
    found = {}
    for one in command.params:
        names = [name for name in one.opts if name.startswith("--")]
        if one.name in hints and names:
            kind, repeatable = _kind(hints[one.name])
            key = names[0].removeprefix("--")
            found[key] = Option(
                key=key,
                parameter=one.name,
                kind=kind,
                repeatable=repeatable,
                settable=bool(one.envvar) or key in LOWERED,
                default=one.default,
            )
    return found


def _kind(hint: Any) -> tuple[type, bool]:
    if get_origin(hint) in {Union, UnionType}:
        [hint] = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is list:
        return get_args(hint)[0], True
    return hint, False


class Loaded:
    """The tool's commands (port Commands of `config_file`)."""

    def names(self, above: Names) -> list[str]:
        """Return the names in a group."""
        if not above:
            return list(lazy.COMMANDS)
        return list(getattr(_command(above), "commands", ()))

    def options(self, above: Names) -> Iterator[Options]:
        """Yield the options of each command."""
        inside = self.names(above)
        if not inside:
            yield options_of(_command(above))
        for name in inside:
            yield from self.options((*above, name))


def _command(names: Names) -> Any:
    command = lazy.load(names[0])
    for name in names[1:]:
        command = command.commands[name]
    return command
