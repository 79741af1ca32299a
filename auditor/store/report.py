"""A judged run as a stream of report parts (the ReportStream of the formats)."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypeAlias

from auditor.errors import AuditError
from auditor.model.account import OutcomeKind
from auditor.model.finding import Severity
from auditor.model.outcome import Result
from auditor.model.permission import statement
from auditor.model.unknown import DENIED_CODES, Unknown
from auditor.remediation.journal import CUT_OFF
from auditor.store.encoding import certain, loads, parse_instant

Row: TypeAlias = Mapping[str, Any]

_UNREAD = {
    "operation": "scan",
    "code": "Interrupted",
    "message": "the run ended before this account was read",
    "subject": None,
}
_BY_KEY = "account_id, user_name, access_key_id, slot"


class StoredReport:
    """Reads one run; each iterator reads the store anew and holds one row at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        *,
        version: str,
        with_plan: bool = True,
    ) -> None:
        """Read the run; `with_plan` is false where it is judged otherwise than the plan was."""
        self._connection = connection
        self._run_id = run_id
        self._version = version
        run = next(self._select("SELECT * FROM run WHERE id = ?"), None)
        if run is None:
            raise AuditError(f"there is no run {run_id} in the store", hint="look at the run ids")
        self._run = run
        self._with_plan = with_plan
        self._now = certain(run["now"])

    def tool(self) -> Row:
        """Return `document.Tool`."""
        return {"name": "iamaudit", "version": self._version}

    def run(self) -> Row:
        """Return `document.RunPart`."""
        run = self._run
        plain = ("id", "started_at", "finished_at", "now", "source", "partition", "caller_arn")
        return {
            **{name: run[name] for name in plain},
            "policies": loads(run["policies"]),
            "api_calls": loads(run["api_calls"]),
            "throttled": run["throttled"],
        }

    def rules(self) -> Sequence[Row]:
        """Return the rules that judged, in the policies' order."""
        rules: list[Row] = loads(self._run["rules"])
        return rules

    def coverage(self) -> Row:
        """Return `document.CoveragePart`; an account that was never read counts as unreachable."""
        accounts = {"total": 0} | {str(kind): 0 for kind in OutcomeKind}
        for row in self._select(
            "SELECT coalesce(outcome, 'unreachable') AS outcome, count(*) AS n"
            " FROM account WHERE run_id = ? GROUP BY 1"
        ):
            accounts[row["outcome"]] = row["n"]
            accounts["total"] += row["n"]
        users = self._number("SELECT coalesce(sum(users), 0) FROM account WHERE run_id = ?")
        keys = self._number("SELECT count(*) FROM access_key WHERE run_id = ?")
        unknown = self._number(
            "SELECT count(*) FROM access_key WHERE run_id = ? AND last_used_state = 'unknown'"
        )
        unjudged = self._number(
            "SELECT count(*) FROM finding WHERE run_id = ? AND status = 'indeterminate'"
        )
        missed = accounts["partial"] + accounts["unreachable"]
        return {
            "complete": not (missed or unknown or unjudged),
            "accounts": accounts,
            "users": users,
            "keys": keys,
            "unknown_last_use": unknown,
            "gaps": [*self._gaps(), *self._denials()],
        }

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountPart`, in order of id."""
        plain = ("id", "name", "ou", "state", "via", "role_arn", "credential_report_at")
        for row in self._select("SELECT * FROM account WHERE run_id = ? ORDER BY id"):
            yield {
                **{name: row[name] for name in plain},
                "outcome": row["outcome"] or "unreachable",
                "users": row["users"],
                "keys": row["keys"],
                "errors": _errors(row),
            }

    def keys(self) -> Iterator[Row]:
        """Yield `document.Key`, in order of account, user and key."""
        for row in self._select(
            "SELECT access_key.*, access_key.id AS access_key_id, user.arn AS user_arn,"  # noqa: S608
            " user_class, violations"
            " FROM access_key"
            " JOIN user ON user.run_id = access_key.run_id"
            "  AND user.account_id = access_key.account_id AND user.name = access_key.user_name"
            " LEFT JOIN judged_key USING (run_id, account_id, user_name, position)"
            f" WHERE access_key.run_id = ? ORDER BY {_BY_KEY}"
        ):
            yield self._key(row)

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingPart`, in order of account, user, key and rule."""
        plain = (
            "id", "rule_id", "title", "severity", "status", "account_id", "user_name",
            "access_key_id", "message", "remedy", "exemption",
        )  # fmt: skip
        for row in self._select(
            "SELECT * FROM finding WHERE run_id = ?"
            " ORDER BY account_id, user_name, access_key_id, position, rule_id"
        ):
            yield {**{name: row[name] for name in plain}, "controls": loads(row["controls"])}

    def exemptions(self) -> Iterator[Row]:
        """Yield `document.ExemptionPart`, in order of policy and place in it."""
        for row in self._select(
            "SELECT * FROM exemption WHERE run_id = ? ORDER BY policy_id, position"
        ):
            yield {
                "policy": row["policy_id"],
                "rules": None if row["rules"] is None else loads(row["rules"]),
                "where": loads(row["selects"]),
                **{name: row[name] for name in ("reason", "owner", "expires")},
                "state": "expired" if row["expired"] else "active",
                "findings": row["findings"],
                "unread": row["unread"],
            }

    def summary(self) -> Row:
        """Return `document.Summary`."""
        counts = {
            (row["status"], row["severity"]): row["n"]
            for row in self._select(
                "SELECT status, severity, count(*) AS n FROM finding WHERE run_id = ? GROUP BY 1, 2"
            )
        }
        return {
            "open": {str(level): counts.get(("open", level), 0) for level in Severity},
            "exempt": sum(n for (status, _), n in counts.items() if status == "exempt"),
            "indeterminate": sum(
                n for (status, _), n in counts.items() if status == "indeterminate"
            ),
        }

    def compliance(self) -> Iterator[Row]:
        """Yield `document.Compliance`, in order of framework and control."""
        names = ("passed", "failed", "exempt", "indeterminate")
        for (framework, control, unit), rows in groupby(
            self._select(
                "SELECT * FROM control_result WHERE run_id = ?"
                " ORDER BY framework, control, account_id"
            ),
            key=lambda row: (row["framework"], row["control"], row["unit"]),
        ):
            accounts = [
                {"id": row["account_id"], **{name: row[name] for name in names}} for row in rows
            ]
            yield {
                "framework": framework,
                "control": control,
                "unit": unit,
                **{name: sum(account[name] for account in accounts) for name in names},
                "not_assessed": self._not_assessed(unit, len(accounts)),
                "accounts": accounts,
            }

    def plan(self) -> Row | None:
        """Return `document.PlanPart`: the newest plan that was begun, or else the newest."""
        row = next(
            self._select(
                "SELECT * FROM plan WHERE run_id = ? AND undoes IS NULL ORDER BY"
                " EXISTS (SELECT 1 FROM journal WHERE plan_id = plan.id) DESC, rowid DESC LIMIT 1"
            ),
            None,
        )
        if row is None or not self._with_plan:
            return None
        kept, outcomes = loads(row["document"]), self._outcomes(row["id"])
        plain = ("id", "created_at", "expires_at", "sha256", "held")
        return {
            **{name: kept[name] for name in plain},
            "applicable": kept["judged_at"] == kept["scanned_at"],
            "actions": [
                {**action, "outcome": outcomes.get(action["id"])} for action in kept["actions"]
            ],
        }

    def taken(self) -> Set[tuple[str, str]]:
        """Return account and id of the keys that the run's plans took away for good."""
        changes: dict[tuple[str, str], str] = {}
        for line in self._select("SELECT * FROM journal WHERE run_id = ? ORDER BY sequence"):
            applied = line["step"] == "outcome" and loads(line["detail"])["result"] == "applied"
            if applied and line["kind"] != "rotate":
                changes[line["account_id"], line["access_key_id"]] = line["kind"]
        return {key for key, kind in changes.items() if kind != "activate"}

    def _outcomes(self, plan_id: str) -> Mapping[str, Row]:
        """Return how each action of a plan stands, by its id."""
        outcomes: dict[str, dict[str, Any]] = {}
        keys: dict[str, str] = {}
        for line in self._select("SELECT * FROM journal WHERE run_id = ? ORDER BY sequence"):
            detail = loads(line["detail"])
            if line["plan_id"] == plan_id:
                keys[line["access_key_id"]] = line["action_id"]
                outcomes[line["action_id"]] = _outcome(line, detail)
            elif line["kind"] == "activate" and detail.get("result") == "applied":
                action_id = keys.get(line["access_key_id"])
                if action_id in outcomes:
                    outcomes[action_id]["undone"] = True
        return outcomes

    def _gaps(self) -> Iterator[Row]:
        """Yield what could not be judged, once for each reason."""
        for row in self._select(
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

    def _denials(self) -> Iterator[Row]:
        """Yield what was not even read for want of a permission, once for each action."""
        marks = ", ".join(f"'{code}'" for code in sorted(DENIED_CODES))
        for row in self._select(
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

    def _key(self, row: sqlite3.Row) -> Row:
        created, used = parse_instant(row["created_at"]), parse_instant(row["last_used_at"])
        state = row["last_used_state"]
        unknown = None if row["unknown"] is None else Unknown(**loads(row["unknown"]))
        since = {"used": used, "never": created}.get(state)
        plain = (
            "account_id", "user_name", "user_arn", "user_class", "access_key_id", "slot",
            "status", "created_at",
        )  # fmt: skip
        return {
            **{name: row[name] for name in plain},
            "age_days": self._days(created),
            "idle_days": self._days(since),
            "last_used": {
                "state": state,
                "at": row["last_used_at"],
                "service": row["last_used_service"],
                "region": row["last_used_region"],
                "reason": unknown.reason if unknown else None,
            },
            "violations": loads(row["violations"] or "[]"),
        }

    def _days(self, since: datetime | None) -> int | None:
        return None if since is None else max(self._now - since, timedelta()).days

    def _not_assessed(self, unit: str, assessed: int) -> int:
        """Count the accounts in scope that were not assessed, for controls on keys not wholly."""
        if unit == "key":
            assessed = self._number(
                "SELECT count(*) FROM account WHERE run_id = ? AND outcome = 'audited'"
            )
        in_scope = self._number(
            "SELECT count(*) FROM account WHERE run_id = ? AND outcome IS NOT 'skipped'"
        )
        return in_scope - assessed

    def _number(self, query: str) -> int:
        return int(next(self._select(query))[0])

    def _select(self, query: str) -> Iterator[sqlite3.Row]:
        with closing(self._connection.cursor()) as cursor:
            cursor.row_factory = sqlite3.Row
            yield from cursor.execute(query, (self._run_id,))


def _outcome(line: sqlite3.Row, detail: Row) -> dict[str, Any]:
    """Return `document.OutcomePart` by the last line about an action."""
    ended = line["step"] == "outcome"
    return {
        "result": detail["result"] if ended else Result.UNCLEAR,
        "reason": detail["reason"] if ended else CUT_OFF,
        "at": line["at"],
        "request_id": detail.get("request_id"),
        "new_access_key_id": detail.get("new_key_id"),
        "secret_in": detail.get("secret_in"),
        "undone": False,
    }


def _errors(row: sqlite3.Row) -> list[Row]:
    """Return an account's errors; for one that was skipped or never read, why."""
    if row["skip"]:
        code = str(row["skip"]).title().replace(" ", "")
        message = f"skipped: {row['skip']}"
        return [{"operation": "scan", "code": code, "message": message, "subject": None}]
    return loads(row["errors"]) if row["outcome"] else [_UNREAD]


def _subject(keys: int, roots: int) -> str:
    """Say whose verdict is missing: keys that are there, root keys that may be."""
    parts = [_count(keys, "key")] if keys or not roots else []
    if roots:
        parts.append("root keys that may exist")
    return " and ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
