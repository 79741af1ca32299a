"""Applying and undoing by a damaged store: refused in one line, or done as the journal says."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.outcome import Result, Step
from auditor.model.plan import Plan
from auditor.store import plan_file
from auditor.store.journal import SqliteJournal
from tests.faults.cloud import CHANGES, Cloud, Key
from tests.faults.desk import caller_in
from tests.faults.server import FaultServer
from tests.fuzz.stores import resealed
from tests.fuzz.test_stores import TABLES, spoil
from tests.fuzz.trials import Said, iamaudit, inputs, mangled

NOW = datetime.now(UTC).replace(microsecond=0)
COMMANDS = {
    "apply": ("planned", "Inactive", ["apply", "PLAN"]),
    "apply by id": ("planned", "Inactive", ["apply", "ID"]),
    "go on": ("begun", "Inactive", ["apply", "PLAN", "--resume"]),
    "undo": ("begun", "Active", ["undo", "latest"]),
}
"""The state of the store, what keys become, and the command line."""


class Served:
    """A server in a thread of its own, whose organization can be made anew."""

    def __init__(self) -> None:
        self.server = FaultServer(a_cloud())
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))
        self._thread.start()
        assert self._up.wait(20)

    async def _run(self) -> None:
        async with self.server.serving():
            self._up.set()
            await self._over.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()


def a_cloud() -> Cloud:
    cloud = Cloud(7, accounts=3, users=6, least=4, now=NOW)
    for account in cloud.accounts.values():
        for user in account.users.values():
            user.quarantined = False  # an undo would leave its keys alone
    return cloud


@dataclass(frozen=True)
class Estate:
    """A plan, the store that it was made in, untouched and begun, and where AWS is."""

    folder: Path
    plan: Plan
    served: Served

    @property
    def store(self) -> Path:
        return self.folder / "iamaudit.db"

    def key(self, action: int) -> Key:
        """The key of an action, as the server has it."""
        of = self.plan.actions[action]
        return self.served.server.cloud.accounts[of.account_id].ever[of.access_key_id][1]

    def anew(self, state: str) -> None:
        """Make the store and the organization as they were."""
        for left in self.folder.glob("iamaudit.db*"):
            left.unlink()
        shutil.copyfile(self.folder / f"{state}.db", self.store)
        self.served.server.cloud = a_cloud()
        if state == "begun":
            self.key(1).active = False

    def run(self, command: str) -> Said:
        names = {"PLAN": str(self.folder / "plan.json"), "ID": self.plan.id}
        words = [names.get(word, word) for word in COMMANDS[command][2]]
        return iamaudit("applies by damaged stores", *words, "--yes", f"--store={self.store}")

    def changes(self) -> list[tuple[str, str, str]]:
        """The account, the key and the status that were asked of the server."""
        return [
            (asked.account, asked.form["AccessKeyId"], asked.form.get("Status", "deleted"))
            for asked in self.served.server.cloud.calls
            if asked.operation in CHANGES
        ]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    folder = tmp_path_factory.mktemp("applying")
    with caller_in(), pytest.MonkeyPatch.context() as patch:
        served = Served()
        patch.setenv("AWS_ENDPOINT_URL", served.server.url)
        patch.setenv("HOME", str(folder))
        reports = folder / "reports"
        said = iamaudit(
            "applies by damaged stores",
            "scan",
            "--accounts=org",
            "--quiet",
            "--remediate=dry-run",
            f"--output={reports}",
            "--format=json",
        )
        assert said.code == 1, said.err
        shutil.copyfile(reports / "latest/plan.json", folder / "plan.json")
        plan, _ = plan_file.read(folder / "plan.json")
        assert len(plan.actions) > 3
        planned = reports / "iamaudit.db"
        _alone(planned)
        shutil.copyfile(planned, folder / "planned.db")
        with closing(SqliteJournal(planned)) as journal:
            for action, result in ((0, None), (1, Result.APPLIED)):
                of = plan.actions[action]
                detail = {"status": "Active", "keys": [of.access_key_id]}
                journal.append(at=NOW, plan=plan, action=of, step=Step.INTENT, detail=detail)
                if result is not None:
                    detail = {"result": result, "reason": ""}
                    journal.append(at=NOW, plan=plan, action=of, step=Step.OUTCOME, detail=detail)
        _alone(planned)
        with closing(sqlite3.connect(planned, isolation_level=None)) as store:
            holder = '{"place":["elsewhere","",""],"pid":1,"started":"1"}'  # its process died
            row = (plan.id, holder, "2026-01-01T00:00:00Z")
            store.execute("INSERT INTO lease (plan_id, holder, renewed_at) VALUES (?, ?, ?)", row)
        shutil.copyfile(planned, folder / "begun.db")
        yield Estate(folder, plan, served)
        served.close()


def _alone(path: Path) -> None:
    """Let the file have all that there is, and cells that can be changed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = DELETE")


def lines(path: Path) -> list[tuple[object, ...]] | None:
    """The journal, or None where it can't be read."""
    try:
        with closing(sqlite3.connect(path)) as store:
            return store.execute("SELECT * FROM journal ORDER BY sequence").fetchall()
    except sqlite3.Error:
        return None


def held(estate: Estate, command: str) -> Said:
    """Run a command, and hold it to what must be true by whatever store."""
    before = lines(estate.store)
    said = estate.run(command)
    after, changes = lines(estate.store), estate.changes()

    assert said.code in {0, 2, 4}, (said.code, said.err)
    if said.code == 2:
        assert len(said.err.strip().splitlines()) == 1, said.err
        assert not changes, said.err
    if before is not None:
        assert after is not None
        assert after[: len(before)] == before
    planned = {(each.account_id, each.access_key_id) for each in estate.plan.actions}
    for account, key, status in changes:
        assert (account, key) in planned
        assert status == COMMANDS[command][1]
        assert any(key in line and "outcome" in line for line in after or ())
    return said


@pytest.mark.parametrize("command", COMMANDS)
def test_the_store_leads_to_changes_before_it_is_damaged(command: str, estate: Estate) -> None:
    estate.anew(COMMANDS[command][0])

    said = held(estate, command)

    assert said.code in {0, 4}, said.err
    assert estate.changes()


@inputs(16)
@given(data=st.data())
def test_cells_of_garbage_change_no_key_that_was_not_planned(
    estate: Estate, data: st.DataObject
) -> None:
    command = data.draw(st.sampled_from(sorted(COMMANDS)))
    estate.anew(COMMANDS[command][0])
    _without_triggers(estate.store)
    spoil(estate.store, data, (*TABLES, "lease"))

    held(estate, command)


def _without_triggers(path: Path) -> None:
    """Let lines of the journal be changed, as by another program."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        for name in ("journal_keeps_lines", "journal_loses_none"):
            store.execute(f"DROP TRIGGER {name}")


@inputs(16)
@given(data=st.data())
def test_a_torn_file_changes_no_key(estate: Estate, data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(COMMANDS)))
    estate.anew(COMMANDS[command][0])
    content = bytearray(estate.store.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 16] = data.draw(st.binary(min_size=16, max_size=16))
    end = data.draw(st.sampled_from([len(content), len(content) // 2, 4096, 100, 1]))
    estate.store.write_bytes(content[:end])

    held(estate, command)


@pytest.mark.parametrize("table", [*TABLES, "lease"])
@pytest.mark.parametrize("command", ["apply", "undo"])
def test_a_store_without_one_of_its_tables_is_refused(
    command: str, table: str, estate: Estate
) -> None:
    estate.anew(COMMANDS[command][0])
    with closing(sqlite3.connect(estate.store, isolation_level=None)) as store:
        store.execute(f"DROP TABLE {table}")

    said = held(estate, command)

    assert said.code == 2
    assert f"is damaged: it lacks {table}" in said.err


@inputs(16)
@given(data=st.data())
def test_a_plan_that_was_changed_is_refused(estate: Estate, data: st.DataObject) -> None:
    estate.anew("planned")
    good = (estate.folder / "plan.json").read_bytes()
    changed = data.draw(mangled([good]))
    file = estate.folder / "changed.json"
    file.write_bytes(changed)

    said = iamaudit("plans", "apply", str(file), "--yes", f"--store={estate.store}")

    if said.code == 0:  # other white space, say
        assert orjson.loads(changed) == orjson.loads(good)
    else:
        assert said.code == 2
        assert len(said.err.strip().splitlines()) == 1, said.err
        assert not estate.changes()


@inputs(40)
@given(data=st.data())
def test_a_name_that_is_not_that_of_a_plan_changes_nothing(
    estate: Estate, data: st.DataObject
) -> None:
    estate.anew("planned")
    good = estate.plan.id
    text = data.draw(mangled([good.encode(), b"plan-20261124T120000Z-0a1b2c3d", b"latest"]))
    name = text.decode("utf-8", "replace").replace("\0", "")  # which no command line can hold
    if name == good:
        return

    said = iamaudit("plans", "apply", "--yes", f"--store={estate.store}", "--", name)

    assert said.code == 2, said.err
    assert not estate.changes()


@pytest.mark.parametrize("column", ["holder", "renewed_at"])
def test_a_lease_that_says_nothing_is_told_as_damage(column: str, estate: Estate) -> None:
    estate.anew("begun")
    with closing(sqlite3.connect(estate.store, isolation_level=None)) as store:
        store.execute(f"UPDATE lease SET {column} = '?'")  # noqa: S608

    said = held(estate, "go on")

    assert said.code == 2
    assert "the store is damaged" in said.err


@pytest.mark.parametrize(
    ("again", "told"),
    [(False, "is not as it was sealed: account"), (True, "is not as it was when plan")],
)
def test_a_run_that_lost_an_account_is_told_as_edited(
    again: bool, told: str, estate: Estate
) -> None:
    estate.anew("planned")
    with closing(sqlite3.connect(estate.store, isolation_level=None)) as store:
        store.execute("UPDATE account SET id = '999999999999' WHERE id = '100000000001'")
    if again:
        resealed(estate.store)

    said = held(estate, "apply")

    assert said.code == 2
    assert told in said.err
