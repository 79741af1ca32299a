import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId
from auditor.ports import CreatedKey, Owner
from auditor.store.secret_file import SecretFile
from tests.builders import ACCOUNT_ID, KEY_ID, an_account

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def a_new_key(id_: str = KEY_ID, *, secret: str = SECRET) -> CreatedKey:
    return CreatedKey(
        id=AccessKeyId(id_),
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        secret=secret,
        request_id="request-1",
    )


def an_owner(user_name: str = "amy") -> Owner:
    return Owner(account=an_account(), user_name=user_name)


def files(folder: Path) -> list[Path]:
    return sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".gitignore"
    )


def read(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def real(path: Path) -> Path:
    return path.resolve()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_secret_is_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "secrets"

    path = Path(await SecretFile(folder).put(an_owner("a+b=c,d.e@f_g-h"), a_new_key()))

    assert path == folder / ACCOUNT_ID / "a+b=c,d.e@f_g-h" / f"{KEY_ID}.json"
    assert json.loads(read(path)) == {
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET,
        "user_name": "a+b=c,d.e@f_g-h",
        "account_id": ACCOUNT_ID,
    }
    assert mode(path) == 0o600
    assert {mode(each) for each in [tmp_path / "new", *folder.glob("**/")]} == {0o700}
    assert (folder / ".gitignore").read_text() == "*\n"


async def test_a_repeat_is_as_good_as_the_first_time(tmp_path: Path) -> None:
    sink = SecretFile(tmp_path)

    assert await sink.put(an_owner(), a_new_key()) == await sink.put(an_owner(), a_new_key())
    assert len(files(tmp_path)) == 1


async def test_a_file_of_another_content_is_left_alone(tmp_path: Path) -> None:
    sink = SecretFile(tmp_path)
    path = Path(await sink.put(an_owner(), a_new_key(secret="another")))

    with pytest.raises(AuditError, match="has another content already") as caught:
        await sink.put(an_owner(), a_new_key())

    assert "another" in read(path)
    assert SECRET not in str(caught.value)


async def test_the_keys_of_a_user_have_a_file_each(tmp_path: Path) -> None:
    sink = SecretFile(tmp_path)
    for key_id in ("AKIA1", "AKIA2"):
        await sink.put(an_owner(), a_new_key(key_id))

    assert [path.name for path in files(tmp_path)] == ["AKIA1.json", "AKIA2.json"]


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../../etc/passwd", "/etc", "a/b", "a\0b", ".ssh", "%2E", "a\nb", "é"]
)
async def test_no_user_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    sink = SecretFile(tmp_path / "secrets")

    path = Path(await sink.put(an_owner(name), a_new_key()))

    assert real(path).parent.parent == tmp_path / "secrets" / ACCOUNT_ID
    assert files(tmp_path) == [path.relative_to(tmp_path)]
    assert await sink.find(an_owner(name), KEY_ID) == str(path)


async def test_a_key_id_that_is_a_path_stays_a_name(tmp_path: Path) -> None:
    path = Path(await SecretFile(tmp_path).put(an_owner(), a_new_key("../../x")))

    assert path.parent == tmp_path / ACCOUNT_ID / "amy"


async def test_names_that_look_alike_escaped_are_kept_apart(tmp_path: Path) -> None:
    sink = SecretFile(tmp_path)
    for name in ("..", "%2E.", "%252E."):
        await sink.put(an_owner(name), a_new_key())

    assert len(files(tmp_path)) == 3


async def test_only_a_whole_secret_of_that_key_is_found(tmp_path: Path) -> None:
    sink = SecretFile(tmp_path)
    assert await sink.find(an_owner(), KEY_ID) is None

    path = Path(await sink.put(an_owner(), a_new_key()))
    assert await sink.find(an_owner(), KEY_ID) == str(path)
    assert await sink.find(an_owner("bob"), KEY_ID) is None
    assert await sink.find(an_owner(), AccessKeyId("AKIAOTHER")) is None

    for text in ("", "{", "[]", f'{{"access_key_id": "{KEY_ID}", "secret_access_key": ""}}'):
        write(path, text)
        assert await sink.find(an_owner(), KEY_ID) is None


@pytest.mark.parametrize("level", ["account", "user", "file"])
async def test_links_below_the_folder_are_not_followed(tmp_path: Path, level: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "amy").mkdir(parents=True)
    folder = tmp_path / "secrets"
    link = {
        "account": folder / ACCOUNT_ID,
        "user": folder / ACCOUNT_ID / "amy",
        "file": folder / ACCOUNT_ID / "amy" / f"{KEY_ID}.json",
    }[level]
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere if level != "file" else elsewhere / "stolen")

    with pytest.raises(AuditError, match="can't be written"):
        await SecretFile(folder).put(an_owner(), a_new_key())

    assert files(elsewhere) == []


async def test_a_folder_that_cannot_be_made_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = SecretFile(tmp_path / "file" / "secrets")

    with pytest.raises(AuditError, match="can't be written: Not a directory") as caught:
        await sink.put(an_owner(), a_new_key())
    with pytest.raises(AuditError, match="can't be read"):
        await sink.find(an_owner(), KEY_ID)

    assert "--sink" in caught.value.hint


@contextmanager
def no_room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_where_there_is_no_room_no_half_of_a_secret_is_left(tmp_path: Path) -> None:
    sink = SecretFile(tmp_path)

    with no_room_for(40), pytest.raises(AuditError, match="can't be written: File too large"):
        await sink.put(an_owner(), a_new_key())

    assert files(tmp_path) == []
    assert await sink.put(an_owner(), a_new_key())


@pytest.mark.parametrize("mode_", [0o777, 0o770, 0o722])
async def test_a_folder_that_others_can_write_gets_no_secret(tmp_path: Path, mode_: int) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode_)

    with pytest.raises(AuditError, match="can be written by others"):
        await SecretFile(folder).check(an_owner())
    with pytest.raises(AuditError, match="can be written by others"):
        await SecretFile(folder).put(an_owner(), a_new_key())

    assert files(folder) == []


@pytest.mark.parametrize("below", [ACCOUNT_ID, f"{ACCOUNT_ID}/amy"])
@pytest.mark.parametrize(("mode_", "uid"), [(0o777, -1), (0o1777, 54321), (0o700, 54321)])
async def test_a_folder_for_a_user_that_somebody_else_prepared_gets_no_secret(
    tmp_path: Path, below: str, mode_: int, uid: int
) -> None:
    prepared = tmp_path / below
    prepared.mkdir(parents=True)
    prepared.chmod(mode_)
    os.chown(prepared, uid, -1)
    sink = SecretFile(tmp_path)

    with pytest.raises(AuditError, match=f"^{prepared} "):
        await sink.check(an_owner())
    with pytest.raises(AuditError, match=f"^{prepared} "):
        await sink.put(an_owner(), a_new_key())

    assert files(tmp_path) == []


async def test_a_link_in_place_of_a_users_folder_is_refused_before_a_key_is_made(
    tmp_path: Path,
) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "secrets"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / ACCOUNT_ID).symlink_to(elsewhere)

    with pytest.raises(AuditError, match="can't be written"):
        await SecretFile(folder).check(an_owner())


async def test_a_folder_of_another_user_gets_no_secret(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 54321, -1)

    with pytest.raises(AuditError, match="uid 54321"):
        await SecretFile(folder).check(an_owner())
