import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from auditor import __version__
from auditor.cli.lazy import COMMANDS, load
from auditor.formats.document import json_schema
from tests.command import IAMAUDIT, Run, World, clean_environment


def output_of(*arguments: str) -> str:
    return subprocess.run(
        [IAMAUDIT, *arguments],
        env=clean_environment() | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_schema_is_a_json_schema() -> None:
    schema = json.loads(output_of("schema"))

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == json_schema()


def test_the_version_is_told() -> None:
    assert output_of("--version") == f"iamaudit {__version__}\n"


def test_help_names_every_option_of_a_scan_and_its_exit_codes() -> None:
    told = output_of("scan", "--help")

    for option in ("--accounts", "--exclude", "--role-name", "--policy", "--fail-on", "--output"):
        assert option in told
    assert "130 interrupted" in told


def test_the_demo_leaves_reports_says_which_to_open_and_exits_with_0(run: Run) -> None:
    ran = run("demo", "--quiet")

    report = ran.report
    jsonschema.Draft202012Validator(json_schema()).validate(report)
    assert ran.code == 0
    assert ran.stderr == "Open reports/latest/report.html in a browser.\n"
    assert (ran.folder / "latest/report.html").stat().st_size > 50_000
    assert report["coverage"]["complete"] is False
    rules = {finding["rule_id"] for finding in report["findings"]}
    assert len(rules) == 9, rules


def test_the_demo_calls_no_endpoint_of_the_operators(run: Run) -> None:
    elsewhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_PROFILE": "prod"}

    assert run("demo", "--quiet", "--format", "json", variables=elsewhere).code == 0


def test_options_come_from_the_environment_too(run: Run, world: World) -> None:
    ran = run(
        "scan",
        variables={**world.variables, "IAMAUDIT_FORMAT": "json", "IAMAUDIT_QUIET": "1"},
    )

    assert ran.stderr == ""
    assert [path.name for path in (ran.folder / "latest").iterdir()] == ["report.json"]


def test_without_a_terminal_progress_is_plain_and_on_stderr(
    run: Run, world: World, tmp_path: Path
) -> None:
    ran = run("scan", "--output", str(tmp_path / "out"), variables=world.variables)

    assert "\x1b" not in ran.stderr + ran.stdout
    assert str(tmp_path / "out/latest/report.html") in ran.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_begins_as_the_list_of_commands_says(name: str) -> None:
    told = load(name).help

    assert " ".join(told.split()).startswith(COMMANDS[name].removesuffix("."))


def lines_of(script: str) -> list[str]:
    """What a Python of its own prints."""
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_each_command_can_be_the_first_that_is_loaded() -> None:
    script = (
        "import os, sys\n"
        "from auditor.cli.lazy import COMMANDS, load\n"
        "for name in COMMANDS:\n"
        "    load(name)\n"  # so that what is not ours is there already
        "for module in [each for each in sys.modules if each.startswith('auditor')]:\n"
        "    del sys.modules[module]\n"
        "for name in COMMANDS:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        from auditor.cli.lazy import load\n"
        "        load(name)\n"
        "        os._exit(0)\n"
        "    print(name, os.waitpid(child, 0)[1])\n"
    )

    assert lines_of(script) == [f"{name} 0" for name in COMMANDS]


def test_help_loads_neither_the_sdk_nor_the_policies() -> None:
    script = (
        "import sys; sys.argv = ['iamaudit', '--help']\n"
        "from auditor.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print([n for n in ('botocore', 'aioboto3', 'jinja2', 'pydantic', 'cel_expr_python')"
        " if n in sys.modules])"
    )

    assert lines_of(script)[-1] == "[]"


def test_no_certificates_are_loaded_with_the_commands_and_none_but_ours_are_trusted_later() -> None:
    script = (
        "import os\n"
        "os.environ.pop('SSL_CERT_DIR', None)\n"
        "os.environ['SSL_CERT_FILE'] = 'mine.pem'\n"
        "from auditor.cli.lazy import load\n"
        "load('scan')\n"
        "from aiohttp import connector\n"
        "theirs = connector._SSL_CONTEXT_VERIFIED\n"
        "print(len(theirs.get_ca_certs()), theirs.verify_mode.name)\n"
        "print(os.environ['SSL_CERT_FILE'], 'SSL_CERT_DIR' in os.environ)\n"
        "from botocore.httpsession import get_cert_path\n"
        "from auditor.aws.tls import trusting\n"
        "print(len(trusting(get_cert_path(True)).get_ca_certs()) > 0)\n"
    )

    assert lines_of(script) == ["0 CERT_REQUIRED", "mine.pem False", "True"]
