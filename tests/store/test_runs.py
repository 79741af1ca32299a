import os
import sqlite3
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from auditor.errors import AuditError
from auditor.model.access_key import AccessKey, KeyStatus, NeverUsed
from auditor.model.account import AccountState, OutcomeKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import ReadError
from auditor.model.run import PolicySource, PolicyStamp, RuleStamp, RunResults
from auditor.store.encoding import instant
from auditor.store.output import Output
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from tests.builders import (
    ACCOUNT_ID,
    DENIED,
    NOW,
    a_key,
    a_run,
    a_user_with,
    an_account,
    an_inventory,
    used,
)


def test_an_inventory_comes_back_as_it_was_saved(store: SqliteRunStore) -> None:
    users = (
        a_user_with(a_key(), name=ROOT_USER_NAME, admin=True),
        a_user_with(name="amy", tags={"team": "ä"}, groups=("a", "b"), admin=DENIED),
        a_user_with(
            a_key("AKIA1", last_use=used(region="N/A")),
            a_key("AKIA2", active=False, last_use=DENIED),
            name="bob",
            mfa=DENIED,
        ),
    )
    account = an_account(name="prod", ou="Root/Prod", state=AccountState.ACTIVE, tags={"a": "b"})
    inventory = an_inventory(
        *users,
        account=account,
        outcome=OutcomeKind.PARTIAL,
        role_arn="arn:aws:iam::1:role/x",
        credential_report_at=NOW,
        root_keys_unknown=DENIED,
        errors=(ReadError(operation="iam:X", code="C", message="m", subject="s"),),
    )
    store.begin(a_run(), [account])

    store.save("run-1", inventory)

    [read] = store.accounts("run-1")
    assert tuple(store.users("run-1", ACCOUNT_ID)) == users
    assert read.account == account
    assert (read.outcome, read.errors) == (inventory.outcome, inventory.errors)
    assert read.root_keys_unknown == DENIED
    assert read.credential_report_at == NOW


def test_saving_an_account_again_replaces_it(store: SqliteRunStore) -> None:
    store.begin(a_run(), [an_account()])
    store.save("run-1", an_inventory(a_user_with(a_key("AKIA1")), a_user_with(name="bob")))

    store.save("run-1", an_inventory(a_user_with(a_key("AKIA2"))))

    [user] = store.users("run-1", ACCOUNT_ID)
    assert [key.id for key in user.keys] == ["AKIA2"]


def test_an_account_that_was_never_read_counts_as_unreachable(store: SqliteRunStore) -> None:
    store.begin(a_run(finished_at=None), [an_account(), an_account("2" * 12, skip="excluded")])

    report = StoredReport(store.connection, "run-1", version="0")

    assert report.coverage()["accounts"] == {
        "total": 2,
        "audited": 0,
        "partial": 0,
        "unreachable": 1,
        "skipped": 1,
    }
    assert report.coverage()["complete"] is False
    first, second = report.accounts()
    assert first["errors"][0]["code"] == "Interrupted"
    assert second["outcome"] == "skipped"
    assert [error["code"] for error in second["errors"]] == ["Excluded"]


def test_a_key_stays_noted_inactive_since_the_first_run_that_saw_it_so(
    store: SqliteRunStore,
) -> None:
    def noted(run: str, at: datetime, *keys: AccessKey) -> list[tuple[str, str]]:
        store.begin(a_run(run, started_at=at), [an_account()])
        store.save(run, an_inventory(a_user_with(*keys)))
        query = "SELECT access_key_id, since FROM inactive_key ORDER BY 1"
        return store.connection.execute(query).fetchall()

    off, other = a_key("AKIA1", active=False), a_key("AKIA2", active=False)
    nameless = AccessKey(
        id=None, slot=1, status=KeyStatus.INACTIVE, created_at=None, last_use=NeverUsed()
    )
    first, second, third = (NOW + timedelta(days=days) for days in range(3))

    assert noted("run-1", first, off, nameless) == [("AKIA1", instant(first))]
    assert noted("run-2", second, off, other) == [
        ("AKIA1", instant(first)),
        ("AKIA2", instant(second)),
    ]
    assert noted("run-3", third, a_key("AKIA1"), nameless) == [("AKIA2", instant(second))]


def test_a_run_is_kept_apart_from_the_others(store: SqliteRunStore) -> None:
    for run in ("run-1", "run-2"):
        store.begin(a_run(run), [an_account()])
        store.save(run, an_inventory(a_user_with(a_key(f"AKIA{run[-1]}"))))

    [user] = store.users("run-2", ACCOUNT_ID)
    [key] = StoredReport(store.connection, "run-1", version="0").keys()

    assert user.keys[0].id == "AKIA2"
    assert key["access_key_id"] == "AKIA1"


def test_a_failed_save_leaves_nothing_of_it(store: SqliteRunStore) -> None:
    store.begin(a_run(), [an_account()])
    twice = an_inventory(a_user_with(a_key()), a_user_with(a_key()))

    with pytest.raises(sqlite3.IntegrityError):
        store.save("run-1", twice)

    assert list(store.users("run-1", ACCOUNT_ID)) == []


def test_the_file_is_the_owners_alone_and_in_wal_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteRunStore(tmp_path / "iamaudit.db")
        mode = store.connection.execute("PRAGMA journal_mode").fetchone()[0]
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("iamaudit.db*")}
        store.close()
    finally:
        os.umask(before)

    assert mode == "wal"
    assert modes == {0o600}


def test_a_store_is_opened_again(tmp_path: Path) -> None:
    first = SqliteRunStore(tmp_path / "iamaudit.db")
    first.begin(a_run(), [an_account()])
    first.close()

    second = SqliteRunStore(tmp_path / "iamaudit.db")

    assert [each.account.id for each in second.accounts("run-1")] == [ACCOUNT_ID]
    second.close()


def a_foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE song (title)")
    connection.close()


def a_later_store(path: Path) -> None:
    SqliteRunStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (a_foreign_database, "is not a store of iamaudit"),
        (a_later_store, "was written by a later iamaudit"),
        (lambda path: path.write_text("no database, " * 99), "file is not a database"),
        (lambda path: path.mkdir(), "can't be used"),
    ],
)
def test_a_file_that_is_no_store_of_ours_is_refused_and_left_alone(
    tmp_path: Path, make: object, told: str
) -> None:
    path = tmp_path / "iamaudit.db"
    assert callable(make)
    make(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(AuditError, match=told) as caught:
        SqliteRunStore(path)

    assert "--output" in caught.value.hint
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_report_of_a_run_that_is_not_there_is_refused(store: SqliteRunStore) -> None:
    with pytest.raises(AuditError, match="there is no run nil"):
        StoredReport(store.connection, "nil", version="0")


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    output = Output(tmp_path / "reports")
    output.prepare()
    output.write("run-1", "report.json", lambda out: print("old", file=out))

    def breaks(out: object) -> None:
        raise LookupError("half-way")

    with pytest.raises(LookupError):
        output.write("run-1", "report.json", breaks)

    assert [path.name for path in (tmp_path / "reports/run-1").iterdir()] == ["report.json"]
    assert (tmp_path / "reports/run-1/report.json").read_bytes() == b"old\n"


def test_latest_follows_the_newest_run_and_never_replaces_a_folder(tmp_path: Path) -> None:
    output = Output(tmp_path)
    for run in ("run-1", "run-2"):
        output.write(run, "report.json", lambda out: None)
        assert output.link_latest(run) == tmp_path / "latest"
    assert (tmp_path / "latest").readlink() == Path("run-2")

    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    assert output.link_latest("run-1") == tmp_path / "run-1"


def test_a_folder_under_a_file_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(AuditError, match="Not a directory"):
        Output(tmp_path / "file" / "reports").check()


FIRST_VERSION = """
DROP TABLE exemption; DROP TABLE policy_source; DROP TABLE plan; DROP TABLE journal;
DROP TABLE lease; DROP TABLE inactive_key; DROP TABLE seal;
ALTER TABLE account DROP COLUMN profile; ALTER TABLE account DROP COLUMN external_id;
ALTER TABLE finding DROP COLUMN exemption_unread; ALTER TABLE run DROP COLUMN judged;
PRAGMA user_version = 1;
"""


def test_a_store_of_an_older_version_is_taken_over_with_its_runs(tmp_path: Path) -> None:
    file = tmp_path / "iamaudit.db"
    store = SqliteRunStore(file)
    store.begin(a_run(), [an_account()])
    store.close()
    with sqlite3.connect(file) as old:
        old.executescript(FIRST_VERSION)
    old.close()

    store = SqliteRunStore(file)

    assert store.run("run-1").caller_arn == a_run().caller_arn
    assert store.run("run-1").sources == ()
    assert store.judged("run-1")
    fresh = SqliteRunStore(tmp_path / "fresh.db")
    shape = "SELECT name, group_concat(info) FROM (SELECT m.name, i.name || i.type AS info FROM"
    shape += " sqlite_schema m, pragma_table_info(m.name) i ORDER BY 1, 2) GROUP BY 1 ORDER BY 1"
    assert store.connection.execute(shape).fetchall() == fresh.connection.execute(shape).fetchall()
    store.close()
    fresh.close()


def test_a_run_comes_back_with_its_policies(store: SqliteRunStore) -> None:
    run = a_run(
        policies=[PolicyStamp(id="p", title="t", sha256="0" * 64, params={"a": "1d"})],
        sources=[PolicySource(name="p.yaml", text="x: ä", packs={"baseline": "y"})],
        rules=[
            RuleStamp(
                id="r",
                title="t",
                severity="low",
                when="true",
                remedy="none",
                controls=("a:b",),
                facts=("key.idle",),
            )
        ],
        api_calls={"iam:ListUsers": 3},
    )
    store.begin(run, [])

    assert store.run("run-1") == run
    assert not store.judged("run-1")


def test_the_latest_run_is_the_newest_judged_one(store: SqliteRunStore) -> None:
    for name in ("b", "c", "a"):
        store.begin(a_run(name), [])
        if name != "a":
            store.record(name, iter([]), lambda: RunResults(controls=(), exemptions=()))

    assert store.run("latest").id == "c"
    assert store.newer_unjudged("c") == "a"
    assert store.run("latest", to_resume=True).id == "a"


def test_where_no_run_is_judged_the_latest_is_the_one_begun_last(store: SqliteRunStore) -> None:
    for name in ("b", "c", "a"):
        store.begin(a_run(name), [])

    assert store.run("latest").id == "a"
    assert store.newer_unjudged("a") is None
    with pytest.raises(AuditError, match="no run 'x'") as caught:
        store.run("x")
    assert caught.value.hint == "the newest is a"


def test_an_empty_store_says_so(store: SqliteRunStore) -> None:
    with pytest.raises(AuditError, match="there is no run in"):
        store.run("latest")


def test_a_store_that_is_not_there_is_not_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="there is no store"):
        SqliteRunStore(tmp_path / "iamaudit.db", create=False)

    assert not list(tmp_path.iterdir())


def test_a_key_is_found_by_its_id_and_a_user_by_account_and_name(store: SqliteRunStore) -> None:
    root = AccessKey(
        id=None, slot=1, status=KeyStatus.ACTIVE, created_at=None, last_use=NeverUsed()
    )
    store.begin(a_run(), [an_account()])
    users = (a_user_with(root, name=ROOT_USER_NAME), a_user_with(a_key("AKIA1"), name="a/b"))
    store.save("run-1", an_inventory(*users))

    assert store.find("run-1", "AKIA1") == [(ACCOUNT_ID, "a/b")]
    assert store.find("run-1", f"{ACCOUNT_ID}/a/b") == [(ACCOUNT_ID, "a/b")]
    assert store.find("run-1", f"{ACCOUNT_ID}/{ROOT_USER_NAME}") == [(ACCOUNT_ID, ROOT_USER_NAME)]
    assert store.find("run-1", "AKIA2") == []
