"""The HTML report: one self-contained page that needs neither network nor server.

Memory holds one user's keys and one small entry per account, never all keys or findings.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import TextIO

from jinja2 import Environment
from markupsafe import Markup

from auditor.formats import changes as compare
from auditor.formats.advice import BETTER, NO_ROOT_KEY, WAYS, advice, ways
from auditor.formats.charts import charts
from auditor.formats.overview import (
    REPORTED,
    Overview,
    by_severity,
    days_left,
    overview,
    verdict,
    worst,
)
from auditor.formats.stream import ChangesStream, ReportStream, Row
from auditor.formats.templates import reports, source
from auditor.model.identity import ROOT_USER_NAME

SCRIPTS = tuple(f"report/{name}.js" for name in ("data", "address", "table", "list", "page"))
STYLE = "report/style.css"
_SHARED = ("rule_id", "title", "severity", "remedy")
_shared = itemgetter(*_SHARED)
_subject = itemgetter("user_name", "access_key_id")
_own = itemgetter("id", "status", "message", "exemption")
_of_key = itemgetter("slot", "owner", "user_class", "status", "created_at", "age_days", "idle_days")
_CLASS = 2
_of_use = itemgetter("state", "at", "service", "region", "reason")


def write(document: ReportStream, out: TextIO) -> None:
    """Write `document` to `out` as one HTML page, a few rows at a time."""
    templates = reports()
    for text in templates.get_template("report.html.j2").generate(_page(document, templates)):
        out.write(text)


def entries(document: ReportStream, seen: Overview) -> Iterator[object]:
    """Yield what `data.js` reads: an object announces what the findings after it have in common.

    A kind is what many findings share; it is announced before the first finding that refers to it,
    and so are accounts, keys and classes of users. A finding is a list.
    """
    kinds: dict[tuple[object, ...], int] = {}
    classes: set[object] = set()
    told = None  # the account that was announced last
    for account_id, key, findings in document.judged():
        if findings and account_id != told:
            told = account_id
            yield {"account": told, "name": seen.names.get(told), "ou": seen.ous.get(told)}
        facts: Sequence[object] | None = None
        for finding in findings:
            kind = (*_shared(finding), *finding["controls"])
            number = kinds.get(kind)
            if number is None:
                number = kinds[kind] = len(kinds)
                yield _kind(number, finding)
            if facts is None or key is None:
                facts = _facts(finding, key)
                user_class = facts[_CLASS]
                if user_class not in classes:
                    classes.add(user_class)
                    yield _class(user_class)
                yield {"key": [*_subject(finding), *facts]}
            yield [number, *_own(finding)]


def _kind(number: int, finding: Row) -> Row:
    shared = dict(zip(_SHARED, _shared(finding), strict=True))
    mend = advice(finding["remedy"], finding["rule_id"])
    return {"kind": number, **shared, "controls": finding["controls"], "mend": mend}


def _facts(finding: Row, key: Row | None) -> Sequence[object]:
    """Return what is known of a key; where it was not recorded, the class of its user at most."""
    if key is None:
        return (None, None, "root" if finding["user_name"] == ROOT_USER_NAME else None)
    return (*_of_key(key), *_of_use(key["last_used"]))


def _class(name: object) -> Row:
    known = name if isinstance(name, str) else None
    better = [{"name": way.name, "how": way.how, "url": way.url} for way in ways(known)]
    return {"class": name, "ways": better}


def _page(document: ReportStream, templates: Environment) -> dict[str, object]:
    """Return the names that `report.html.j2` and its partials use."""
    script, style = "\n".join(source(name) for name in SCRIPTS), source(STYLE)
    run, coverage, summary = document.run(), document.coverage(), document.summary()
    plan = document.plan()
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
        "entries": lambda: entries(document, accounts),
        "charts": charts(document.ageing(), document.rules(), run["policies"]),
        "advice": advice,
        "better": BETTER,
        "ways": (*WAYS, NO_ROOT_KEY),
        "rules": document.rules(),
        "compliance": document.compliance,
        "has_controls": next(iter(document.compliance()), None) is not None,
        "reported": REPORTED if run["source"] == "report" else None,
        "plan": plan,
        "outcomes": [] if plan is None else _outcomes(plan),
        "exemptions": list(document.exemptions()),
        "days_left": partial(days_left, now=run["now"]),
        "changes": _changes(document.changes()),
    }


def _outcomes(plan: Row) -> list[tuple[str, int]]:
    """Return how many actions ended how, in the order of the words."""
    outcomes = (action["outcome"] for action in plan["actions"])
    results = Counter("not applied" if one is None else str(one["result"]) for one in outcomes)
    return sorted(results.items())


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
