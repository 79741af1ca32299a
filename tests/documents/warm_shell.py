"""A shell whose `iamaudit` starts quickly: see warm.py."""

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import warm


class Shell:
    """Runs lines as /bin/sh does; what is exported stays."""

    def __init__(self, tools: Path, folder: Path, variables: Mapping[str, str]) -> None:
        script, self._inherited = warm.client()
        (tools / "iamaudit").write_text(script)
        (tools / "iamaudit").chmod(0o755)
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
                pass_fds=[self._inherited],
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
