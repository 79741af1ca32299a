"""Files that are believed belong to whoever runs the tool."""

import os
from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.paths import check_private


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_a_file_that_only_its_owner_can_write_is_private(tmp_path: Path, mode: int) -> None:
    check_private(tmp_path, _state(os.geteuid(), 0o100000 | mode))


@pytest.mark.parametrize("mode", [0o100620, 0o100602, 0o100666, 0o040770, 0o040777, 0o101666])
def test_what_others_can_write_is_refused_and_named(tmp_path: Path, mode: int) -> None:
    with pytest.raises(AuditError, match=str(tmp_path)):
        check_private(tmp_path, _state(os.geteuid(), mode))


def test_a_sticky_folder_may_be_shared(tmp_path: Path) -> None:
    check_private(tmp_path, _state(0, 0o041777))


def test_what_belongs_to_another_user_is_refused_with_that_user(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="uid 54321"):
        check_private(tmp_path, _state(54321, 0o100600))


def _state(owner: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))
