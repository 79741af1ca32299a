"""A store that was torn, or holds what nobody wrote: told as damaged, never a traceback."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.config import FORMATS
from auditor.model.access_key import AccessKeyId
from auditor.model.account import AccountId
from auditor.store.journal import SqliteJournal
from tests.builders import ACCOUNT_ID, KEY_ID, NOW
from tests.fuzz.stores import PLAN_ID, a_store, resealed
from tests.fuzz.trials import PLAIN, iamaudit, inputs, mangled, reshaped, trial

TABLES = (
    "run", "account", "user", "access_key", "policy_source", "judged_key", "finding",
    "control_result", "exemption", "plan", "journal", "inactive_key", "seal",
)  # fmt: skip
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "report": lambda folder: [
        "report", *(f"--format={name}" for name in FORMATS), f"--output={folder / 'out'}",
    ],
    "judge": lambda folder: [
        "report", "--policy=strict", "--format=json", f"--output={folder / 'out'}"
    ],
    "plan": lambda folder: ["plan", f"--output={folder / 'out'}"],
    "history": lambda _: ["history"],
    "history of one": lambda _: ["history", "run-2"],
    "diff": lambda _: ["diff", "run-1", "run-2"],
    "prune": lambda _: ["prune", "--keep=1"],
    "explain": lambda _: ["policy", "explain", KEY_ID],
    "baseline": lambda folder: [
        "report", "--baseline=run-1", "--format=html", f"--output={folder / 'out'}"
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "iamaudit.db"
    a_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = DELETE")
        for name in ("journal_keeps_lines", "journal_loses_none"):
            store.execute(f"DROP TRIGGER {name}")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def copied(seed: Path, folder: Path) -> Path:
    """The store as it was, with nothing beside it that one before left behind."""
    for left in folder.glob("iamaudit.db*"):
        left.unlink()
    return Path(shutil.copyfile(seed, folder / "iamaudit.db"))


def told(what: str, command: str, folder: Path) -> None:
    said = iamaudit(what, *COMMANDS[command](folder), f"--store={folder / 'iamaudit.db'}")

    assert said.code in {0, 1, 2, 3, 4}, (said.code, said.err)
    if said.code == 2:
        assert len(said.err.strip().splitlines()) == 1, said.err


def test_the_store_is_one_before_it_is_damaged(seed: Path, folder: Path) -> None:
    for command, arguments in COMMANDS.items():
        copied(seed, folder)
        said = iamaudit("database rows", *arguments(folder), f"--store={folder / 'iamaudit.db'}")
        assert said.code in {0, 1, 3}, (command, said.err)


def _jsonable(data: object) -> bool:
    try:
        orjson.dumps(data)
    except TypeError:
        return False
    return True


_JSON = PLAIN.filter(_jsonable).map(lambda data: orjson.dumps(data).decode())
_ODD = st.sampled_from(
    ["", "[]", "{}", "null", "0", "[1]", '[{"id":1}]', "2026-01-01", "2026-01-01T00:00:00",
     "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "Active", "used", "unknown", "x" * 5000,
     "\x00", "\x1b[31m", "é\u202e", '{"operation":1}', '{"operation":"a","code":"b","x":1}']
)  # fmt: skip


def _data(text: str) -> object:
    try:
        return orjson.loads(text) if text[:1] in {"[", "{"} else None
    except orjson.JSONDecodeError:
        return None


def garbage(kind: str, was: object) -> st.SearchStrategy[object]:
    """A value of the column's type that nobody wrote, some of them near what was there."""
    if kind == "INTEGER":
        return st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0, 1, 2])
    near: st.SearchStrategy[object] = st.nothing()
    if isinstance(was, str):
        near = mangled([was.encode()]).map(lambda text: text.decode("utf-8", "replace"))
        data = _data(was)
        if data is not None:
            others = reshaped(data).filter(_jsonable)
            near |= others.map(lambda other: orjson.dumps(other).decode())
    return near | _ODD | _JSON | st.text(max_size=6).filter(lambda text: text.isascii())


def columns(store: sqlite3.Connection, table: str) -> Iterator[tuple[str, str]]:
    for _, name, kind, *_ in store.execute(f"PRAGMA table_info({table})"):
        yield name, kind


def spoil(path: Path, data: st.DataObject, tables: Sequence[str] = TABLES) -> None:
    """Change one to three cells of a store, mostly by a hand that makes the digests fit again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        for _ in range(data.draw(st.integers(1, 3))):
            table = data.draw(st.sampled_from(tables))
            column, kind = data.draw(st.sampled_from(list(columns(store, table))))
            rows = store.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608
            if not rows:
                continue
            was = data.draw(st.sampled_from([row[0] for row in rows]))
            try:
                store.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} IS ?",  # noqa: S608
                    (data.draw(garbage(kind, was) | st.none()), was),
                )
            except sqlite3.IntegrityError:
                continue
    if data.draw(st.integers(0, 3)):
        resealed(path)


@inputs(90)
@given(data=st.data())
def test_cells_of_garbage_are_told_as_damage(seed: Path, folder: Path, data: st.DataObject) -> None:
    spoil(copied(seed, folder), data)

    told("database rows", data.draw(st.sampled_from(sorted(COMMANDS))), folder)


@inputs(60)
@given(data=st.data())
def test_a_journal_of_garbage_is_told_as_damage(
    seed: Path, folder: Path, data: st.DataObject
) -> None:
    path = copied(seed, folder)
    spoil(path, data)
    opened: list[SqliteJournal] = []
    with trial("journal"):
        opened.append(SqliteJournal(path))
    if not opened:
        return
    with closing(opened.pop()) as journal:
        for read in (
            lambda: journal.plans("run-2"),
            lambda: journal.plan(PLAN_ID),
            lambda: journal.lines(PLAN_ID),
            lambda: journal.lines_of_run("run-2"),
            lambda: journal.history(AccountId(ACCOUNT_ID), AccessKeyId(KEY_ID)),
            lambda: journal.last_change(ACCOUNT_ID, KEY_ID),
        ):
            with trial("journal"):
                read()


@inputs(60)
@given(data=st.data())
def test_a_torn_file_is_told_as_damage(seed: Path, folder: Path, data: st.DataObject) -> None:
    content = bytearray(seed.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 16] = data.draw(st.binary(min_size=16, max_size=16))
    end = data.draw(st.sampled_from([len(content), len(content) // 2, 4096, 100, 1]))
    copied(seed, folder).write_bytes(content[:end])

    told("torn stores", data.draw(st.sampled_from(sorted(COMMANDS))), folder)


def test_what_sqlite_quotes_of_a_damaged_file_is_one_line(seed: Path, folder: Path) -> None:
    path = copied(seed, folder)
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA writable_schema = ON")
        store.execute(
            "UPDATE sqlite_schema SET sql = ? WHERE name = 'journal'",
            ('CREATE TABLE journal (x "\n\x1b[2J',),
        )

    for command in COMMANDS:
        told("torn stores", command, folder)
    said = iamaudit("torn stores", "report", f"--store={path}")

    assert said.code == 2
    assert "\x1b" not in said.err


@pytest.mark.parametrize("run_id", ["../outside", "/outside", "..", "a/b", "", "a\0b", "-x"])
def test_a_run_whose_id_is_a_path_writes_nothing_anywhere(
    seed: Path, folder: Path, run_id: str
) -> None:
    path = copied(seed, folder)
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        for table, column in (("run", "id"), ("account", "run_id"), ("finding", "run_id")):
            store.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} = 'run-2'",  # noqa: S608
                (run_id,),
            )
    before = sorted(each for each in folder.parent.rglob("*") if "db" not in each.name)

    said = iamaudit(
        "database rows", "report", f"--store={path}", f"--output={folder / 'none' / 'out'}"
    )

    assert said.code == 2
    assert "the store is damaged" in said.err
    assert before == sorted(each for each in folder.parent.rglob("*") if "db" not in each.name)


def test_an_application_that_waits_is_not_taken_for_damage(seed: Path) -> None:
    with closing(SqliteJournal(seed)) as journal:
        plan = journal.plan(PLAN_ID)
        with journal.lease(plan, now=NOW):
            assert journal.lines(PLAN_ID)
