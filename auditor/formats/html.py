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

from auditor.formats.overview import REPORTED, by_severity, overview, tally, verdict, worst
from auditor.formats.stream import ReportStream, Row
from auditor.formats.templates import environment, source
from auditor.model.finding import finding_id

SCRIPTS = ("report/data.js", "report/table.js", "report/page.js")
STYLE = "report/style.css"
_account = itemgetter("account_id")


def write(document: ReportStream, out: TextIO) -> None:
    """Write `document` to `out` as one HTML page, row by row."""
    templates = environment()
    page = templates.get_template("report.html.j2").stream(_page(document, templates))
    page.enable_buffering(64)
    for text in page:
        out.write(text)


def entries(document: ReportStream, names: Mapping[str, str | None]) -> Iterator[object]:
    """Yield what `data.js` reads: an object announces an account or a kind, a list is a finding.

    A kind is what many findings share; it is announced before the first finding that refers to it.
    """
    partition = document.run()["partition"]
    kinds: dict[tuple[object, ...], int] = {}
    announced = None
    for finding, key in _with_keys(document.findings(), document.keys(), partition):
        if _account(finding) != announced:
            announced = _account(finding)
            yield {"account": announced, "name": names.get(announced)}
        shared = {name: finding[name] for name in ("rule_id", "title", "severity", "remedy")}
        kind = (*shared.values(), *finding["controls"])
        if kind not in kinds:
            kinds[kind] = len(kinds)
            yield {"kind": kinds[kind], **shared, "controls": finding["controls"]}
        own = [finding[name] for name in ("id", "status", "user_name", "access_key_id")]
        yield [kinds[kind], *own, finding["message"], finding["exemption"], _facts(key)]


def _facts(key: Row | None) -> list[object] | None:
    if key is None:
        return None
    own = ("slot", "status", "user_class", "created_at", "age_days", "idle_days")
    use = ("state", "at", "service", "region", "reason")
    return [key[name] for name in own] + [key["last_used"][name] for name in use]


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
            name = finding["access_key_id"] or _slot(finding, partition)
            yield finding, known.get((finding["user_name"], name))


def _slot(finding: Row, partition: str) -> int | None:
    """Return which of the root user's keys a finding without a key id is about, by its id."""
    for slot in (1, 2):
        whole = finding_id(
            partition=partition,
            account_id=finding["account_id"],
            user_name=finding["user_name"],
            key=f"slot-{slot}",
            rule_id=finding["rule_id"],
        )
        if whole == finding["id"]:
            return slot
    return None


def _page(document: ReportStream, templates: Environment) -> dict[str, object]:
    """Return the names that `report.html.j2` and its partials use."""
    script, style = "\n".join(source(name) for name in SCRIPTS), source(STYLE)
    run, coverage, summary = document.run(), document.coverage(), document.summary()
    accounts, counts = overview(document.accounts()), tally(document.findings())
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
