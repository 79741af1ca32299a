"""Commands of the pages that can't be run here, and what they are held to instead.

`ELSEWHERE` is the whole list: a page with any other command fails its test.
"""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from botocore.session import Session
from botocore.validate import ParamValidator
from click import ClickException
from distributed.cli import dask_scheduler, dask_worker
from packaging.requirements import Requirement

from tests.documents.kubernetes import check_resource
from tests.documents.pages import ROOT

Checked: TypeAlias = str | None
"""A command to run in its place, if there is one."""

_AWS_GLOBAL = {"--profile", "--region", "--output", "--query"}
_DOCKER_FLAGS = {"--rm", "--read-only", "-it"}
_DOCKER_OPTIONS = {"--volume", "--env", "--cap-drop", "--security-opt"}
_DASK = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
_TERRAFORM = {("init",), ("apply",)}


def aws(words: list[str], folder: Path) -> Checked:
    """The operation, its parameters and their values are right by the SDK's model of AWS."""
    service, operation, *rest = words
    model = Session().get_service_model(service)
    names = {_dashed(name): name for name in model.operation_names}
    shape = model.operation_model(names[operation]).input_shape
    members = {f"--{_dashed(name)}": name for name in shape.members}
    given: dict[str, list[str]] = {}
    for word in rest:
        if word.startswith("--"):
            given[word] = values = []
        else:
            values.append(word)
    parameters: dict[str, Any] = {}
    for option, values in given.items():
        if option == "--cli-input-json":
            parameters |= json.loads(_content(values[0], folder))
        elif option not in _AWS_GLOBAL:
            member = members.get(option) or members[option.replace("--no-", "--", 1)]
            if option not in members:  # a flag, taken back
                assert shape.members[member].type_name == "boolean", option
            parameters[member] = _value(values, shape.members[member], folder)
    told = ParamValidator().validate(parameters, shape).generate_report()
    assert not told, told
    return None


def _dashed(name: str) -> str:
    """Return the name as the AWS CLI writes it: `RoleName` is `role-name`, `ARN` is `arn`."""
    parts: list[str] = []
    for number, letter in enumerate(name):
        after = name[number + 1 : number + 2]
        starts = letter.isupper() and (not name[number - 1 : number].isupper() or after.islower())
        parts.append(f"-{letter}" if starts and number else letter)
    return "".join(parts).lower()


def _content(value: str, folder: Path) -> str:
    return (folder / value.removeprefix("file://")).read_text() if "file://" in value else value


def _value(values: list[str], shape: Any, folder: Path) -> Any:
    texts = [_content(value, folder) for value in values]
    match shape.type_name:
        case "string":
            [text] = texts
            assert not shape.enum or text in shape.enum, f"{text} is none of {shape.enum}"
            return text
        case "boolean":
            return not texts
        case "list" if texts[0].startswith("["):
            return json.loads(texts[0])
        case "list":
            return [_value([text], shape.member, folder) for text in texts]
        case "structure" if texts[0].startswith("{"):
            return json.loads(texts[0])
        case "structure":  # the shorthand: Name=value,Other=value
            pairs = [part.split("=", 1) for part in ",".join(texts).split(",")]
            return {name: _short(value, shape.members[name]) for name, value in pairs}
        case other:
            raise AssertionError(f"no way to read a {other}")


def _short(value: str, shape: Any) -> Any:
    if shape.type_name == "boolean":
        return {"true": True, "false": False}[value]
    if shape.type_name == "list":
        return [value]
    assert not getattr(shape, "enum", None) or value in shape.enum, value
    return value


def docker(words: list[str], folder: Path) -> Checked:
    """The Dockerfile is linted, its steps are what the wheel is tried with; the rest is run."""
    if words[0] == "build":
        assert (ROOT / "Dockerfile").exists()
        assert words[1:] == ["--tag", "iamaudit", "."]
        return None
    assert words.pop(0) == "run"
    while words[0].startswith("-"):
        option = words.pop(0)
        if option in _DOCKER_OPTIONS:
            words.pop(0)
        else:
            assert option in _DOCKER_FLAGS, option
    assert words[0] == "iamaudit"
    return shlex.join(words)


def kubectl(words: list[str], folder: Path) -> Checked:
    """What is applied is a file of the page, each resource of which is looked at."""
    match words:
        case ["apply", "--filename", name]:
            for resource in yaml.safe_load_all((folder / name).read_text()):
                check_resource(resource)
        case ["create", "job", "first", "--from", "cronjob/iamaudit", "--namespace", "iamaudit"]:
            pass
        case _:
            raise AssertionError(f"no way to check: kubectl {shlex.join(words)}")
    return None


def terraform(words: list[str], folder: Path) -> Checked:
    """What `deploy terraform` prints is read by HCL's own grammar in tests/cli/test_deploy.py."""
    assert tuple(words) in _TERRAFORM
    assert any(folder.glob("*.tf"))
    return None


def pip(words: list[str], folder: Path) -> Checked:
    """It names this project, a version that is or will be, and extras that there are."""
    assert words[0] == "install"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in words[1:]:
        wanted = Requirement(re.sub(r"^\.", project["name"], word))
        assert wanted.name == project["name"]
        assert wanted.extras <= set(project["optional-dependencies"])
        assert wanted.specifier.contains(project["version"])
    return None


def make(words: list[str], folder: Path) -> Checked:
    """The target exists; what it does is what the check does, or a benchmark."""
    program = shutil.which("make")
    assert program is not None
    ran = subprocess.run(
        [program, "--dry-run", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return None


def dask(words: list[str], folder: Path) -> Checked:
    """Dask's own command line takes the options; tests/cluster runs what they start."""
    name, *arguments = words
    try:
        _DASK[name].make_context(name, arguments)
    except ClickException as error:
        raise ValueError(error.message) from None
    return None


ELSEWHERE: Mapping[str, Callable[[list[str], Path], Checked]] = {
    "aws": aws,
    "dask": dask,
    "docker": docker,
    "kubectl": kubectl,
    "make": make,
    "pip": pip,
    "pipx": pip,
    "terraform": terraform,
}
LOST = {
    "iamaudit scan --accounts org --scheduler tls://scheduler.example.com:8786": (
        "that scheduler is nobody's; tests/cluster/test_workers.py scans by one of its own"
    ),
}
"""Commands of ours that need another machine: their options are looked at, and why no more."""
