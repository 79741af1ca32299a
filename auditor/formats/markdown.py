"""report.md: for job summaries and pull requests (GitHub's Markdown, which others read as well).

Verdict and coverage come first, then the findings by severity. What was not chosen by us stands in
code spans, where names can't make links, mentions, markup or another cell.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TextIO

from auditor.formats import changes as compare
from auditor.formats.judged import is_read, why_unread
from auditor.formats.overview import REPORTED, by_severity, verdict
from auditor.formats.stream import ChangesStream, ReportStream, Row
from auditor.formats.templates import count, dumps, instant, number
from auditor.formats.visible import VisibleReport

_BACKTICKS = re.compile("`+")
_ACCOUNT_COUNTS = ("total", "audited", "partial", "unreachable", "skipped")
_CONTROL_COUNTS = ("passed", "failed", "exempt", "indeterminate", "not_assessed")
_NOTHING = "—"
MOST_OPEN, MOST_OTHERS = 500, 100
"""How many open findings are listed, the worst first; how many findings, accounts or exemptions of
another kind. A job summary of GitHub's is dropped whole where it has more than 1 MiB."""


def write(document: ReportStream, out: TextIO) -> None:
    """Write the page line by line; the findings are read once for each section that has some."""
    for line in _lines(VisibleReport(document)):
        out.write(f"{line}\n")


def _lines(document: ReportStream) -> Iterator[str]:
    names = {account["id"]: account["name"] for account in document.accounts()}
    yield from _head(document)
    yield from _coverage(document)
    yield from changed(document.changes(), names)
    yield from _findings(document, names)
    yield from _exemptions(document)
    yield from _compliance(document)
    yield from _plan(document)


def _head(document: ReportStream) -> Iterator[str]:
    run, tool = document.run(), document.tool()
    told = verdict(run=run, coverage=document.coverage(), summary=document.summary())
    policies = ", ".join(_code(policy["id"]) for policy in run["policies"]) or _NOTHING
    yield "# AWS access keys"
    yield ""
    yield f"**{told.found}.** {told.looked[:1].upper()}{told.looked[1:]}."
    yield ""
    if run["source"] == "report":
        yield f"{REPORTED}."
        yield ""
    yield f"- Run {_code(run['id'])} of {instant(run['started_at'])}, as of {instant(run['now'])}"
    yield f"- Policies: {policies}"
    yield f"- Read by {_code(run['caller_arn'])} with iamaudit {_code(tool['version'])}"


def _coverage(document: ReportStream) -> Iterator[str]:
    coverage = document.coverage()
    accounts = coverage["accounts"]
    yield from _section("## Coverage")
    yield from _table(
        ("Accounts", "audited", "in part", "unreachable", "skipped", "Users", "Keys",
         "Last use unknown"),
        [[
            *(number(accounts[name]) for name in _ACCOUNT_COUNTS),
            *(number(coverage[name]) for name in ("users", "keys", "unknown_last_use")),
        ]],
    )  # fmt: skip
    if accounts["total"] > accounts["audited"]:
        yield from _section("### Not audited whole")
        yield from _table(
            ("Account", "Name", "Outcome", "Why"),
            (
                (_code(one["id"]), _code(one["name"]), one["outcome"], _code(why_unread(one)))
                for one in _some(document.accounts(), lambda one: not is_read(one))
            ),
        )
        yield from _rest(accounts["total"] - accounts["audited"] - MOST_OTHERS)
    if coverage["gaps"]:
        yield from _section("### Not judged, and what would mend it")
        yield from _table(
            ("What", "Statement that grants it"),
            (
                (_code(gap["message"]), _code(dumps(gap["statement"])) if gap["statement"] else "")
                for gap in coverage["gaps"]
            ),
        )


def write_changes(document: ReportStream, out: TextIO) -> None:
    """Write what changed since an earlier run as a page of its own."""
    shown = VisibleReport(document)
    names = {account["id"]: account["name"] for account in shown.accounts()}
    for line in ("# AWS access keys: what changed", *changed(shown.changes(), names)):
        out.write(f"{line}\n")


def changed(changes: ChangesStream | None, names: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the section on what changed; nothing where no earlier run was named."""
    if changes is None:
        return
    yield from _section("## What changed")
    yield from ("", f"{compare.sentence(changes)}.")
    notes = [f"- {note}." for note in compare.caveats(changes)]
    yield from ("", *notes) if notes else ()
    for name, listing in compare.findings(changes).items():
        if listing.total:
            yield from _section(f"### {compare.TITLES[name]} ({number(listing.total)})")
            told = [
                {**row, "message": compare.what(row), "exemption": None} for row in listing.rows
            ]
            yield from _found(told, names)
            yield from _more(listing)
    keys = compare.first(changes.keys())
    if keys.total:
        yield from _section("### Keys")
        yield from ("", f"{compare.keys_told(changes)}.")
        yield from _table(
            ("Account", "User", "Key", "Change"),
            (
                (_code(one["account_id"]), _code(one["user_name"]), _key(one),
                 compare.key_change(one))
                for one in keys.rows
            ),
        )  # fmt: skip
        yield from _more(keys)
    accounts = compare.first(changes.accounts())
    if accounts.total:
        yield from _section("### Accounts looked at otherwise")
        yield from _table(
            ("Account", "Name", "Then", "Now"),
            (
                (_code(one["id"]), _code(one["name"]), compare.outcome(one["before"]),
                 compare.outcome(one["after"]))
                for one in accounts.rows
            ),
        )  # fmt: skip
        yield from _more(accounts)


def _key(row: Row) -> str:
    return _code(row["access_key_id"] or f"slot {row['slot']}")


def _more(listing: compare.Listing) -> Iterator[str]:
    yield from _rest(listing.more)


def _rest(more: int) -> Iterator[str]:
    if more > 0:
        yield from ("", f"And {number(more)} more; the JSON has them all.")


def _findings(document: ReportStream, names: Mapping[str, str | None]) -> Iterator[str]:
    summary = document.summary()
    yield from _section("## Open findings")
    if not any(summary["open"].values()):
        yield from ("", "None.")
    left = MOST_OPEN
    for severity, size in by_severity(summary["open"]):
        if size:
            yield from _section(f"### {severity.title()} ({number(size)})")
            listed = min(size, left)
            if listed:
                rows = _with(document, status="open", severity=severity, most=listed)
                yield from _found(rows, names)
            yield from _rest(size - listed)
            left -= listed
    for status, title in (("indeterminate", "Could not be judged"), ("exempt", "Exempt")):
        if summary[status]:
            yield from _section(f"## {title} ({number(summary[status])})")
            yield from _found(_with(document, status=status), names)
            yield from _rest(summary[status] - MOST_OTHERS)


def _with(document: ReportStream, *, most: int = MOST_OTHERS, **values: str) -> Iterator[Row]:
    def is_wanted(finding: Row) -> bool:
        return all(finding[name] == value for name, value in values.items())

    return _some(document.findings(), is_wanted, most=most)


def _some(
    rows: Iterator[Row], is_wanted: Callable[[Row], bool], *, most: int = MOST_OTHERS
) -> Iterator[Row]:
    """Yield the first of the rows that are wanted; the others are not read."""
    return islice(filter(is_wanted, rows), most)


def _found(findings: Iterable[Row], names: Mapping[str, str | None]) -> Iterator[str]:
    def cells(finding: Row) -> tuple[str, ...]:
        account, why = finding["account_id"], finding["exemption"]
        told = f"{finding['message']}; exempt: {why}" if why else finding["message"]
        name = names.get(account)
        return (
            f"{_code(account)} {_code(name)}" if name else _code(account),
            _code(finding["user_name"]),
            _code(finding["access_key_id"]),
            _code(finding["rule_id"]),
            finding["severity"],
            _code(told),
        )

    head = ("Account", "User", "Key", "Rule", "Severity", "Finding")
    return _table(head, map(cells, findings))


def _exemptions(document: ReportStream) -> Iterator[str]:
    listing = compare.first(document.exemptions(), most=MOST_OTHERS)
    rows = [
        (
            _code(one["policy"]),
            _code(", ".join(one["rules"])) if one["rules"] is not None else "every rule",
            _code(dumps(one["where"])),
            _code(one["reason"]),
            _code(one["owner"]),
            f"{one['state']}, {_code(one['expires'])}",
            number(one["findings"]),
        )
        for one in listing.rows
    ]
    if rows:
        yield from _section("## Exemptions")
        yield from _table(
            ("Policy", "Rules", "Where", "Reason", "Owner", "Expires", "Findings"), rows
        )
        yield from _more(listing)


def _compliance(document: ReportStream) -> Iterator[str]:
    rows = [
        (
            _code(one["framework"]),
            _code(one["control"]),
            f"{one['unit']}s",
            *(number(one[name]) for name in _CONTROL_COUNTS),
        )
        for one in document.compliance()
    ]
    if rows:
        yield from _section("## Compliance")
        head = ("Framework", "Control", "Counted in")
        last = "accounts not assessed"
        yield from _table((*head, *_CONTROL_COUNTS[:-1], last), rows)


def _plan(document: ReportStream) -> Iterator[str]:
    plan = document.plan()
    if plan is None:
        return
    results = Counter(
        action["outcome"]["result"] if action["outcome"] else "not applied"
        for action in plan["actions"]
    )
    told = ", ".join(f"{size:,} {result}" for result, size in sorted(results.items()))
    yield from _section("## Plan")
    yield ""
    yield (
        f"{_code(plan['id'])}: {count(len(plan['actions']), 'action')}"
        f"{f' ({told})' if told else ''}, {count(len(plan['held']), 'proposal')} held."
    )


def _section(title: str) -> Iterator[str]:
    yield from ("", title)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(value: str | None) -> str:
    """Return text as a code span that may stand in a table's cell; a dash for none."""
    if value is None or not value.strip():
        return _NOTHING
    runs = {len(run) for run in _BACKTICKS.findall(value)}
    fence = "`" * next(size for size in range(1, len(runs) + 2) if size not in runs)
    pad = " " if value[0] in "` " or value[-1] in "` " else ""
    text = value.replace("|", r"\|")
    return f"{fence}{pad}{text}{pad}{fence}"
