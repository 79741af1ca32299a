"""What changed between two runs, for the formats that people read; and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from auditor.formats.overview import by_severity
from auditor.formats.stream import ChangesStream, ReportStream, Row
from auditor.formats.templates import count, instant, number, reports
from auditor.model.changes import Change
from auditor.model.finding import Severity

MOST = 50
"""How many findings, keys or accounts of a kind are listed where people read; JSON lists all."""
TITLES: Mapping[str, str] = {
    Change.NEW: "New",
    Change.CHANGED: "Changed",
    Change.NOT_LOOKED_AT: "Not looked at this time, so perhaps still there",
    Change.RESOLVED: "Resolved",
}
"""The changes of findings that are listed, in order."""
_RANK = {str(level): level.rank for level in Severity}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Some rows of one kind, and how many there are."""

    rows: list[Row]
    total: int

    @property
    def more(self) -> int:
        """How many are not among the rows."""
        return self.total - len(self.rows)


def write_json(document: ReportStream, out: TextIO) -> None:
    """Write `document.Difference`, holding a few rows of it at a time."""
    template = reports().get_template("report/difference.json.j2")
    for text in template.generate(document=document, changes=document.changes()):
        out.write(text)


def sentence(changes: ChangesStream) -> str:
    """Say in one sentence what changed."""
    summary, baseline = changes.summary(), changes.baseline()
    new = sum(summary["new"].values())
    worst = [f"{number(size)} {name}" for name, size in by_severity(summary["new"]) if size]
    told = f" ({', '.join(worst)})" if worst else ""
    parts = [
        f"{number(new) if new else 'no'} new{told}",
        f"{number(sum(summary['resolved'].values()))} resolved",
        f"{number(summary['changed'])} changed",
        f"{number(sum(summary['still_open'].values()))} still open",
    ]
    if summary["not_looked_at"]:
        parts.append(f"{number(summary['not_looked_at'])} not looked at")
    return f"Since run {baseline['id']} of {instant(baseline['started_at'])}: {', '.join(parts)}"


def caveats(changes: ChangesStream) -> Iterator[str]:
    """Yield what keeps the two runs from being compared throughout."""
    summary, baseline = changes.summary(), changes.baseline()
    if baseline["finished_at"] is None:
        yield "The earlier run was interrupted: what it did not read is new now"
    if not baseline["same_policies"]:
        yield "The two runs were judged by other policies: some changes are the policies' doing"
    if not baseline["same_source"]:
        yield "The two runs took last uses from other sources: credential reports are hours old"
    if summary["accounts"]["worse"]:
        told = count(summary["accounts"]["worse"], "account")
        yield f"{told} looked at before, and not, or not wholly, this time"
    if summary["unjudged"]:
        yield f"{count(summary['unjudged'], 'verdict')} reached before, and not this time"


def keys_told(changes: ChangesStream) -> str:
    """Say which keys came and went."""
    keys = changes.summary()["keys"]
    return (
        f"{count(keys['appeared'], 'key')} appeared, {number(keys['disappeared'])} disappeared,"
        f" {number(keys['changed'])} changed"
    )


def findings(changes: ChangesStream, *, most: int = MOST) -> dict[str, Listing]:
    """Return the findings of each change in `TITLES`, the gravest first."""
    kept: dict[str, list[tuple[int, int, Row]]] = {name: [] for name in TITLES}
    totals = dict.fromkeys(TITLES, 0)
    for at, row in enumerate(changes.findings()):
        change = row["change"]
        if change not in kept:
            continue
        totals[change] += 1
        mine = kept[change]
        mine.append((_RANK[row["severity"]], at, row))
        if len(mine) > 2 * most:
            mine.sort(key=_gravity)
            del mine[most:]
    return {
        name: Listing(
            rows=[row for *_, row in sorted(mine, key=_gravity)[:most]], total=totals[name]
        )
        for name, mine in kept.items()
    }


def first(rows: Iterable[Row], *, most: int = MOST) -> Listing:
    """Return the first rows."""
    kept, total = [], 0
    for row in rows:
        total += 1
        if total <= most:
            kept.append(row)
    return Listing(rows=kept, total=total)


def what(row: Row) -> str:
    """Say of a finding what is, what was, and why."""
    told = [row["message"]]
    before = row["before"]
    for name in row["differs"]:
        if name in {"severity", "status"}:
            told.append(f"{name} {before[name]} → {row[name]}")
        elif name == "title":
            told.append(f"was: {before['title']}")
        else:
            told.append(f"{name} changed")
    if row["reason"]:
        told.append(row["reason"])
    return "; ".join(told)


def key_change(row: Row) -> str:
    """Say how a key changed."""
    before, after = row["before"], row["after"]
    if before is None or after is None:
        return f"{row['change']}, {(after or before)['status']}"
    told = []
    if before["status"] != after["status"]:
        told.append(f"{before['status']} → {after['status']}")
    if before["last_used"] != after["last_used"] == "used" and before["last_used"] == "never":
        told.append("used for the first time")
    return ", ".join(told)


def outcome(name: str | None) -> str:
    """Return an account's outcome; words for one that was not in scope."""
    return "not in scope" if name is None else name


def _gravity(kept: tuple[int, int, Row]) -> tuple[int, int]:
    return kept[:2]
