"""`iamaudit` as processes that are forked from one that has imported it: 0.2 s instead of 0.9.

Each is a process of its own with a journal, sockets and an end of its own; what is done to them
from outside (signals, a terminal) is done to the installed command instead.
"""

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from auditor import cli
from tests.crash.killed import arrange

_UNTOLD = 255
"""What multiprocessing says where it missed how a process ended; the tool never exits so."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.crash.warm"])
for _name in ("apply", "history", "keys", "plan", "report", "scan", "undo"):
    importlib.import_module(f"auditor.cli.{_name}")


def run(
    arguments: tuple[str, ...],
    *,
    killed: tuple[str, str, str] | None,
    environment: Mapping[str, str],
    folder: Path,
) -> tuple[int, str, str]:
    """Run it to its end in the folder; return the exit code, stdout and stderr."""
    printed = [folder.with_name(f"{folder.name}.{name}") for name in ("stdout", "stderr")]
    process = _FORKS.Process(
        target=_child, args=(arguments, killed, dict(environment), folder, printed)
    )
    process.start()
    process.join(120)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
        raise TimeoutError(arguments)
    if killed is not None and code == _UNTOLD:
        code = -signal.SIGKILL
    process.close()
    stdout, stderr = (each.read_text() for each in printed)
    return code, stdout, stderr


def _child(
    arguments: tuple[str, ...],
    killed: tuple[str, str, str] | None,
    environment: dict[str, str],
    folder: Path,
    printed: list[Path],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(printed, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    if killed is not None:
        arrange(*killed)
    sys.argv = ["iamaudit", *arguments]
    cli.main()
