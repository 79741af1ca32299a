"""Build the wheel and its environment as the Dockerfile does, and run the tool there, read-only.

What an editable install hides shows here: templates or packs missing from the wheel, a
dependency that is not declared, a file that is written where an image lets nobody write.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / ".ci/requirements.lock"
PLACES = ("/src", "/build", "/dist", "/opt/iamaudit", "/data")
"""Where the image has things; here they are below a folder."""


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "IAMAUDIT_", "PYTHON")) and name != "VIRTUAL_ENV"
    }
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment | variables,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each instruction of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    for line in text.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            yield name, rest.strip()


def sent() -> set[str]:
    """Return what .dockerignore lets into the build."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def build(folder: Path) -> None:
    """Do what the Dockerfile's first stage does, below the folder; raise for what can't be done."""
    stages, allowed = 0, sent()
    (folder / "src").mkdir()
    for name, text in instructions():
        stages += name == "FROM"
        if stages != 1:
            continue
        match name:
            case "COPY":
                *sources, target = text.split()
                assert set(sources) <= allowed, f".dockerignore: {sources}"
                for source in sources:
                    to = folder / "src" / target
                    to = to / Path(source).name if target.endswith("/") else to
                    to.parent.mkdir(exist_ok=True)
                    copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                    copy(ROOT / source, to)
            case "RUN":
                here = re.sub(rf"(?<=\s)({'|'.join(PLACES)})(?=[/\s])", rf"{folder}\1", f" {text} ")
                search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
                run("/bin/sh", "-euc", here, cwd=folder / "src", PATH=search)
            case "WORKDIR":
                assert text == "/src"


def read_only(folder: Path, *command: str | Path) -> None:
    """Run it where nothing but data/ can be written, as `docker run --read-only` does."""
    data = folder / "data"
    data.mkdir()
    # Root of a user namespace of its own may mount there, and is nobody outside of it.
    namespace = ("unshare", *(("--user", "--map-root-user") if os.getuid() else ()), "--mount")
    script = """
        mount --bind "$DATA" "$DATA"
        awk '$2 != ENVIRON["DATA"] { print $2 }' /proc/self/mounts | while read -r at; do
            mount -o remount,bind,ro "$at" 2>/dev/null || true
        done
        ! touch "$DATA/../outside" 2>/dev/null || { echo "still writable" >&2; exit 1; }
        cd "$DATA" && exec "$@"
    """
    try:
        run(*namespace, "true", cwd=folder)
    except (OSError, subprocess.CalledProcessError):
        print("NOT TRIED: a read-only file system, since this machine lets nobody unshare mounts.")
        return
    home, search = str(folder / "home"), f"{folder}/opt/iamaudit/bin:{os.environ['PATH']}"
    run(
        *namespace, "/bin/sh", "-euc", script, "sh", *command,
        cwd=folder, DATA=str(data), HOME=home, PATH=search, PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    left = sorted(path.name for path in data.iterdir())
    assert left == ["reports"], left


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        build(folder)
        iamaudit = folder / "opt/iamaudit/bin/iamaudit"
        assert json.loads(run(iamaudit, "schema", cwd=folder))["title"] == "Report"
        # The lock holds the versions; the wheel's own metadata says which of them are needed.
        pins = folder / "pins.txt"
        pins.write_text("".join(_pins(LOCK.read_text())))
        [wheel] = (folder / "dist").glob("*.whl")
        run(
            folder / "build/bin/pip", "--python", folder / "opt/iamaudit/bin/python",
            "install", "-q", "--disable-pip-version-check",
            "-c", pins, f"{wheel}[demo,cluster]", cwd=folder,
        )  # fmt: skip
        read_only(folder, "iamaudit", "demo", "--quiet")
        if not (folder / "data/reports").exists():
            run(iamaudit, "demo", "--quiet", cwd=folder / "data")
        reports = folder / "data/reports/latest"
        report = json.loads((reports / "report.json").read_text())
        assert report["coverage"]["accounts"]["audited"] > 10
        assert (reports / "report.html").stat().st_size > 50_000
    print("The wheel works in an environment of its own.")


def _pins(lock: str) -> list[str]:
    """Return the lock's versions without their hashes, as pip takes constraints."""
    lines = (line.removesuffix("\\").rstrip() for line in lock.splitlines())
    return [f"{line}\n" for line in lines if "==" in line and not line.startswith((" ", "#"))]


if __name__ == "__main__":
    main()
