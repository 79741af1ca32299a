"""A shell whose `iamaudit` is forked from a process that has imported it: 0.1 s instead of 0.9.

Each call is a process of its own, with the caller's arguments, folder, environment and files.
"""

import gc
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from auditor import cli
from auditor.cli.lazy import COMMANDS, load

_LARGEST = 1 << 17
_CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({address!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [call], [0, 1, 2])
    code = int(server.recv(64) or 70)
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


class Shell:
    """Runs lines as /bin/sh does; what is exported stays."""

    def __init__(self, tools: Path, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = {**variables, "PATH": f"{tools}:{os.environ['PATH']}"}
        self._before: list[str] = []

    def run(self, line: str) -> tuple[int, str]:
        """Run the line, with somebody who answers yes; return its exit code, and its output."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, b"yes\n")
            ran = subprocess.run(
                ["/bin/bash", "-ec", "\n".join([*self._before, line])],
                cwd=self._folder,
                env=self._variables,
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        if line.startswith("export "):
            self._before.append(line)
        return ran.returncode, ran.stdout


@contextmanager
def tools(folder: Path) -> Iterator[Path]:
    """Yield a folder for PATH with an `iamaudit` that starts quickly."""
    address, client = folder / "iamaudit.socket", folder / "bin/iamaudit"
    client.parent.mkdir()
    client.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(address)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUTF8": "1"},
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        try:
            yield client.parent
        finally:
            server.terminate()


def _serve(address: str) -> None:
    for name in COMMANDS:
        load(name)
    gc.freeze()  # or each child copies all pages to mark what lies there
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(address)
        server.listen()
        os.write(1, b"ready\n")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            caller, _ = server.accept()
            if os.fork() == 0:
                break
            caller.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call, files, _, _ = socket.recv_fds(caller, _LARGEST, 3)
    child = os.fork()
    if child == 0:
        caller.close()
        arguments, folder, environment = json.loads(call)
        _become(arguments, folder, environment, files)
    else:
        _, status = os.waitpid(child, 0)
        caller.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[int]
) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["iamaudit", *arguments]
    cli.main()


if __name__ == "__main__":
    _serve(sys.argv[1])
