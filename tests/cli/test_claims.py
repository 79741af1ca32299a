"""What .github/SECURITY.md says of files and of bugs, where no other test shows it."""

import sys
from pathlib import Path

import pytest

import auditor.cli
from auditor.aws.fast.connecting import Proxy
from auditor.errors import AuditError
from auditor.targets.file import read_accounts
from tests.command import Run

MEGABYTE = 1024 * 1024
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("arguments", "megabytes"),
    [
        (("policy", "check", "FILE"), 1),
        (("policy", "test", "FILE"), 1),
        (("--config", "FILE", "policy", "list"), 4),
        (("scan", "--template", "FILE"), 4),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else f"{value} MB",
)
def test_a_file_larger_than_anybody_writes_is_refused(
    arguments: tuple[str, ...], megabytes: int, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "large.txt.j2"
    file.write_bytes(b"#" * (megabytes * MEGABYTE + 1))

    ran = run(*(each.replace("FILE", str(file)) for each in arguments))

    assert ran.code == 2
    assert ran.stderr.count("\n") == 1
    assert "File too large" in ran.stderr or "can't be read" in ran.stderr


def test_a_list_of_accounts_larger_than_anybody_writes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_bytes(b"#" * (4 * MEGABYTE + 1))

    with pytest.raises(AuditError, match="File too large"):
        read_accounts(file)


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_store_that_is_a_link_is_not_followed(there: bool, run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    if there:
        elsewhere.touch()
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/iamaudit.db").symlink_to(elsewhere)

    ran = run("demo", "--quiet")

    assert ran.code == 2, ran.stderr
    assert "symbolic links" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not elsewhere.exists() or elsewhere.read_bytes() == b""


@pytest.mark.parametrize("name", ["../other.yaml", "/etc/passwd"])
def test_a_policy_extends_no_file(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text(
        f"apiVersion: iamaudit/v1\nid: house\ntitle: House\nextends: {name}\n"
    )

    ran = run("policy", "check", "house.yaml")

    assert ran.code == 2
    assert "house.yaml:4:10: " in ran.stderr
    assert "root:" not in ran.stderr


def test_a_bug_is_told_by_its_place_and_without_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        answer = f"<SecretAccessKey>{SECRET}</SecretAccessKey>"
        raise KeyError(answer)

    monkeypatch.setattr(auditor.cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["iamaudit", "scan"])
    with pytest.raises(SystemExit) as ended:
        auditor.cli.main()

    said = capsys.readouterr()
    assert ended.value.code == 4
    assert "internal error, KeyError" in said.err
    assert "auditor/cli/__init__.py" in said.err
    assert SECRET not in said.err + said.out


def test_a_proxy_does_not_show_its_password() -> None:
    proxy = Proxy(
        url=f"http://me:{SECRET}@proxy.example:3128",
        host="proxy.example",
        port=3128,
        tls=None,
        headers=(("Proxy-Authorization", SECRET),),
    )

    assert "proxy.example" in repr(proxy)
    assert SECRET not in repr(proxy)
