"""How large accounts were when they were last read."""

import sqlite3

from auditor.model.account import AccountId, OutcomeKind


def user_counts(connection: sqlite3.Connection) -> dict[AccountId, int]:
    """Return the number of users by account, as the newest run that read it whole found it."""
    rows = connection.execute(
        "SELECT account.id, account.users FROM main.account JOIN main.run ON run.id = run_id"
        " WHERE outcome = ? ORDER BY run.rowid",
        (OutcomeKind.AUDITED,),
    )
    return {AccountId(account_id): users for account_id, users in rows}


def keys_read(connection: sqlite3.Connection, run_id: str) -> int:
    """Return how many keys of a run were read."""
    [(keys,)] = connection.execute(
        "SELECT coalesce(sum(keys), 0) FROM account WHERE run_id = ?", (run_id,)
    )
    return int(keys)
