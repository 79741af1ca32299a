"""Whoever edits the store's file is noticed by every command; who does not is never suspected."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from auditor.config import FORMATS
from auditor.engine.judgement import RunJudge
from auditor.errors import AuditError
from auditor.formats.document import json_schema
from auditor.model.access_key import NeverUsed
from auditor.model.outcome import Result, Step
from auditor.model.plan import Plan
from auditor.remediation.planner import Planning
from auditor.store import plan_file
from auditor.store.encoding import dumps, loads
from auditor.store.journal import SqliteJournal
from auditor.store.output import STORE, Output
from auditor.store.retention import Retention
from auditor.store.runs import SqliteRunStore
from auditor.store.trend import trend
from auditor.wiring.policies import load_policies, stamps
from auditor.wiring.remediation import planned, write_plan
from tests.builders import (
    DENIED,
    KEY_ID,
    a_key,
    a_policy,
    a_rule,
    a_run,
    a_user_with,
    an_account,
    an_inventory,
)
from tests.command import Run
from tests.fuzz.stores import resealed
from tests.fuzz.trials import Said, iamaudit

NOW = datetime.now(UTC).replace(microsecond=0)
TABLES = (
    "policy_source", "account", "user", "access_key", "judged_key", "finding", "control_result",
    "exemption",
)  # fmt: skip
"""What the store holds of a run, beside its own row."""
POLICY = a_policy(
    a_rule(remedy="deactivate", controls="[cis-aws-5.0.0:1.13]"),
    head="exemptions: [{user: bob, reason: r, owner: o, expires: 2099-01-31}]",
)
SPARE = "AKIAI44QH8DHBEXAMPLE"


def judge(store: SqliteRunStore, run_id: str) -> None:
    run = store.run(run_id)
    policies = [*_policies(Path(run.sources[0].name))]
    judged = RunJudge(store, run_id, policies, partition="aws", now=run.now)
    store.record(run_id, judged.judged(), judged.results)


def _policies(file: Path) -> Sequence[Any]:
    return load_policies([str(file)])


def begin(folder: Path, store: SqliteRunStore, run_id: str, **values: Any) -> None:
    """Store a run that was read and is not judged yet."""
    file = folder / "house.yaml"
    file.write_text(POLICY)
    policies = _policies(file)
    run = a_run(
        run_id,
        policies=tuple(each.stamp for each in policies),
        sources=tuple(replace(each.source, name=str(file)) for each in policies),
        rules=stamps(policies),
        **{"started_at": NOW, "now": NOW, "finished_at": NOW} | values,
    )
    store.begin(run, [an_account(), an_account("2" * 12)])
    users = (
        a_user_with(a_key(days_old=900), a_key(SPARE, days_old=900)),
        a_user_with(a_key("AKIA3", days_old=900), name="bob"),
    )
    store.save(run_id, an_inventory(*users))
    store.save(run_id, an_inventory(account=an_account("2" * 12)))
    store.finish(run)


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store: two judged runs, a plan of the last that was begun, and one anew."""
    folder = tmp_path_factory.mktemp("seed")
    with closing(SqliteRunStore(folder / STORE)) as store:
        for run_id in ("run-1", "run-2"):
            begin(folder, store, run_id)
            judge(store, run_id)
        with closing(SqliteJournal(folder / STORE)) as journal:
            first = _planned(store, journal)
            for action in first.actions:
                for step, detail in (
                    (Step.INTENT, {"status": "Active"}),
                    (Step.OUTCOME, {"result": Result.APPLIED, "reason": ""}),
                ):
                    journal.append(at=NOW, plan=first, action=action, step=step, detail=detail)
            write_plan(Output(folder), _planned(store, journal, max_age=1))
    with closing(sqlite3.connect(folder / STORE, isolation_level=None)) as opened:
        opened.execute("PRAGMA journal_mode = DELETE")
    return folder


def _planned(store: SqliteRunStore, journal: SqliteJournal, *, max_age: int = 0) -> Plan:
    made = planned(
        store,
        journal,
        store.run("run-2"),
        Planning(),
        own_key_ids=frozenset(),
        now=NOW + timedelta(seconds=max_age),
    )
    assert len(made.actions) == 2
    return made


@pytest.fixture
def folder(seed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seed, tmp_path / "reports"))


@pytest.fixture
def edited(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file in the hands of somebody who knows SQLite and not the tool."""
    with closing(sqlite3.connect(folder / STORE, isolation_level=None)) as opened:
        for name in ("journal_keeps_lines", "journal_loses_none"):
            opened.execute(f"DROP TRIGGER {name}")
        yield opened


COMMANDS: Mapping[str, Callable[[Path], list[str]]] = {
    "report": lambda folder: ["report", *(f"--format={name}" for name in FORMATS)],
    "report to stdout": lambda folder: ["report", "--output=-", f"--store={folder / STORE}"],
    "judged again": lambda folder: ["report", "--policy=strict"],
    "baseline": lambda folder: ["report", "--baseline=run-1"],
    "as baseline": lambda folder: ["diff", "run-2", "run-1"],
    "diff": lambda folder: ["diff"],
    "explain": lambda folder: ["policy", "explain", KEY_ID],
    "plan": lambda folder: ["plan"],
    "history": lambda folder: ["history"],
    "publish": lambda folder: ["publish", "securityhub", "--region=eu-west-1"],
    "resume": lambda folder: ["scan", "--resume=run-2", f"--policy={folder / 'house.yaml'}"],
    "apply": lambda folder: ["apply", str(folder / "run-2/plan.json"), "--yes"],
    "undo": lambda folder: ["undo", "run-2", "--yes"],
}
OF_THE_JOURNAL: Mapping[str, Callable[[Path], list[str]]] = {
    **{name: COMMANDS[name] for name in ("report", "plan", "history", "apply", "undo")},
    "history of a run": lambda folder: ["history", "run-2"],
    "prune": lambda folder: ["prune", "--keep=1"],
}


def told(folder: Path, arguments: list[str]) -> Said:
    given = any(each.startswith(("--store", "--output")) for each in arguments)
    return iamaudit("seal", *arguments, *([] if given else [f"--output={folder}"]))


def refused(folder: Path, commands: Mapping[str, Callable[[Path], list[str]]]) -> set[str]:
    """Run the commands, each of which has to end in one line and 2; return the lines."""
    lines = set()
    for name, arguments in commands.items():
        said = told(folder, arguments(folder))
        assert (said.code, said.out) == (2, ""), (name, said)
        [line] = said.err.splitlines()
        lines.add(line.partition("; ")[0])
    return lines


def columns(store: sqlite3.Connection, table: str) -> list[tuple[str, str, bool]]:
    """Return name, type, and whether it is of the key, of each column."""
    found = store.execute(f"PRAGMA table_info({table})").fetchall()
    return [(name, kind, bool(key)) for _, name, kind, _, _, key in found]


def check(folder: Path, run_id: str = "run-2") -> None:
    """Read what there is of a run, as commands do; raise AuditError."""
    with closing(SqliteRunStore(folder / STORE)) as store:
        store.run(run_id)
        with closing(SqliteJournal(folder / STORE)) as journal:
            journal.plans(run_id)
        trend(store.connection)


# --- edited ---------------------------------------------------------------------------------


def test_every_command_refuses_a_run_with_an_edited_finding(
    folder: Path, edited: sqlite3.Connection
) -> None:
    edited.execute("UPDATE finding SET status = 'exempt' WHERE run_id = 'run-2'")

    assert refused(folder, COMMANDS) == {
        "iamaudit: the store is damaged: run run-2 is not as it was sealed: finding"
    }


@pytest.mark.parametrize("table", ["run", *TABLES])
def test_a_change_of_any_cell_of_a_run_is_noticed(folder: Path, table: str) -> None:
    with closing(sqlite3.connect(folder / STORE)) as opened:
        names = columns(opened, table)
        of_run = "id" if table == "run" else "run_id"
        count = f"SELECT count(*) FROM {table} WHERE {of_run} = 'run-2'"  # noqa: S608
        assert opened.execute(count).fetchone()[0]
    for name, kind, _ in names:
        copy = Path(shutil.copytree(folder, folder.parent / name))
        other = f"coalesce({name}, 0) + 7" if kind == "INTEGER" else f"coalesce({name}, '') || ' '"
        with closing(sqlite3.connect(copy / STORE, isolation_level=None)) as opened:
            opened.execute(
                f"UPDATE {table} SET {name} = {other} WHERE rowid = (SELECT max(rowid) FROM run)"  # noqa: S608
                if table == "run"
                else f"UPDATE {table} SET {name} = {other} WHERE run_id = 'run-2'"  # noqa: S608
            )

        with pytest.raises(AuditError, match="the store is damaged"):
            check(copy, "latest")
        assert name == "id" or told(copy, ["report", "--run=run-2"]).code == 2


@pytest.mark.parametrize("table", TABLES)
def test_a_row_taken_out_or_put_in_is_noticed(folder: Path, table: str) -> None:
    copy = Path(shutil.copytree(folder, folder.parent / "other"))
    with closing(sqlite3.connect(folder / STORE, isolation_level=None)) as opened:
        where = f"SELECT * FROM {table} WHERE run_id = 'run-2' LIMIT 1"  # noqa: S608
        names = columns(opened, table)
        [row] = opened.execute(where).fetchall()
        keys = [(at, kind) for at, (_, kind, key) in enumerate(names) if key]
        is_it = " AND ".join(f"{names[at][0]} = ?" for at, _ in keys)
        opened.execute(f"DELETE FROM {table} WHERE {is_it}", [row[at] for at, _ in keys])  # noqa: S608
    at, kind = keys[-1]
    more = [*row[:at], row[at] + 7 if kind == "INTEGER" else f"{row[at]}0", *row[at + 1 :]]
    with closing(sqlite3.connect(copy / STORE, isolation_level=None)) as opened:
        marks = ", ".join("?" * len(more))
        opened.execute(f"INSERT INTO {table} VALUES ({marks})", more)  # noqa: S608

    for each in (folder, copy):
        with pytest.raises(AuditError, match=f"run-2 is not as it was sealed: {table}$"):
            check(each)
        assert told(each, ["report"]).code == 2


def test_two_rows_that_change_places_are_noticed(folder: Path, edited: sqlite3.Connection) -> None:
    edited.execute(
        "UPDATE access_key SET id = CASE id WHEN ? THEN ? ELSE ? END"
        " WHERE run_id = 'run-2' AND user_name = 'alice'",
        (KEY_ID, SPARE, KEY_ID),
    )

    with pytest.raises(AuditError, match="sealed: access_key"):
        check(folder)


def test_a_run_that_was_taken_out_is_missed(folder: Path, edited: sqlite3.Connection) -> None:
    edited.execute("DELETE FROM run WHERE id = 'run-2'")

    for arguments in (["report"], ["history"], ["diff"]):
        said = told(folder, arguments)
        assert said.code == 2
    assert "run run-2 was taken out of it" in told(folder, ["report"]).err


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM seal",
        "UPDATE seal SET digests = '{}'",
        "UPDATE seal SET digests = 'x'",
        "UPDATE seal SET digests = digests || ' '",
        "UPDATE seal SET digests = (SELECT digests FROM seal WHERE run_id = 'run-1')",
        "UPDATE run SET judged = 0",
    ],
)
def test_a_seal_that_was_tampered_with_is_noticed(
    folder: Path, edited: sqlite3.Connection, statement: str
) -> None:
    edited.execute(statement)

    assert all("the store is damaged" in line for line in refused(folder, COMMANDS))


def test_the_other_runs_of_an_edited_store_can_still_be_told(
    folder: Path, edited: sqlite3.Connection
) -> None:
    edited.execute("UPDATE access_key SET status = 'Inactive' WHERE run_id = 'run-2'")

    assert told(folder, ["report", "--run=run-1"]).code == 1


# --- the journal ----------------------------------------------------------------------------


def test_every_command_that_reads_the_journal_refuses_an_edited_one(
    folder: Path, edited: sqlite3.Connection
) -> None:
    edited.execute("""UPDATE journal SET detail = '{"result":"refused","reason":""}'
        WHERE sequence = 2""")

    assert refused(folder, OF_THE_JOURNAL) == {
        "iamaudit: the store is damaged: line 2 of its journal is not as it was written"
    }


LINES = "SELECT count(*) FROM journal"


def test_a_change_of_any_cell_of_the_journal_is_noticed(
    folder: Path, edited: sqlite3.Connection
) -> None:
    for name, kind, _ in columns(edited, "journal"):
        copy = Path(shutil.copytree(folder, folder.parent / name))
        other = f"{name} + 100" if kind == "INTEGER" else f"{name} || ' '"
        with closing(sqlite3.connect(copy / STORE, isolation_level=None)) as opened:
            opened.execute(f"UPDATE journal SET {name} = {other} WHERE sequence = 4")  # noqa: S608

        with pytest.raises(AuditError, match=r"line 4 of its journal is not as it was written"):
            check(copy)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["DELETE FROM journal WHERE sequence = 1"], "line 1 of its journal is not"),
        (["DELETE FROM journal WHERE sequence = 2"], "line 2 of its journal is not"),
        (["DELETE FROM journal WHERE sequence = 4"], "its journal has 3 lines, and 4 were"),
        (["DELETE FROM journal"], "its journal has 0 lines, and 4 were"),
        (
            [
                "DELETE FROM journal WHERE sequence = 3",
                "UPDATE journal SET sequence = 3 WHERE sequence = 4",
            ],
            "line 3 of its journal is not",
        ),
        (
            [
                "UPDATE journal SET sequence = 9 WHERE sequence = 2",
                "UPDATE journal SET sequence = 2 WHERE sequence = 3",
                "UPDATE journal SET sequence = 3 WHERE sequence = 9",
            ],
            "line 2 of its journal is not",
        ),
        (
            [
                "INSERT INTO journal SELECT 5, at, plan_id, run_id, action_id, account_id,"
                " user_name, access_key_id, kind, step, detail, digest FROM journal LIMIT 1"
            ],
            "line 5 of its journal is not",
        ),
        (
            [
                "INSERT INTO journal SELECT 5, at, plan_id, run_id, action_id, account_id,"
                " user_name, access_key_id, kind, step, detail, NULL FROM journal LIMIT 1"
            ],
            "line 5 of its journal is not",
        ),
        (["UPDATE journal SET digest = NULL WHERE sequence = 3"], "line 3 of its journal is not"),
        (
            ["UPDATE journal SET digest = NULL WHERE sequence < 3", "UPDATE journal SET at = at"
             " || ' ' WHERE sequence = 1"],
            "line 3 of its journal is not",
        ),
    ],
)  # fmt: skip
def test_lines_taken_out_put_in_or_moved_are_noticed(
    folder: Path, edited: sqlite3.Connection, statements: Sequence[str], said: str
) -> None:
    for statement in statements:
        edited.execute(statement)

    with pytest.raises(AuditError, match=said):
        check(folder)
    assert said in told(folder, ["history", "run-2"]).err


def test_an_untouched_journal_is_gone_on_with(folder: Path) -> None:
    for _ in range(2):
        with closing(SqliteJournal(folder / STORE)) as journal:
            plan = journal.plans("run-2")[0]
            action, detail = plan.actions[0], {"status": "Active"}
            journal.append(at=NOW, plan=plan, action=action, step=Step.INTENT, detail=detail)

    check(folder)
    lines = json.loads(told(folder, ["history", "run-2", "--json"]).out)
    assert len({line["digest"] for line in lines}) == len(lines) == 6


# --- plans ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "run_id", "created_at", "undoes", "sha256", "document"])
def test_a_change_of_any_cell_of_a_plan_is_noticed(
    folder: Path, edited: sqlite3.Connection, name: str
) -> None:
    edited.execute(
        f"UPDATE plan SET {name} = coalesce({name}, '') || ' '"  # noqa: S608 -- names of ours
        if name != "document"
        else "UPDATE plan SET document = replace(document, 'at\":\"2', 'at\":\"3')"
    )

    commands = ["history", "apply"] if name == "run_id" else ["history", "apply", "report", "plan"]
    for each in commands[: None if name == "id" else 3]:
        assert told(folder, COMMANDS[each](folder)).code == 2


def test_a_plan_that_was_begun_is_missed(folder: Path, edited: sqlite3.Connection) -> None:
    edited.execute("DELETE FROM plan WHERE id IN (SELECT plan_id FROM journal)")

    [line] = refused(folder, OF_THE_JOURNAL)
    assert "which its journal is about, was taken out of it" in line


def test_a_plan_is_of_the_run_as_it_was(folder: Path, edited: sqlite3.Connection) -> None:
    """Who makes all digests in the file anew can't make those of a plan.json that was kept."""
    edited.execute("UPDATE access_key SET created_at = '2020-01-01T00:00:00Z'")
    resealed(folder / STORE)

    said = told(folder, COMMANDS["apply"](folder))

    assert told(folder, ["report"]).code == 1
    assert said.code == 2
    assert "run run-2 is not as it was when plan plan-" in said.err


def test_a_plan_without_the_digest_of_its_run_is_one_all_the_same(folder: Path) -> None:
    [file] = folder.glob("*/plan.json")
    content = json.loads(file.read_text())
    del content["run_digest"]
    content["sha256"] = plan_file.digest(content)

    plan, sha256 = plan_file.parse(json.dumps(content), source="plan.json")

    assert (plan.run_digest, sha256) == (None, content["sha256"])
    jsonschema.Draft202012Validator(plan_file.json_schema()).validate(content)


# --- untouched ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in {"publish", "resume", "apply"}]
)
def test_an_untouched_store_is_never_suspected(folder: Path, name: str) -> None:
    for _ in range(2):
        said = told(folder, COMMANDS[name](folder))
        assert "damaged" not in said.err
        assert said.code in ({2} if name == "undo" else {0, 1}), said  # it needs credentials


def test_the_report_has_the_digest_that_history_shows(folder: Path) -> None:
    report = json.loads(told(folder, COMMANDS["report to stdout"](folder)).out)
    newest = json.loads(told(folder, ["history", "--json"]).out)[0]
    with closing(SqliteRunStore(folder / STORE)) as store:
        digest = store.digest("run-2")

    jsonschema.Draft202012Validator(json_schema()).validate(report)
    assert report["run"]["digest"] == newest["digest"] == digest
    assert json.loads((folder / "run-2/plan.json").read_text())["run_digest"] == digest
    assert "unsealed" not in told(folder, ["history"]).out


@pytest.mark.parametrize("more", ["--policy=strict", "--now=2099-01-01", "--mask-keys"])
def test_a_report_that_tells_otherwise_has_no_digest(folder: Path, more: str) -> None:
    said = told(folder, [*COMMANDS["report to stdout"](folder), more])

    report = json.loads(said.out)
    jsonschema.Draft202012Validator(json_schema()).validate(report)
    assert report["run"]["digest"] is None


def test_the_same_run_has_the_same_digest_in_every_store_and_another_run_another(
    tmp_path: Path,
) -> None:
    digests = []
    for name, count in (("one", 900), ("two", 900), ("three", 901)):
        with closing(SqliteRunStore(tmp_path / f"{name}.db")) as store:
            begin(tmp_path, store, "run-1")
            store.save("run-1", an_inventory(a_user_with(a_key(days_old=count))))
            judge(store, "run-1")
            digests.append(store.digest("run-1"))

    assert digests[0] == digests[1] != digests[2]


def test_many_rows_are_read_in_more_than_one_piece(tmp_path: Path) -> None:
    with closing(SqliteRunStore(tmp_path / STORE)) as store:
        begin(tmp_path, store, "run-1")
        users = [a_user_with(a_key(f"AKIA{n}"), name=f"user-{n:04}") for n in range(1203)]
        store.save("run-1", an_inventory(*users))
        judge(store, "run-1")
        store.run("run-1")
        store.connection.execute("UPDATE user SET path = '/x/' WHERE name = 'user-1202'")

        with pytest.raises(AuditError, match="sealed: user"):
            store.run("run-1")


def test_a_run_that_was_sealed_in_the_first_form_is_checked_as_it_was_sealed(
    folder: Path, edited: sqlite3.Connection
) -> None:
    [(newer,)] = edited.execute("SELECT digests FROM seal WHERE run_id = 'run-2'").fetchall()
    older = {table: digest for table, digest in json.loads(newer).items() if table != "form"}
    for table, key in (
        ("user", "account_id, name"),
        ("access_key", "account_id, user_name, position"),
        ("judged_key", "account_id, user_name, position"),
        ("finding", "account_id, user_name, position, rule_id"),
    ):
        rows = edited.execute(f"SELECT * FROM {table} WHERE run_id = 'run-2' ORDER BY {key}")  # noqa: S608
        written = json.dumps(rows.fetchall(), separators=(",", ":"), ensure_ascii=False)
        older[table] = hashlib.sha256(written.encode()).hexdigest()
    text = json.dumps(older, separators=(",", ":"))
    edited.execute("UPDATE seal SET digests = ? WHERE run_id = 'run-2'", (text,))

    with closing(SqliteRunStore(folder / STORE)) as store:
        assert store.run("run-2").id == "run-2"
        edited.execute("UPDATE finding SET title = 'nothing' WHERE run_id = 'run-2'")
        with pytest.raises(AuditError, match="sealed: finding"):
            store.run("run-2")


@pytest.mark.parametrize("form", ["", "by account", "by user"])
def test_a_seal_of_another_form_than_it_was_made_in_is_noticed(
    folder: Path, edited: sqlite3.Connection, form: str
) -> None:
    [(text,)] = edited.execute("SELECT digests FROM seal WHERE run_id = 'run-2'").fetchall()
    digests = json.loads(text)
    assert digests.pop("form") == "by account"
    changed = {**({"form": form} if form else {}), **digests}
    edited.execute(
        "UPDATE seal SET digests = ? WHERE run_id = 'run-2'",
        (json.dumps(changed, separators=(",", ":")),),
    )

    with closing(SqliteRunStore(folder / STORE)) as store:
        if form == "by account":
            store.run("run-2")
        else:
            with pytest.raises(AuditError, match="not as it was sealed"):
                store.run("run-2")


def test_digests_of_rows_that_were_not_kept_seal_nothing(tmp_path: Path) -> None:
    with closing(SqliteRunStore(tmp_path / STORE)) as store:
        begin(tmp_path, store, "run-1")
        store.connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON account BEGIN SELECT raise(ABORT, 'full'); END"
        )
        with pytest.raises(sqlite3.IntegrityError, match="full"):
            store.save("run-1", an_inventory(a_user_with(a_key("AKIA9"))))
        store.connection.execute("DROP TRIGGER full")

        judge(store, "run-1")

        store.run("run-1")


def test_a_run_that_is_gone_on_with_is_sealed_anew(tmp_path: Path) -> None:
    with closing(SqliteRunStore(tmp_path / STORE)) as store:
        begin(tmp_path, store, "run-1", finished_at=None)
        judge(store, "run-1")
        run, before = store.run("run-1"), store.digest("run-1")

        store.save("run-1", an_inventory(a_user_with(a_key(days_old=800))))

        assert not store.judged("run-1")  # killed here, no verdict of the accounts before counts
        assert store.digest("run-1") is None
        store.finish(replace(store.run("run-1"), finished_at=NOW))
        judge(store, "run-1")
        assert store.run("run-1") != run
        assert store.digest("run-1") not in {None, before}


def test_last_uses_that_were_asked_for_again_are_sealed(tmp_path: Path) -> None:
    with closing(SqliteRunStore(tmp_path / STORE)) as store:
        begin(tmp_path, store, "run-1")
        judge(store, "run-1")

        store.set_last_uses("run-1", {a_key().id: NeverUsed(), a_key(SPARE).id: DENIED})  # type: ignore[dict-item] # these have ids
        store.run("run-1")
        judge(store, "run-1")

        store.run("run-1")
        trend(store.connection)


def test_a_run_that_its_scan_did_not_live_to_judge_is_sealed_when_it_is_judged(
    tmp_path: Path,
) -> None:
    with closing(SqliteRunStore(tmp_path / STORE)) as store:
        for run_id in ("run-1", "run-2"):
            begin(tmp_path, store, run_id)
        [newest, _] = trend(store.connection)
    assert (newest["digest"], newest["judged"]) == (None, False)
    assert "unsealed" not in told(tmp_path, ["history"]).out
    assert told(tmp_path, ["report"]).code == 1

    assert told(tmp_path, ["diff", "run-1", "run-2"]).code == 0  # which judges both

    with closing(SqliteRunStore(tmp_path / STORE)) as store:
        assert all(run["digest"] for run in trend(store.connection))


def test_pruning_one_run_leaves_the_seals_of_the_others(folder: Path) -> None:
    with (
        closing(SqliteRunStore(folder / STORE)) as store,
        closing(SqliteJournal(folder / STORE)) as journal,
    ):
        Retention(store.connection, journal, folder / STORE).remove("run-1")
        Retention(store.connection, journal, folder / STORE).shrink()

    check(folder)
    assert told(folder, ["report"]).code == 1
    with closing(sqlite3.connect(folder / STORE)) as opened:
        assert opened.execute("SELECT run_id FROM seal").fetchall() == [("run-2",)]


def test_another_process_that_writes_meanwhile_is_no_tampering(folder: Path) -> None:
    """The run is read as of one moment, however often what it is made of is committed anew."""
    with closing(SqliteRunStore(folder / STORE)) as reader:
        rows = reader.connection.execute("SELECT * FROM access_key")
        rows.fetchone()  # a statement under way keeps the moment that it began in
        with closing(SqliteRunStore(folder / STORE)) as writer:
            writer.save("run-2", an_inventory(a_user_with(a_key(days_old=5))))
        reader.run("run-2")
        rows.close()
        assert not reader.judged("run-2")
        reader.run("run-2")


# --- older stores ---------------------------------------------------------------------------


@pytest.fixture
def older(folder: Path, edited: sqlite3.Connection) -> Path:
    """The store as version 2 had it."""
    edited.executescript(
        "ALTER TABLE journal DROP COLUMN digest; DROP TABLE seal; PRAGMA user_version = 2;"
    )
    for plan_id, document in edited.execute("SELECT id, document FROM plan").fetchall():
        content = {name: value for name, value in loads(document).items() if name != "run_digest"}
        content["sha256"] = plan_file.digest(content)
        edited.execute(
            "UPDATE plan SET document = ?, sha256 = ? WHERE id = ?",
            (dumps(content), content["sha256"], plan_id),
        )
    return folder


def test_runs_of_an_older_store_are_told_as_unsealed(older: Path) -> None:
    check(older)

    assert told(older, ["report"]).code == 1
    assert json.loads((older / "run-2/report.json").read_text())["run"]["digest"] is None
    listed = told(older, ["history"]).out
    assert "unsealed, judged by an older version: run-2, run-1" in listed
    assert {run["digest"] for run in json.loads(told(older, ["history", "--json"]).out)} == {None}
    assert told(older, ["plan"]).code == 0


def test_an_older_journal_counts_from_its_next_line_on(
    older: Path, edited: sqlite3.Connection
) -> None:
    with closing(SqliteJournal(older / STORE)) as journal:
        plan = journal.plans("run-2")[0]
        detail = {"status": "Active"}
        journal.append(at=NOW, plan=plan, action=plan.actions[0], step=Step.INTENT, detail=detail)
    check(older)

    edited.execute("UPDATE journal SET user_name = 'eve' WHERE sequence = 1")

    with pytest.raises(AuditError, match="line 5 of its journal is not as it was written"):
        check(older)


# --- from end to end ------------------------------------------------------------------------


def test_scans_of_every_kind_leave_a_store_that_is_whole(scan: Run, run: Run) -> None:
    for more in (
        ("--transport=fast",),
        ("--transport=sdk", "--remediate=dry-run"),
        ("--source=report", "--remediate=dry-run", "--baseline=latest"),
    ):
        assert scan(*more).code in {1, 3}
    folder = scan().folder

    runs = json.loads(run("history", "--json").stdout)

    kept = {
        report["run"]["id"]: report["run"]["digest"]
        for report in (json.loads(file.read_text()) for file in folder.glob("2*/report.json"))
    }
    assert len(kept) == 4
    assert kept == {each["id"]: each["digest"] for each in runs}
    assert len(set(kept.values())) == 4
    for each in runs:
        assert run("report", "--run", each["id"]).code in {1, 3}
    with closing(sqlite3.connect(folder / STORE, isolation_level=None)) as opened:
        opened.execute("UPDATE finding SET severity = 'info' WHERE severity = 'critical'")
    damaged = run("report")
    assert (damaged.code, damaged.stdout) == (2, "")
    assert "is not as it was sealed: finding" in damaged.stderr
