"""report.junit.xml: for CI systems that show tests. A suite per account, a case per key and rule.

The first case of a suite says whether the account was read whole. Open findings are failures,
exempt ones and skipped accounts are skipped, and what was not read or not judged is an error:
nothing passes that was not looked at.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TextIO

from markupsafe import escape

from auditor.formats.advice import advice
from auditor.formats.judged import JudgedRow, by_account, is_read, not_audited, why_unread
from auditor.formats.stream import ReportStream, Row
from auditor.formats.visible import VisibleReport
from auditor.model.account import OutcomeKind

_NO_XML = re.compile("[\ufffe\uffff]")
_KINDS = ("failure", "error", "skipped")
_OF_STATUS = {"open": "failure", "indeterminate": "error", "exempt": "skipped"}


def write(document: ReportStream, out: TextIO) -> None:
    """Write the cases one by one; a first reading counts them, as each suite begins with that."""
    shown = VisibleReport(document)
    rules = list(dict.fromkeys(rule["id"] for rule in shown.rules()))
    counts = {
        account["id"]: _counted(account, keys, rules) for account, keys in by_account(document)
    }
    run = shown.run()
    total = {name: sum(one[name] for one in counts.values()) for name in ("tests", *_KINDS)}
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    name = f"iamaudit {run['id']}"
    out.write(f"<testsuites{_attributes(name=name, **_totals(total))}>\n")
    for account, keys in by_account(document):
        out.write(f"<testsuite{_suite(account, run, counts[account['id']])}>\n")
        out.write("<properties>")
        for name in ("ou", "outcome", "users", "keys"):
            value = "" if account[name] is None else account[name]
            out.write(f"<property{_attributes(name=name, value=value)}/>")
        out.write("</properties>\n")
        out.writelines(_cases(account, keys, rules))
        out.write("</testsuite>\n")
    out.write("</testsuites>\n")


def _cases(account: Row, keys: Iterable[JudgedRow], rules: Sequence[str]) -> Iterator[str]:
    whole = f"<testcase{_attributes(classname=account['id'], name='account was read whole')}"
    kind = _of_account(account)
    why = why_unread(account, most=None)
    yield whole + _end(kind, type_=account["outcome"], message=not_audited(account), text=why)
    passing = {rule: f'{_escaped(rule)}"/>\n' for rule in rules}
    for judged in keys:
        key = judged.key
        where = _escaped(f"{account['id']}.{(key or judged.findings[0])['user_name']}")
        for finding in judged.findings:
            name = _escaped(f"{_key(key or finding)} {finding['rule_id']}")
            yield f'<testcase classname="{where}" name="{name}"{_found(finding)}'
        if key is not None:
            begin = f'<testcase classname="{where}" name="{_escaped(_key(key))} '
            yield "".join([begin + passing[rule] for rule in _passed(judged, rules)])


def _passed(judged: JudgedRow, rules: Sequence[str]) -> Sequence[str]:
    """Return the rules that found nothing about a key; without a key none is known to."""
    if judged.key is None:
        return ()
    found = {finding["rule_id"] for finding in judged.findings}
    return [rule for rule in rules if rule not in found]


def _key(row: Row) -> str:
    """Name a key; one of the root user by its slot, where that is known."""
    slot = f"key {row['slot']}" if row.get("slot") else "key"
    return row["access_key_id"] or slot


def _found(finding: Row) -> str:
    mend = advice(finding["remedy"], finding["rule_id"]) if finding["status"] == "open" else ""
    told = (finding["message"], mend, f"finding {finding['id']}", " ".join(finding["controls"]))
    exemption = finding["exemption"]
    return _end(
        _OF_STATUS[finding["status"]],
        type_=finding["severity"],
        message=f"exempt: {exemption}" if exemption else finding["message"],
        text="\n".join(filter(None, told)),
    )


def _end(kind: str | None, *, type_: str, message: str, text: str) -> str:
    """Return the rest of a case: nothing where it passed, else why it did not."""
    if kind is None:
        return "/>\n"
    typed = "" if kind == "skipped" else f' type="{_escaped(type_)}"'
    told = f' message="{_escaped(message)}"{typed}'
    return f"><{kind}{told}>{_escaped(text)}</{kind}></testcase>\n"


def _of_account(account: Row) -> str | None:
    if is_read(account):
        return None
    return "skipped" if account["outcome"] == OutcomeKind.SKIPPED else "error"


def _counted(account: Row, keys: Iterable[JudgedRow], rules: Sequence[str]) -> dict[str, int]:
    counts = dict.fromkeys(("tests", *_KINDS), 0)
    counts["tests"] += 1
    if (kind := _of_account(account)) is not None:
        counts[kind] += 1
    for judged in keys:
        counts["tests"] += len(judged.findings) + len(_passed(judged, rules))
        for finding in judged.findings:
            counts[_OF_STATUS[finding["status"]]] += 1
    return counts


def _totals(counts: Mapping[str, int]) -> dict[str, object]:
    plural = {"failure": "failures", "error": "errors"}
    return {plural.get(name, name): size for name, size in counts.items()}


def _suite(account: Row, run: Row, counts: Mapping[str, int]) -> str:
    name = f"{account['id']} {account['name']}" if account["name"] else account["id"]
    return _attributes(name=name, timestamp=run["started_at"], **_totals(counts))


def _attributes(**values: object) -> str:
    return "".join(f' {name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(value: object) -> str:
    """Return what XML may hold; control characters are text by now."""
    text = str(value)
    if not text.isascii():
        text = _NO_XML.sub(lambda found: rf"\u{ord(found[0]):04x}", text)
    return str(escape(text))
