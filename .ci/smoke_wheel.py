"""Build the wheel, install it into an environment of its own, and run the demo with it.

What an editable install hides shows here: templates or packs missing from the wheel, a
dependency that is not declared.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / ".ci/requirements.lock"


def run(*command: str | Path, cwd: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "IAMAUDIT_", "PYTHON")) and name != "VIRTUAL_ENV"
    }
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
        [wheel] = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv/bin/python"
        # The lock holds the versions; the wheel's own metadata says which of them are needed.
        pins = folder / "pins.txt"
        pins.write_text("".join(_pins(LOCK.read_text())))
        run(
            python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
            "-c", pins, f"{wheel}[demo,cluster]", cwd=folder,
        )  # fmt: skip
        iamaudit = folder / "venv/bin/iamaudit"
        run(iamaudit, "demo", "--quiet", cwd=folder)
        report = json.loads((folder / "reports/latest/report.json").read_text())
        assert report["coverage"]["accounts"]["audited"] > 10
        assert (folder / "reports/latest/report.html").stat().st_size > 50_000
        assert json.loads(run(iamaudit, "schema", cwd=folder))["title"] == "Report"
    print("The wheel works in an environment of its own.")


def _pins(lock: str) -> list[str]:
    """Return the lock's versions without their hashes, as pip takes constraints."""
    lines = (line.removesuffix("\\").rstrip() for line in lock.splitlines())
    return [f"{line}\n" for line in lines if "==" in line and not line.startswith((" ", "#"))]


if __name__ == "__main__":
    main()
