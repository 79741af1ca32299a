"""What a run looked at, and what it could not: `document.CoveragePart`."""

from collections.abc import Iterator

from auditor.model.account import OutcomeKind
from auditor.model.permission import statement
from auditor.model.unknown import DENIED_CODES, Unknown
from auditor.store.reading import Row, RunReading


def coverage(run: RunReading, *, unjudged: int) -> Row:
    """Return the coverage; an account that was never read counts as unreachable.

    `unjudged` is how many findings are indeterminate.
    """
    accounts = {"total": 0} | {str(kind): 0 for kind in OutcomeKind}
    for row in run.rows(
        "SELECT coalesce(outcome, 'unreachable') AS outcome, count(*) AS n"
        " FROM account WHERE run_id = ? GROUP BY 1"
    ):
        accounts[row["outcome"]] += row["n"]
        accounts["total"] += row["n"]
    users = run.number("SELECT coalesce(sum(users), 0) FROM account WHERE run_id = ?")
    [(keys, unknown)] = run.tuples(
        "SELECT count(*), count(*) FILTER (WHERE last_used_state = 'unknown')"
        " FROM access_key WHERE run_id = ?"
    )
    missed = accounts["partial"] + accounts["unreachable"]
    return {
        "complete": not (missed or unknown or unjudged),
        "accounts": accounts,
        "users": users,
        "keys": keys,
        "unknown_last_use": unknown,
        "gaps": [*(_gaps(run) if unjudged else ()), *_denials(run)],
    }


def _gaps(run: RunReading) -> Iterator[Row]:
    """Yield what could not be judged, once for each reason."""
    for row in run.rows(
        "SELECT unknown_operation AS operation, unknown_code AS code,"
        " group_concat(DISTINCT rule_id) AS rules, count(DISTINCT account_id) AS accounts,"
        " count(DISTINCT CASE WHEN position >= 0"
        "  THEN account_id || ' ' || position || ' ' || user_name END) AS keys,"
        " count(DISTINCT CASE WHEN position < 0 THEN account_id END) AS roots"
        " FROM finding WHERE run_id = ? AND status = 'indeterminate'"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        rules = sorted(row["rules"].split(","))
        unknown = Unknown(operation=row["operation"], code=row["code"])
        yield {
            "rules": rules,
            "keys": row["keys"],
            "accounts": row["accounts"],
            "operation": unknown.operation,
            "code": unknown.code,
            "message": f"{', '.join(rules)} could not be judged"
            f" for {_subject(row['keys'], row['roots'])}"
            f" in {_count(row['accounts'], 'account')}: {unknown.reason}",
            "statement": statement(unknown.operation) if unknown.denied else None,
        }


def _denials(run: RunReading) -> Iterator[Row]:
    """Yield what was not even read for want of a permission, once for each action."""
    marks = ", ".join(f"'{code}'" for code in sorted(DENIED_CODES))
    for row in run.rows(
        "SELECT value ->> 'operation' AS operation, value ->> 'code' AS code,"  # noqa: S608 -- codes of ours
        " count(DISTINCT account.id) AS accounts"
        " FROM account, json_each(account.errors) WHERE run_id = ?"
        " AND value ->> 'operation' IN ('iam:ListUsers', 'iam:ListAccessKeys')"
        f" AND value ->> 'code' IN ({marks}) GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        yield {
            "rules": [],
            "keys": 0,
            "accounts": row["accounts"],
            "operation": row["operation"],
            "code": row["code"],
            "message": f"users or keys were not read in {_count(row['accounts'], 'account')}:"
            f" {row['operation']} denied",
            "statement": statement(row["operation"]),
        }


def _subject(keys: int, roots: int) -> str:
    """Say whose verdict is missing: keys that are there, root keys that may be."""
    parts = [_count(keys, "key")] if keys or not roots else []
    if roots:
        parts.append("root keys that may exist")
    return " and ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
