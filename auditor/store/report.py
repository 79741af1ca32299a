"""A judged run as a stream of report parts (the ReportStream of the formats)."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import groupby

from auditor.errors import AuditError
from auditor.model.account import AccountState, OutcomeKind, Via
from auditor.model.ageing import Ageing, ageing
from auditor.model.compliance import Unit
from auditor.model.finding import Severity
from auditor.store import coverage, listing, planned, seal
from auditor.store.changes import StoredChanges
from auditor.store.damage import reads
from auditor.store.encoding import (
    ERROR,
    POLICY,
    RULE,
    certain,
    load_mapping,
    load_names,
    load_records,
    of,
    one_of,
    parse_instant,
)
from auditor.store.reading import Row, RunReading

_UNREAD = {
    "operation": "scan",
    "code": "Interrupted",
    "message": "the run ended before this account was read",
    "subject": None,
}
_SEVERITIES = frozenset(Severity)
_SOURCES = frozenset({"live", "report"})
_STATES = frozenset({*AccountState, None})
_VIAS = frozenset({*Via, None})
_OUTCOMES = frozenset(OutcomeKind)
_UNITS = frozenset(Unit)
"""What may stand in columns that formats choose their words by."""
_ACCOUNTS = "SELECT id FROM account WHERE run_id = ?"
_TALLY = {
    str(level): f"count(*) FILTER (WHERE status = 'open' AND severity = '{level}')"
    for level in Severity
} | {
    status: f"count(*) FILTER (WHERE status = '{status}')" for status in ("exempt", "indeterminate")
}
"""What findings are counted by, and how: to group by it in SQL would sort every finding."""


class StoredReport:
    """Reads one run; each iterator reads the store anew and holds one row at a time.

    What is counted over all keys and findings is counted once: the judgement of a run does not
    change while it is told.
    """

    @reads
    def __init__(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        *,
        version: str,
        with_plan: bool = True,
        changes: StoredChanges | None = None,
    ) -> None:
        """Read the run; `with_plan` is false where it is judged otherwise than the plan was.

        `changes` are those since an earlier run, where one was named.
        """
        self._version = version
        self._reading = RunReading(connection, run_id)
        seal.check_journal(connection)  # which tells what came of the run's plans
        run = self._reading.first("SELECT * FROM run WHERE id = ?")
        if run is None:
            raise AuditError(f"there is no run {run_id} in the store", hint="look at the run ids")
        self._run = run
        self._digest = seal.digest(connection, run_id)
        self._with_plan = with_plan
        self._now = certain(run["now"])
        certain(run["started_at"])
        parse_instant(run["finished_at"])
        one_of(run["source"], _SOURCES)
        self._changes = changes

    def tool(self) -> Row:
        """Return `document.Tool`."""
        return {"name": "iamaudit", "version": self._version}

    @reads
    def run(self) -> Row:
        """Return `document.RunPart`."""
        run = self._run
        plain = ("id", "started_at", "finished_at", "now", "source", "partition", "caller_arn")
        return {
            **{name: run[name] for name in plain},
            "policies": load_records(run["policies"], POLICY),
            "api_calls": load_mapping(run["api_calls"], int),
            "throttled": run["throttled"],
            "digest": self._digest,
        }

    @reads
    def rules(self) -> Sequence[Row]:
        """Return the rules that judged, in the policies' order."""
        rules = load_records(self._run["rules"], RULE)
        for rule in rules:
            one_of(rule["severity"], _SEVERITIES)
            of(rule.get("facts", []), list, each=str)
        return rules

    @reads
    def coverage(self) -> Row:
        """Return `document.CoveragePart`; an account that was never read counts as unreachable."""
        return self._coverage

    @reads
    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountPart`, in order of id."""
        plain = ("id", "name", "ou", "state", "via", "role_arn", "credential_report_at")
        for row in self._reading.rows("SELECT * FROM account WHERE run_id = ? ORDER BY id"):
            parse_instant(row["credential_report_at"])
            yield {
                **{name: row[name] for name in plain},
                "state": one_of(row["state"], _STATES),
                "via": one_of(row["via"], _VIAS),
                "outcome": one_of(row["outcome"] or "unreachable", _OUTCOMES),
                "users": row["users"],
                "keys": row["keys"],
                "errors": _errors(row),
            }

    def keys(self) -> Iterator[Row]:
        """Yield `document.Key`, in order of account, user and key."""
        return listing.keys(self._reading, self._now)

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingPart`, in order of account, user, key and rule."""
        return listing.findings(self._reading)

    def judged(self) -> Iterator[listing.Judged]:
        """Yield every key with its findings, in order of account, user and key; likewise."""
        return listing.judged(self._reading, self._now)

    @reads
    def tally(self) -> Mapping[str, Mapping[str, int]]:
        """Return by account how many findings it has: open ones by severity, others by status."""
        known = {account for (account,) in self._reading.tuples(_ACCOUNTS)}
        if not self._tallies.keys() <= known:
            raise LookupError("a finding in an account that is none of the run's")
        return self._tallies

    @reads
    def ageing(self) -> Ageing:
        """Return the keys counted by age and by time since their last use."""
        return ageing(listing.ages(self._reading, self._now))

    @reads
    def exemptions(self) -> Iterator[Row]:
        """Yield `document.ExemptionPart`, in order of policy and place in it."""
        for row in self._reading.rows(
            "SELECT * FROM exemption WHERE run_id = ? ORDER BY policy_id, position"
        ):
            yield {
                "policy": row["policy_id"],
                "rules": None if row["rules"] is None else load_names(row["rules"]),
                "where": load_mapping(row["selects"]),
                **{name: row[name] for name in ("reason", "owner", "expires")},
                "state": "expired" if row["expired"] else "active",
                "findings": row["findings"],
                "unread": row["unread"],
            }

    @reads
    def summary(self) -> Row:
        """Return `document.Summary`."""
        counts = self._counts
        return {
            "open": {str(level): counts[level] for level in Severity},
            **{status: counts[status] for status in ("exempt", "indeterminate")},
        }

    @reads
    def compliance(self) -> Iterator[Row]:
        """Yield `document.Compliance`, in order of framework and control."""
        names = ("passed", "failed", "exempt", "indeterminate")
        for (framework, control, unit), rows in groupby(
            self._reading.rows(
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
                "unit": one_of(unit, _UNITS),
                **{name: sum(account[name] for account in accounts) for name in names},
                "not_assessed": self._not_assessed(unit, len(accounts)),
                "accounts": accounts,
            }

    @reads
    def plan(self) -> Row | None:
        """Return `document.PlanPart`: the newest plan that was begun, or else the newest."""
        return planned.plan(self._reading) if self._with_plan else None

    @reads
    def taken(self) -> Set[tuple[str, str]]:
        """Return account and id of the keys that the run's plans took away for good."""
        return planned.taken(self._reading)

    def changes(self) -> StoredChanges | None:
        """Return what changed since the run that was named; None where none was."""
        return self._changes

    @cached_property
    def _tallies(self) -> Mapping[str, Mapping[str, int]]:
        """The accounts that have findings, with the numbers that are not 0."""
        tallies = {}
        for account_id, *numbers in self._reading.tuples(
            f"SELECT account_id, {', '.join(_TALLY.values())}"  # noqa: S608 -- names of ours
            " FROM finding WHERE run_id = ? GROUP BY account_id"
        ):
            tally = zip(_TALLY, numbers, strict=True)
            tallies[account_id] = {name: number for name, number in tally if number}
        return tallies

    @property
    def _counts(self) -> Counter[str]:
        """The numbers of all accounts, added up."""
        counts: Counter[str] = Counter()
        for tally in self._tallies.values():
            counts.update(tally)
        return counts

    @cached_property
    def _coverage(self) -> Row:
        return coverage.coverage(self._reading, unjudged=self._counts["indeterminate"])

    def _not_assessed(self, unit: str, assessed: int) -> int:
        """Count the accounts in scope that were not assessed, for controls on keys not wholly."""
        if unit == "key":
            assessed = self._reading.number(
                "SELECT count(*) FROM account WHERE run_id = ? AND outcome = 'audited'"
            )
        in_scope = self._reading.number(
            "SELECT count(*) FROM account WHERE run_id = ? AND outcome IS NOT 'skipped'"
        )
        return in_scope - assessed


def _errors(row: sqlite3.Row) -> list[Row]:
    """Return an account's errors; for one that was skipped or never read, why."""
    if row["skip"]:
        code = str(row["skip"]).title().replace(" ", "")
        message = f"skipped: {row['skip']}"
        return [{"operation": "scan", "code": code, "message": message, "subject": None}]
    if not row["outcome"]:
        return [_UNREAD]
    return list(load_records(row["errors"], ERROR))
