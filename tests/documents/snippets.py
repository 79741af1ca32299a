"""Files that the pages give, and what they are held to beside the commands that use them."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.documents import kubernetes
from tests.documents.elsewhere import pip

Script: TypeAlias = tuple[str, int]
"""A script for a shell, and the exit code that it is to end with."""

_CHECK = Path(sys.executable).with_name("check-jsonschema")
_VERSION = re.compile(r"[\w./-]+@v\d+")


def github(path: Path) -> list[Script]:
    """Return the workflow's scripts, twice: first there is no store, then nothing is new."""
    workflow = yaml.safe_load(path.read_text())
    _matches("vendor.github-workflows", path)
    assert workflow["permissions"] == {}
    [job] = workflow["jobs"].values()
    assert job["permissions"]["id-token"] == "write"
    assert "aws-access-key-id" not in path.read_text()
    steps = job["steps"]
    for step in steps:
        if "uses" in step:
            assert _VERSION.fullmatch(step["uses"]), step["uses"]
    lines = [step["run"] for step in steps if "run" in step]
    assert pip(lines[0].split()[1:], path.parent) is None
    scan, summary = lines[1:]
    summary = f"GITHUB_STEP_SUMMARY=summary.md; {summary}"
    return [(scan, 1), (scan, 0), (f"{summary}; grep -q 'open finding' summary.md", 0)]


def gitlab(path: Path) -> list[Script]:
    """Return the job's script, twice, in a folder of its own."""
    _matches("vendor.gitlab-ci", path)
    [job] = yaml.safe_load(path.read_text()).values()
    install, *before = job["before_script"]
    assert pip(install.split()[1:], path.parent) is None
    # The served organization is called with the environment's key, not with a token.
    variables = ["AWS_TOKEN=none", "AWS_WEB_IDENTITY_TOKEN_FILE=token"]
    script = "\n".join(["cd gitlab", *variables, *before, *job["script"]])
    reports = job["artifacts"]["reports"]["junit"], *job["artifacts"]["paths"]
    written = f"cd gitlab; ls {' '.join(reports)} {job['cache']['paths'][0]} >&2"
    return [("mkdir gitlab", 0), (script, 1), (script, 0), (written, 0)]


def pods(path: Path) -> list[Script]:
    """Return what the CronJob runs, its confinement looked at."""
    scripts: list[Script] = []
    for resource in yaml.safe_load_all(path.read_text()):
        kubernetes.check_resource(resource)
        scripts += [(script, 1) for script in kubernetes.scripts(resource)]
    assert scripts
    return scripts


def task(path: Path) -> list[Script]:
    """Return what the task runs, its confinement looked at; ECS's model checks the rest."""
    definition = json.loads(path.read_text())
    [container] = definition["containerDefinitions"]
    assert container["readonlyRootFilesystem"] is True
    assert container["user"] == "65532:65532"
    assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    [mount] = container["mountPoints"]
    assert mount == {"sourceVolume": definition["volumes"][0]["name"], "containerPath": "/data"}
    assert container["entryPoint"] == ["/bin/sh", "-c"]
    return [(script, 1) for script in container["command"]]


def trust(path: Path) -> list[Script]:
    """A trust policy says whom it trusts, and on conditions about more than the audience."""
    [statement] = json.loads(path.read_text())["Statement"]
    assert statement["Effect"] == "Allow"
    assert "*" not in json.dumps(statement["Principal"])
    conditions = statement["Condition"]["StringEquals"]
    assert "*" not in json.dumps(conditions)
    assert any(name.endswith((":sub", "service-account")) for name in conditions)
    return []


def _matches(schema: str, path: Path) -> None:
    """Hold a pipeline to its schema, as check-jsonschema ships it."""
    ran = subprocess.run(
        [_CHECK, "--builtin-schema", schema, path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def nothing(path: Path) -> list[Script]:
    """What uses the file checks it whole."""
    return []


SNIPPETS: Mapping[str, Callable[[Path], list[Script]]] = {
    ".github/workflows/access-keys.yml": github,
    ".gitlab-ci.yml": gitlab,
    "cases.yaml": nothing,
    "cronjob.yaml": pods,
    "house.yaml": nothing,
    "iamaudit.toml": nothing,
    "ours.yaml": nothing,
    "target.json": nothing,
    "task-definition.json": task,
    "trust-github.json": trust,
    "trust-pods.json": trust,
}
"""By the name that the page gives to the file; any other fails."""


def parse(language: str, text: str) -> Any:
    """Parse a block of data; raise ValueError for what is none of its language."""
    match language:
        case "json":
            return json.loads(text)
        case "yaml":
            return list(yaml.safe_load_all(text))
        case "toml":
            return tomllib.loads(text)
        case _:
            raise ValueError(language)
