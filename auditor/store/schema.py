"""The tables of the store, and opening its file."""

import errno
import os
import sqlite3
from pathlib import Path

from auditor.errors import AuditError
from auditor.store.damage import not_whole, one_line

APPLICATION_ID = 0x69616D61  # "iama"
VERSION = 3
_BUSY_SECONDS = 60.0
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})

_INVENTORY = (
    """CREATE TABLE run (
  id TEXT PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT, now TEXT NOT NULL,
  source TEXT NOT NULL, partition TEXT NOT NULL, caller_arn TEXT NOT NULL,
  policies TEXT NOT NULL, rules TEXT NOT NULL, api_calls TEXT NOT NULL, throttled INTEGER NOT NULL,
  judged INTEGER NOT NULL DEFAULT 0
) STRICT""",
    """CREATE TABLE account (
  run_id TEXT NOT NULL REFERENCES run, id TEXT NOT NULL, name TEXT, ou TEXT, state TEXT,
  tags TEXT, ou_unknown TEXT, tags_unknown TEXT, skip TEXT, profile TEXT, external_id TEXT,
  outcome TEXT, via TEXT, role_arn TEXT, credential_report_at TEXT, root_keys_unknown TEXT,
  users INTEGER NOT NULL DEFAULT 0, keys INTEGER NOT NULL DEFAULT 0,
  errors TEXT NOT NULL DEFAULT '[]',
  PRIMARY KEY (run_id, id)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE user (
  run_id TEXT NOT NULL, account_id TEXT NOT NULL, name TEXT NOT NULL,
  arn TEXT NOT NULL, path TEXT NOT NULL, created_at TEXT, root INTEGER NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (run_id, account_id, name)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE access_key (
  run_id TEXT NOT NULL, account_id TEXT NOT NULL, user_name TEXT NOT NULL,
  position INTEGER NOT NULL, id TEXT, slot INTEGER, status TEXT NOT NULL, created_at TEXT,
  last_used_state TEXT NOT NULL, last_used_at TEXT, last_used_service TEXT,
  last_used_region TEXT, unknown TEXT,
  PRIMARY KEY (run_id, account_id, user_name, position)
) STRICT, WITHOUT ROWID""",
)

_POLICY_SOURCE = """CREATE TABLE policy_source (
  run_id TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
  packs TEXT NOT NULL,
  PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID"""

JUDGEMENT = {
    "judged_key": """(
  run_id TEXT NOT NULL, account_id TEXT NOT NULL, user_name TEXT NOT NULL,
  position INTEGER NOT NULL, user_class TEXT, violations TEXT NOT NULL,
  PRIMARY KEY (run_id, account_id, user_name, position)
) STRICT, WITHOUT ROWID""",
    "finding": """(
  run_id TEXT NOT NULL, account_id TEXT NOT NULL, user_name TEXT NOT NULL,
  position INTEGER NOT NULL, rule_id TEXT NOT NULL, id TEXT NOT NULL, title TEXT NOT NULL,
  severity TEXT NOT NULL, status TEXT NOT NULL, access_key_id TEXT, message TEXT NOT NULL,
  remedy TEXT NOT NULL, controls TEXT NOT NULL, exemption TEXT,
  unknown_operation TEXT, unknown_code TEXT, exemption_unread TEXT,
  PRIMARY KEY (run_id, account_id, user_name, position, rule_id)
) STRICT, WITHOUT ROWID""",
    "control_result": """(
  run_id TEXT NOT NULL, framework TEXT NOT NULL, control TEXT NOT NULL, account_id TEXT NOT NULL,
  unit TEXT NOT NULL, passed INTEGER NOT NULL, failed INTEGER NOT NULL, exempt INTEGER NOT NULL,
  indeterminate INTEGER NOT NULL,
  PRIMARY KEY (run_id, framework, control, account_id)
) STRICT, WITHOUT ROWID""",
    "exemption": """(
  run_id TEXT NOT NULL, policy_id TEXT NOT NULL, position INTEGER NOT NULL, rules TEXT,
  selects TEXT NOT NULL, reason TEXT NOT NULL, owner TEXT NOT NULL, expires TEXT NOT NULL,
  expired INTEGER NOT NULL, findings INTEGER NOT NULL, unread INTEGER NOT NULL,
  PRIMARY KEY (run_id, policy_id, position)
) STRICT, WITHOUT ROWID""",
}
"""What the policies said of a run, by table: columns and key."""

_REMEDIATION = (
    """CREATE TABLE plan (
  id TEXT PRIMARY KEY, run_id TEXT NOT NULL, created_at TEXT NOT NULL, undoes TEXT,
  sha256 TEXT NOT NULL, document TEXT NOT NULL
) STRICT""",
    """CREATE TABLE journal (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, plan_id TEXT NOT NULL,
  run_id TEXT NOT NULL, action_id TEXT NOT NULL, account_id TEXT NOT NULL,
  user_name TEXT NOT NULL, access_key_id TEXT NOT NULL, kind TEXT NOT NULL, step TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT""",
    "CREATE INDEX journal_of_plan ON journal (plan_id)",
    "CREATE INDEX journal_of_key ON journal (account_id, access_key_id)",
    """CREATE TRIGGER journal_keeps_lines BEFORE UPDATE ON journal
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER journal_loses_none BEFORE DELETE ON journal
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END""",
    """CREATE TABLE lease (
  plan_id TEXT PRIMARY KEY, holder TEXT NOT NULL, renewed_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE inactive_key (
  account_id TEXT NOT NULL, access_key_id TEXT NOT NULL, since TEXT NOT NULL,
  PRIMARY KEY (account_id, access_key_id)
) STRICT, WITHOUT ROWID""",
)

_EVIDENCE = (
    "ALTER TABLE journal ADD COLUMN digest TEXT",
    "CREATE TABLE seal (run_id TEXT PRIMARY KEY, digests TEXT) STRICT, WITHOUT ROWID",
)
"""What `store/seal.py` keeps; null for what was written by a version that did not."""

_SCHEMA = (
    *_INVENTORY,
    _POLICY_SOURCE,
    *(f"CREATE TABLE {name} {body}" for name, body in JUDGEMENT.items()),
    *_REMEDIATION,
    *_EVIDENCE,
)
_SINCE = {
    1: (
        "ALTER TABLE run ADD COLUMN judged INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE account ADD COLUMN profile TEXT",
        "ALTER TABLE account ADD COLUMN external_id TEXT",
        "ALTER TABLE finding ADD COLUMN exemption_unread TEXT",
        _POLICY_SOURCE,
        f"CREATE TABLE exemption {JUDGEMENT['exemption']}",
        *_REMEDIATION,
    ),
    2: (*_EVIDENCE, "INSERT INTO seal (run_id) SELECT id FROM run WHERE judged"),
}
"""What a file of an older version lacks, by its version."""


def open_database(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """Open or, with `create`, make the store's file, readable by its owner only.

    Raises AuditError where the file can't be used: not writable, not ours, or of a later version.
    The connection may go from thread to thread, but is used by one at a time.
    """
    if not create and not path.exists():
        raise AuditError(
            f"there is no store {path}", hint="name one with --store, or its folder with --output"
        )
    try:
        _make(path)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, str(error)) from None
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, str(error)) from None
    except AuditError:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make the file where there is none; raise OSError for a link.

    One that exists is not even opened: closing any descriptor of it would give up the locks that
    this process holds on it, and another process would take it for unused.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _check(connection, path)  # before anything is changed in a file that may not be ours
    if not _on_network(path):
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    version = _check(connection, path)
    if version == 0:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for older in range(version or VERSION, VERSION):
        for statement in _SINCE[older]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables, 0 for an empty file; raise AuditError for another's."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise AuditError(f"{path} is not a store of iamaudit", hint="choose another --output")
    missing = _TABLES - _names(connection) if version == VERSION else frozenset()
    if missing:
        raise not_whole(path, f"it lacks {', '.join(sorted(missing))}")
    if version > VERSION:
        raise AuditError(
            f"{path} was written by a later iamaudit",
            hint="upgrade iamaudit, or choose another --output",
        )
    return version


_TABLES = frozenset(
    statement.split()[2] for statement in _SCHEMA if statement.startswith("CREATE TABLE ")
)


def _names(connection: sqlite3.Connection) -> frozenset[str]:
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return frozenset(name for (name,) in rows)


def _unusable(path: Path, reason: str) -> AuditError:
    said = one_line(reason)
    return AuditError(f"the store {path} can't be used: {said}", hint="choose another --output")


def _on_network(path: Path) -> bool:
    """Whether the file lies on a network file system, where WAL does not work."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return False
    folder = path.resolve()
    types = {fields[1]: fields[2] for fields in map(str.split, mounts)}
    for parent in (folder, *folder.parents):
        if str(parent) in types:
            return types[str(parent)] in _NETWORK_FILE_SYSTEMS
    return False
