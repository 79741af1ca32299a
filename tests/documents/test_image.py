"""The container image, as far as it can be seen without Docker; `make lint` runs hadolint."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tests.documents.pages import ROOT


def smoke() -> ModuleType:
    """What builds by the Dockerfile's commands."""
    spec = importlib.util.spec_from_file_location("smoke_wheel", ROOT / ".ci/smoke_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def final_stage() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, text in smoke().instructions():
        if name == "FROM":
            found.clear()
        found.setdefault(name, []).append(text)
    return found


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+==\S+)", (ROOT / ".ci" / name).read_text(), re.MULTILINE))


def test_the_image_runs_as_a_number_that_is_not_root_and_writes_to_data_alone() -> None:
    stage = final_stage()

    assert stage["USER"] == ["65532:65532"]
    assert stage["VOLUME"] == stage["WORKDIR"] == ["/data"]
    assert stage["ENTRYPOINT"] == ['["iamaudit"]']
    assert "PYTHONDONTWRITEBYTECODE=1" in stage["ENV"][0]
    # What is trusted lies in the home: only /data is made for the user.
    assert re.findall(r"-o 65532 -g 65532 (\S+)", stage["RUN"][0]) == ["/data"]


def test_the_base_has_a_tag_and_can_be_given_with_a_digest() -> None:
    [base] = (text for name, text in smoke().instructions() if name == "ARG")
    stages = [text for name, text in smoke().instructions() if name == "FROM"]

    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+", base)
    assert stages == ["${PYTHON} AS build", "${PYTHON}"]


def test_all_that_is_installed_is_locked_as_everywhere() -> None:
    locked = pins("requirements.lock")

    assert pins("image.lock") | pins("build.lock") <= locked
    assert pins("image.lock") > {
        each for each in locked if each.startswith(("aioboto3=", "typer="))
    }
    assert not any(each.startswith(("moto=", "pytest=", "pip=")) for each in pins("image.lock"))
    for _, text in smoke().instructions():
        for command in text.split("&&"):
            if " install " in command and "pip" in command:
                assert "--require-hashes" in command or "--no-index" in command


def test_hadolint_finds_what_is_wrong_with_a_dockerfile(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python:latest\nRUN pip install x && cd /tmp\n")
    hadolint = Path(sys.executable).with_name("hadolint")

    told = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)

    assert told.returncode == 1
    assert "DL3007" in told.stdout
