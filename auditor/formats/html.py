"""The HTML report: one self-contained page that needs neither network nor server.

Memory holds one account's keys and one small entry per account, never all keys or findings.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import TextIO

from jinja2 import Environment
from markupsafe import Markup

from auditor.formats import changes as compare
from auditor.formats.judged import root_slot
from auditor.formats.overview import REPORTED, by_severity, overview, verdict, worst
from auditor.formats.stream import ChangesStream, ReportStream, Row
from auditor.formats.templates import environment, source

SCRIPTS = ("report/data.js", "report/table.js", "report/page.js")
STYLE = "report/style.css"
_SHARED = ("rule_id", "title", "severity", "remedy")
_account = itemgetter("account_id")
_shared = itemgetter(*_SHARED)
_own = itemgetter("id", "status", "user_name", "access_key_id", "message", "exemption")
_of_key = itemgetter("slot", "status", "user_class", "created_at", "age_days", "idle_days")
_of_use = itemgetter("state", "at", "service", "region", "reason")


def write(document: ReportStream, out: TextIO) -> None:
    """Write `document` to `out` as one HTML page, a few rows at a time."""
    templates = environment()
    for text in templates.get_template("report.html.j2").generate(_page(document, templates)):
        out.write(text)


def entries(document: ReportStream, names: Mapping[str, str | None]) -> Iterator[object]:
    """Yield what `data.js` reads: an object announces an account or a kind, a list is a finding.

    A kind is what many findings share; it is announced before the first finding that refers to it.
    """
    partition = document.run()["partition"]
    kinds: dict[tuple[object, ...], int] = {}
    announced = None
    for finding, key in _with_keys(document.findings(), document.keys(), partition):
        account_id = finding["account_id"]
        if account_id != announced:
            announced = account_id
            yield {"account": announced, "name": names.get(announced)}
        kind = (*_shared(finding), *finding["controls"])
        number = kinds.get(kind)
        if number is None:
            number = kinds[kind] = len(kinds)
            shared = dict(zip(_SHARED, _shared(finding), strict=True))
            yield {"kind": number, **shared, "controls": finding["controls"]}
        facts = None if key is None else [*_of_key(key), *_of_use(key["last_used"])]
        yield [number, *_own(finding), facts]


def _with_keys(
    findings: Iterable[Row], keys: Iterable[Row], partition: str
) -> Iterator[tuple[Row, Row | None]]:
    """Pair each finding with its key, or None for one about the account; both in account order."""
    behind = "~"  # sorts after every account id
    groups = groupby(keys, key=_account)
    held, held_keys = next(groups, (behind, iter(())))
    for account_id, its_findings in groupby(findings, key=_account):
        while held < account_id:
            held, held_keys = next(groups, (behind, iter(())))
        mine = held_keys if held == account_id else iter(())
        known = {(key["user_name"], key["access_key_id"] or key["slot"]): key for key in mine}
        for finding in its_findings:
            name = finding["access_key_id"] or root_slot(finding, partition)
            yield finding, known.get((finding["user_name"], name))


def _page(document: ReportStream, templates: Environment) -> dict[str, object]:
    """Return the names that `report.html.j2` and its partials use."""
    script, style = "\n".join(source(name) for name in SCRIPTS), source(STYLE)
    run, coverage, summary = document.run(), document.coverage(), document.summary()
    accounts, counts = overview(document.accounts()), document.tally()
    return {
        "csp": _content_security_policy(script=script, style=style),
        "script": Markup(script),  # noqa: S704 -- our own file, and the policy pins its hash
        "style": Markup(style),  # noqa: S704 -- likewise
        "tool": document.tool(),
        "run": run,
        "coverage": coverage,
        "summary": summary,
        "by_severity": by_severity,
        "verdict": verdict(run=run, coverage=coverage, summary=summary),
        "errors": accounts.errors,
        "names": accounts.names,
        "counts": counts,
        "worst": worst(counts),
        "accounts": document.accounts,
        "entries": lambda: entries(document, accounts.names),
        "rules": document.rules(),
        "compliance": document.compliance,
        "reported": REPORTED if run["source"] == "report" else None,
        "plan": document.plan(),
        "exemptions": list(document.exemptions()),
        "changes": _changes(document.changes()),
    }


def _changes(changes: ChangesStream | None) -> dict[str, object] | None:
    """Return what `changes.html.j2` shows: the first of each kind, and how many there are."""
    if changes is None:
        return None
    return {
        "sentence": compare.sentence(changes),
        "caveats": list(compare.caveats(changes)),
        "titles": compare.TITLES,
        "findings": compare.findings(changes),
        "told": compare.what,
        "keys_told": compare.keys_told(changes),
        "keys_listed": compare.first(changes.keys()),
        "key_told": compare.key_change,
        "accounts": compare.first(changes.accounts()),
        "outcome": compare.outcome,
    }


def _content_security_policy(*, script: str, style: str) -> str:
    """Allow this script and this style by their hash, and nothing else: no request at all."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
