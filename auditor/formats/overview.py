"""What a run came to, for the formats that people read: verdict, errors, worst accounts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nsmallest

from auditor.formats.stream import Row
from auditor.formats.templates import count
from auditor.model.finding import Severity

WORST = 10
"""How many accounts the table of the worst ones names."""
REPORTED = (
    "Last uses are those of the accounts' credential reports, up to four hours old: keys made and"
    " uses since then may not be in it"
)
"""Said of a run by --source report."""
FIRST = 5
"""How many subjects of one error are named before "and N more"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The page's first sentence: what was found, and what was not looked at."""

    found: str
    looked: str
    complete: bool
    """Whether every account was read whole and every rule could be judged."""
    tone: str
    """`severe`, `findings`, `incomplete` or `clean`: never the last unless `complete`."""


def verdict(*, run: Row, coverage: Row, summary: Row) -> Verdict:
    """Say what was found and what was not looked at; never "clean" of what was not judged."""
    missing = _missing(run=run, coverage=coverage, summary=summary)
    skipped = coverage["accounts"]["skipped"]
    if missing:
        looked = "; ".join(missing)
    else:
        looked = "every account in scope was read whole"
        looked += f"; {count(skipped, 'account')} {_was(skipped)} skipped" if skipped else ""
    found, tone = _found(coverage["accounts"], summary["open"])
    if missing and tone == "clean":
        found, tone = f"{found} in what was read", "incomplete"
    return Verdict(found=found, looked=looked, complete=not missing, tone=tone)


def _found(accounts: Row, open_: Mapping[str, int]) -> tuple[str, str]:
    total = sum(open_.values())
    worst = [f"{open_[name]:,} {name}" for name in ("critical", "high") if open_[name]]
    if not accounts["audited"] and not accounts["partial"]:
        return "Nothing was audited", "incomplete"
    if not total:
        return "No open findings", "clean"
    sentence = count(total, "open finding")
    return (f"{sentence}, {' and '.join(worst)}", "severe") if worst else (sentence, "findings")


def _missing(*, run: Row, coverage: Row, summary: Row) -> list[str]:
    """Return what was not read or not judged, one clause each."""
    accounts, unjudged = coverage["accounts"], summary["indeterminate"]
    total, partial = accounts["total"], accounts["partial"]
    unread = total - accounts["audited"] - partial - accounts["skipped"]
    clauses = []
    if run["finished_at"] is None:
        clauses.append("the run was interrupted")
    if unread > 0:
        clauses.append(f"{unread:,} of {count(total, 'account')} {_was(unread)} not read")
    if partial:
        clauses.append(
            f"{partial:,} of {count(total, 'account')} {_was(partial)} read only in part"
        )
    if unjudged:
        clauses.append(f"{count(unjudged, 'verdict')} could not be reached")
    if not clauses and not coverage["complete"]:
        clauses.append("not everything in scope could be read")
    return clauses


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


@dataclass(slots=True, kw_only=True)
class ErrorGroup:
    """One operation and code that kept accounts from being read whole."""

    outcome: str
    operation: str
    code: str
    message: str
    """What AWS said the first time."""
    errors: int = 0
    accounts: int = 0
    subjects: list[Row] = field(default_factory=list)
    """The first few: `account`, `name` and, where it is not the whole account, `subject`."""


@dataclass(slots=True, kw_only=True)
class Overview:
    """What the page needs to know of all accounts before it can show one."""

    names: dict[str, str | None] = field(default_factory=dict)
    ous: dict[str, str | None] = field(default_factory=dict)
    errors: list[ErrorGroup] = field(default_factory=list)


def overview(accounts: Iterable[Row]) -> Overview:
    """Collect the accounts' names, and the errors of those not read whole, each kind once."""
    seen = Overview()
    groups: dict[tuple[str, str, str], ErrorGroup] = {}
    for account in accounts:
        seen.names[account["id"]] = account["name"]
        seen.ous[account["id"]] = account["ou"]
        if account["outcome"] == "audited":
            continue
        counted = set()
        for error in account["errors"] or [_nothing_said(account)]:
            key = (account["outcome"], error["operation"], error["code"])
            group = groups.setdefault(
                key,
                ErrorGroup(outcome=key[0], operation=key[1], code=key[2], message=error["message"]),
            )
            group.errors += 1
            group.accounts += key not in counted
            counted.add(key)
            if len(group.subjects) < FIRST:
                where = {"account": account["id"], "name": account["name"]}
                group.subjects.append({**where, "subject": error["subject"]})
    order = ("unreachable", "partial", "skipped")
    seen.errors = sorted(groups.values(), key=lambda g: (order.index(g.outcome), -g.accounts))
    return seen


def _nothing_said(account: Row) -> Row:
    state = account["state"]
    message = f"the account's state is {state}" if state else "no reason was recorded"
    return {"operation": "", "code": state or "", "message": message, "subject": None}


def days_left(expires: str, *, now: str) -> int:
    """Return the whole days until an exemption ends, negative once it has; a date ends with it."""
    end = datetime.fromisoformat(expires)
    if len(expires) == len("2027-01-31"):
        end += timedelta(days=1)
    if end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    return (end - datetime.fromisoformat(now)).days


def by_severity(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the name and number of each severity, the gravest first."""
    return [(severity.value, counts.get(severity.value, 0)) for severity in Severity]


def worst(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the ids of the accounts with the most open findings, the gravest severity first."""

    def gravity(account_id: str) -> tuple[object, ...]:
        return (*(-size for _, size in by_severity(counts[account_id])), account_id)

    with_open = (one for one, mine in counts.items() if any(name in mine for name in Severity))
    return nsmallest(WORST, with_open, key=gravity)
