"""A store or a plan that another user may have written is not believed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.store.trusted import check_store, read_trusted

LARGEST = 100


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir(mode=0o700)
    store = folder / "iamaudit.db"
    for suffix in ("", "-wal", "-shm", "-journal"):
        store.with_name(store.name + suffix).touch(mode=0o600)
    return store


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    folder = tmp_path / "reports/run-1"
    folder.mkdir(mode=0o700, parents=True)
    plan = folder / "plan.json"
    plan.write_text("{}")
    plan.chmod(0o600)
    return plan


def shared(path: Path) -> None:
    path.chmod(0o777 if path.is_dir() else 0o666)


def given_away(path: Path) -> None:
    """Let it belong to another user, or where only root could do that, let others write to it."""
    if os.geteuid() == 0:
        os.chown(path, 54321, -1, follow_symlinks=False)
    else:
        shared(path)


def test_a_store_that_nobody_else_can_write_passes(store: Path) -> None:
    check_store(store)


def test_a_store_that_is_not_there_passes(tmp_path: Path) -> None:
    check_store(tmp_path / "iamaudit.db")
    check_store(tmp_path / "nowhere/iamaudit.db")


@pytest.mark.parametrize("how", [shared, given_away])
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_store_that_others_had_a_hand_in_is_refused_and_named(
    store: Path, suffix: str, how: Callable[[Path], None]
) -> None:
    file = store.with_name(store.name + suffix)
    how(file)

    with pytest.raises(AuditError, match=file.name) as caught:
        check_store(store)

    assert caught.value.hint


@pytest.mark.parametrize("how", [shared, given_away])
def test_a_store_in_a_folder_that_others_can_change_is_refused(
    store: Path, how: Callable[[Path], None]
) -> None:
    how(store.parent)

    with pytest.raises(AuditError, match=str(store.parent)):
        check_store(store)


def test_a_store_of_ones_own_in_a_sticky_folder_passes(store: Path) -> None:
    store.parent.chmod(0o1777)

    check_store(store)


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_a_link_in_the_place_of_a_store_is_refused(store: Path, suffix: str) -> None:
    file = store.with_name(store.name + suffix)
    file.unlink()
    file.symlink_to(store.with_name("elsewhere"))

    with pytest.raises(AuditError, match="not a plain file"):
        check_store(store)


def test_a_plan_of_ones_own_is_read(plan: Path) -> None:
    assert read_trusted(plan, largest=LARGEST) == b"{}"


def test_a_plan_is_read_by_latest_beside_it(plan: Path) -> None:
    latest = plan.parent.with_name("latest")
    latest.symlink_to("run-1")

    assert read_trusted(latest / "plan.json", largest=LARGEST) == b"{}"


@pytest.mark.parametrize("target", ["/elsewhere/run-1", "../other/run-1", "run-1/../run-1", ".."])
def test_a_latest_that_leads_out_of_its_folder_is_refused(plan: Path, target: str) -> None:
    latest = plan.parent.with_name("latest")
    latest.symlink_to(target)

    with pytest.raises(AuditError, match="latest is a link to"):
        read_trusted(latest / "plan.json", largest=LARGEST)


def test_a_latest_that_leads_to_another_link_is_refused(plan: Path) -> None:
    plan.parent.with_name("run-2").symlink_to(plan.parent)
    latest = plan.parent.with_name("latest")
    latest.symlink_to("run-2")

    with pytest.raises(AuditError, match="latest is a link to run-2"):
        read_trusted(latest / "plan.json", largest=LARGEST)


@pytest.mark.parametrize("how", [shared, given_away])
@pytest.mark.parametrize("what", ["plan", "folder"])
def test_a_plan_that_others_had_a_hand_in_is_refused(
    plan: Path, what: str, how: Callable[[Path], None]
) -> None:
    place = plan if what == "plan" else plan.parent
    how(place)

    with pytest.raises(AuditError, match=str(place)):
        read_trusted(plan, largest=LARGEST)


def test_a_fifo_is_refused_and_not_waited_for(plan: Path) -> None:
    plan.unlink()
    os.mkfifo(plan, 0o600)

    with pytest.raises(AuditError, match="not a plain file"):
        read_trusted(plan, largest=LARGEST)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(AuditError, match="not a plain file"):
        read_trusted(Path(device), largest=LARGEST)


def test_a_plan_larger_than_any_is_not_read(plan: Path) -> None:
    plan.write_bytes(b" " * (LARGEST + 1))

    with pytest.raises(OSError, match="File too large"):
        read_trusted(plan, largest=LARGEST)


def test_a_link_to_a_plan_of_another_user_is_refused(plan: Path, tmp_path: Path) -> None:
    given_away(plan)
    link = tmp_path / "plan.json"
    link.symlink_to(plan)

    with pytest.raises(AuditError, match=str(link)):
        read_trusted(link, largest=LARGEST)


def test_a_hard_link_to_a_plan_of_another_user_is_refused(plan: Path, tmp_path: Path) -> None:
    given_away(plan)
    link = tmp_path / "plan.json"
    link.hardlink_to(plan)

    with pytest.raises(AuditError, match=str(link)):
        read_trusted(link, largest=LARGEST)
