"""The keys of a judged run that some rule proposes to change."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby

from auditor.model.account import AccountId
from auditor.model.finding import Remedy, Severity
from auditor.remediation.planner import Proposal, Reason
from auditor.store import cursor
from auditor.store.damage import reads
from auditor.store.rows import parse_identity, parse_key


@reads
def proposals(connection: sqlite3.Connection, run_id: str) -> Iterator[Proposal]:
    """Yield the keys with open findings that propose something, by account, user and key."""
    found = _select(
        connection,
        "SELECT account_id, user_name, position, rule_id, severity, remedy, exemption_unread"
        " FROM finding WHERE run_id = ? AND status = 'open' AND remedy != 'none' AND position >= 0"
        " ORDER BY account_id, user_name, position, rule_id",
        run_id,
    )
    for (account_id, user_name), rows in groupby(
        found, key=lambda row: (row["account_id"], row["user_name"])
    ):
        where = (run_id, account_id, user_name)
        [owner] = _select(
            connection,
            "SELECT * FROM user WHERE run_id = ? AND account_id = ? AND name = ?",
            *where,
        )
        identity = parse_identity(owner)
        keys = {
            row["position"]: parse_key(row)
            for row in _select(
                connection,
                "SELECT * FROM access_key WHERE run_id = ? AND account_id = ? AND user_name = ?"
                " ORDER BY position",
                *where,
            )
        }
        for position, reasons in groupby(rows, key=lambda row: row["position"]):
            yield Proposal(
                account_id=AccountId(account_id),
                user_name=user_name,
                user_arn=identity.arn,
                tags=identity.tags,
                key=keys[position],
                siblings=tuple(key for at, key in keys.items() if at != position),
                reasons=tuple(
                    Reason(
                        rule_id=row["rule_id"],
                        severity=Severity(row["severity"]),
                        remedy=Remedy(row["remedy"]),
                        may_be_exempt=row["exemption_unread"],
                    )
                    for row in reasons
                ),
            )


@reads
def active_keys(connection: sqlite3.Connection, run_id: str) -> dict[str, int]:
    """Return the number of active keys of each account."""
    rows = _select(
        connection,
        "SELECT account_id, count(*) AS keys FROM access_key"
        " WHERE run_id = ? AND status = 'Active' GROUP BY 1",
        run_id,
    )
    return {row["account_id"]: row["keys"] for row in rows}


def _select(
    connection: sqlite3.Connection, query: str, *arguments: object
) -> Iterator[sqlite3.Row]:
    return cursor.rows(connection, query, arguments)
