"""A secret that got out is found, wherever it is."""

import logging
from pathlib import Path

from tests.faults.spills import Ear, secrets_in

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_a_secret_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/report.json").write_bytes(b"\x00" + SECRET.encode() + b"\xff")
    (tmp_path / "other").write_text("nothing")

    assert list(secrets_in(tmp_path, {SECRET}, ())) == ["deep/report.json"]


def test_a_secret_that_is_logged_or_said_is_found(tmp_path: Path) -> None:
    ear = Ear()
    logging.getLogger("auditor").setLevel(logging.WARNING)  # as a command in this process leaves it

    with ear.listening():
        logging.getLogger("auditor.aws").debug("got %s", SECRET)
    logging.getLogger("auditor.aws").warning("again %s", SECRET)

    assert ear.heard == [f"got {SECRET}"]
    assert list(secrets_in(tmp_path, {SECRET}, ear.heard)) == ["what was said or logged"]
