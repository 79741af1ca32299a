"""A command line whose commands are imported when they run: help must not load the AWS SDK."""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

COMMANDS: Mapping[str, str] = {
    "scan": "Read every access key of the accounts, live, judge each, and write the reports.",
    "report": "Report on a stored run, without asking AWS anything.",
    "plan": "Plan changes for the findings of a stored run: one action per key, in plan.json.",
    "apply": "Apply a plan: read each key again, change it, verify it, and journal every step.",
    "undo": "Reactivate the keys that the plans of a run deactivated, if they are still inactive.",
    "diff": "Compare two stored runs: which findings are new, resolved, changed or still open.",
    "history": "List the stored runs; with RUN, every line of the journal about its plans.",
    "prune": "List the old runs that the store no longer needs; with --yes, remove them.",
    "keys": "Access keys of one user: list, last-used, create, activate, deactivate, delete,"
    " rotate, tour.",
    "policy": "The shipped policies and your own: list, show, check, explain, test.",
    "doctor": "Check every permission that a scan needs; print what is missing and the fix.",
    "permissions": "Print the smallest IAM policy that a task needs.",
    "deploy": "Print templates for the IAM roles that iamaudit assumes; it deploys nothing itself.",
    "publish": "Send the findings of a stored run elsewhere: securityhub.",
    "accounts": "Show which accounts LIST selects, and the role or profile that reads each.",
    "demo": "Scan an example organization that runs on this machine, without an AWS account.",
    "schema": "Print a JSON Schema: of report.json, plan.json, a policy, or tests of a policy.",
}
"""Each is the function or the group of its name in `auditor.cli.NAME`."""


class LazyGroup(TyperGroup):
    """The commands by name; each is loaded when it is about to run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return what help has to say of a command; None for one that is none."""
        told = COMMANDS.get(cmd_name)
        return None if told is None else TyperCommand(cmd_name, help=told, add_help_option=False)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command itself, with what is left for it."""
        name, found, rest = super().resolve_command(ctx, args)
        command = None if found is None else load(str(name))
        gc.enable()
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a value of iamaudit.toml that is none is told with the file."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from auditor.cli.configured import mistaken  # noqa: PLC0415 -- help needs no files

            raise mistaken(error) or error from None


@cache
def load(name: str) -> Any:
    """Return a command, imported now; it takes options from iamaudit.toml, too."""
    from auditor.cli.configured import configure  # noqa: PLC0415 -- help needs no files
    from auditor.cli.examples import epilog  # noqa: PLC0415 -- likewise

    with _without_certificates():
        found: Any = getattr(import_module(f"auditor.cli.{name}"), name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
        alone.command(name)(found)
        found = alone
    command = get_command(found)
    command.name, command.epilog = name, epilog(name)
    for each in getattr(command, "commands", {name: command}).values():
        configure(each)
    gc.freeze()  # what is imported stays: no search for garbage has to look through it
    return command


@contextmanager
def _without_certificates() -> Iterator[None]:
    """Let no module that is imported load the system's certificates.

    aiohttp loads them twice for contexts of its own, which then trust nobody; ours are others
    (`auditor.aws.tls`). It takes 70 ms, a tenth of all that is imported for a scan.
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
