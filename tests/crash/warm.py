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
"""What multiprocessing says where it missed how a process ended; the tool never exits so.

Then what counts is how the process itself said that it was about to end: a killed one says nothing.
"""
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
    names = ("stdout", "stderr", "code")
    told = stdout, stderr, ended = [folder.with_name(f"{folder.name}.{name}") for name in names]
    ended.unlink(missing_ok=True)
    process = _FORKS.Process(
        target=_child, args=(arguments, killed, dict(environment), folder, told)
    )
    process.start()
    process.join(120)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
        raise TimeoutError(arguments)
    if code == _UNTOLD:
        if ended.exists():
            code = int(ended.read_text())
        elif killed is not None:
            code = -signal.SIGKILL
    process.close()
    return code, stdout.read_text(), stderr.read_text()


def _child(
    arguments: tuple[str, ...],
    killed: tuple[str, str, str] | None,
    environment: dict[str, str],
    folder: Path,
    told: list[Path],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    *printed, ended = told
    for number, path in enumerate(printed, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    if killed is not None:
        arrange(*killed)
    sys.argv = ["iamaudit", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        ended.write_text(str(int(end.code or 0)))
        raise
