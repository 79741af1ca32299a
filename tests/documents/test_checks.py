"""What looks at the pages finds what is wrong with them."""

from pathlib import Path

import pytest

from tests.documents.elsewhere import ELSEWHERE
from tests.documents.pages import Block, shows
from tests.documents.snippets import SNIPPETS
from tests.documents.test_commands import unknown_options


def block(text: str, language: str = "console") -> Block:
    return Block(page="page.md", line=1, language=language, text=text, file=None)


def test_a_command_goes_on_behind_a_backslash_and_has_its_output_and_exit_code() -> None:
    [first, second] = block("$ one \\\n    two  # exits 3: no\nout\n$ three\n").commands

    assert (first.text.split()[:2], first.exits, first.shown) == (["one", "two"], 3, ["out"])
    assert (second.text, second.exits, second.line) == ("three", None, 5)


@pytest.mark.parametrize("text", ["iamaudit scan\n", "$ one \\\n", ""])
def test_a_block_of_commands_without_a_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md"):
        _ = block(text).commands


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (["one", "two"], None),
        (["o…e", "…", "t…"], None),
        (["two", "one"], "one"),
        (["one…two"], "one…two"),
        (["1"], "1"),
    ],
)
def test_what_is_shown_must_come_in_its_order(lines: list[str], missing: str | None) -> None:
    assert shows("one\ntwo\n", lines) == missing


@pytest.mark.parametrize(
    "command",
    [
        "aws iam create-role --role-name x",
        "aws iam make-role --role-name x",
        "aws iam create-role --role-name x --assume-role-policy-document {} --nonsense y",
        "aws cloudformation create-stack --stack-name x --capabilities CAPABILITY_EVERYTHING",
        "aws cloudformation create-stack --stack-name x --template-body file://missing.yaml",
        "dask worker tls://scheduler.example.com:8786 --nonsense 1",
        "docker build --tag iamaudit https://example.com",
        "docker run --privileged iamaudit scan",
        "docker run --rm somebody/iamaudit scan",
        "kubectl delete namespace iamaudit",
        "make nonsense",
        "pip install iamaudit[nonsense]",
        "pip install iam-audit",
        "pip install iamaudit==9",
        "terraform destroy",
    ],
)
def test_a_wrong_command_of_another_tool_is_found(command: str, tmp_path: Path) -> None:
    tool, *words = command.split()

    with pytest.raises((AssertionError, LookupError, OSError, ValueError)):
        ELSEWHERE[tool](words, tmp_path)


@pytest.mark.parametrize(
    "command", ["iamaudit scna", "iamaudit scan --acounts", "iamaudit keys list -x"]
)
def test_a_misspelt_command_of_ours_is_found(command: str) -> None:
    assert list(unknown_options(command.split()))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (".github/workflows/access-keys.yml", "on: push\njobs: {scan: {step: []}}\n"),
        (".gitlab-ci.yml", "scan: {script: [x], artifacts: {paths: x, when: never}}\n"),
        (
            "trust-github.json",
            '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Condition": {}}]}',
        ),
    ],
)
def test_a_wrong_file_is_found(name: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / Path(name).name
    path.write_text(wrong)

    with pytest.raises(AssertionError):
        SNIPPETS[name](path)
