"""`iamaudit` as processes that are forked from one that has imported it: 0.1 s instead of 0.9.

Each is a process of its own, with the caller's arguments, folder, environment and files, and with a
journal, sockets and an end of its own. What is done to one from outside (signals, a terminal), and
what is about its start, is for the installed command.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeAlias

from auditor import cli
from auditor.cli.lazy import COMMANDS, load
from tests.crash.killed import arrange

Trap: TypeAlias = tuple[str, str, str]
"""Where a process ends itself, as `arrange` takes it."""

_LARGEST = 1 << 17
_SERVER_ENDED = 70
_CLIENT = """#!{python} -IS
import json, os, socket, sys
answer, end = os.pipe()
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), None]).encode()
socket.send_fds(socket.socket(fileno={server}), [call], [0, 1, 2, end])
os.close(end)
with open(answer) as told:
    code = int((told.readline(), told.readline())[1] or {server_ended})
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    killed: Trap | None = None,
    seconds: float = 120,
) -> tuple[int, str, str]:
    """Run it to its end in the folder, with nothing to read; return exit code, stdout and stderr.

    One that takes longer is killed: TimeoutError.
    """
    call = json.dumps([list(arguments), str(folder), dict(environment), killed]).encode()
    ours, its = socket.socketpair()
    with ours, TemporaryFile() as out, TemporaryFile() as err:
        with its, Path(os.devnull).open("rb") as nothing:
            files = [each.fileno() for each in (nothing, out, err, its)]
            socket.send_fds(_server(), [call], files)
        ours.settimeout(seconds)
        with ours.makefile() as told:
            pid = int(told.readline())
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        return code, _all_of(out), _all_of(err)


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def client() -> tuple[str, int]:
    """Return an `iamaudit` for shells: a script, and the open file that all of them inherit."""
    server = _server().fileno()
    script = _CLIENT.format(python=sys.executable, server=server, server_ended=_SERVER_ENDED)
    return script, server


_starting = threading.Lock()
_started: list[socket.socket] = []


def _server() -> socket.socket:
    """Return what calls are sent to; whoever is first starts it, and it ends with this process."""
    with _starting:
        if not _started:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its:
                process = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(its.fileno())],
                    cwd=Path(__file__).parents[1],
                    env=os.environ | {"PYTHONUTF8": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[its.fileno()],
                )
            atexit.register(process.wait)
            atexit.register(ours.close)  # which it takes for its end
            _started.append(ours)
        return _started[0]


def _serve(calls: socket.socket) -> None:
    for name in COMMANDS:
        load(name)
    gc.freeze()  # or each child copies all pages to mark what lies there
    waiting: dict[int, tuple[int, int]] = {}
    """By a child's own file, which can be read once it has ended: its id, and where to tell."""
    while True:
        ready, _, _ = select.select([calls.fileno(), *waiting], [], [])
        for each in waiting.keys() & set(ready):
            child, answer = waiting.pop(each)
            _, status = os.waitpid(child, 0)
            with suppress(BrokenPipeError):  # whoever asked has given up
                os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            _close(each, answer)
        if calls.fileno() not in ready:
            continue
        call, files, _, _ = socket.recv_fds(calls, _LARGEST, 4)
        if not call:
            return
        *files, answer = files
        child = os.fork()
        if child == 0:
            _close(answer, *waiting, *(other for _, other in waiting.values()))
            calls.close()
            _become(files, *json.loads(call))
            return
        os.write(answer, f"{child}\n".encode())
        waiting[os.pidfd_open(child)] = child, answer
        _close(*files)


def _close(*files: int) -> None:
    for each in files:
        os.close(each)


def _become(
    files: list[int],
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    killed: Trap | None,
) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if killed is not None:
        arrange(*killed)
    sys.argv = ["iamaudit", *arguments]
    cli.main()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
