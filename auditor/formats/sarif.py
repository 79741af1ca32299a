"""report.sarif: SARIF 2.1.0, one result for each finding.

A finding that could not be judged has the kind `open`, SARIF's word for it; an exempt one is
suppressed with its reason; accounts that were not audited whole are notifications of the tool.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote

import orjson

from auditor.formats.advice import BETTER, BETTER_URL, advice
from auditor.formats.array import write_array
from auditor.formats.judged import JudgedRow, by_account, is_read, not_audited
from auditor.formats.overview import verdict
from auditor.formats.stream import ReportStream, Row
from auditor.formats.visible import VisibleReport

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}
"""`security-severity`, where GitHub draws the lines: critical above 9.0, high from 7.0."""
_NOTIFICATIONS = {
    "unreachable": ("error", "The account could not be read, and was not audited"),
    "partial": ("error", "The account was read only in part: users or keys are missing"),
    "skipped": ("note", "The account was left out of the audit"),
}
"""By outcome: level and meaning."""


def write(document: ReportStream, out: TextIO) -> None:
    """Write the log: what is known of the whole run first, then the results one by one."""
    shown = VisibleReport(document)
    rules = {rule["id"]: rule for rule in reversed(shown.rules())}
    rules = dict(reversed(rules.items()))
    head = {"$schema": _SCHEMA, "version": "2.1.0"}
    out.write(f"{_text(head)[:-1]},\n")
    out.write(f'"runs":[{_text(_run(shown, rules))[:-1]},\n"invocations":[')
    out.write(f'{_text(_invocation(shown))[:-1]},\n"toolExecutionNotifications":')
    write_array(_notifications(shown), out, end="}],\n")
    out.write('"results":')
    indexes = {rule_id: index for index, rule_id in enumerate(rules)}
    write_array(_results(document, indexes), out, end="}]}\n")


def _run(document: ReportStream, rules: Mapping[str, Row]) -> dict[str, Any]:
    tool, run, coverage = document.tool(), document.run(), document.coverage()
    told = verdict(run=run, coverage=coverage, summary=document.summary())
    return {
        "tool": {
            "driver": {
                "name": tool["name"],
                "version": tool["version"],
                "rules": [_rule(rule) for rule in rules.values()],
                "notifications": [
                    {
                        "id": f"account-{outcome}",
                        "shortDescription": {"text": meaning},
                        "defaultConfiguration": {"level": level},
                    }
                    for outcome, (level, meaning) in _NOTIFICATIONS.items()
                ],
            }
        },
        "automationDetails": {"id": f"iamaudit/{run['id']}"},
        "properties": {
            "verdict": f"{told.found}; {told.looked}",
            "coverage": coverage,
            "run": run,
        },
    }


def _rule(rule: Row) -> Row:
    what, better = advice(rule["remedy"], rule["id"]), f"{BETTER} See {BETTER_URL}"
    return {
        "id": rule["id"],
        "shortDescription": {"text": rule["title"]},
        "fullDescription": {"text": f"{rule['title']}. A key breaks this rule when {rule['when']}"},
        "help": {"text": f"{what}\n\n{better}", "markdown": f"{what}\n\n{better}"},
        "helpUri": BETTER_URL,
        "defaultConfiguration": {"level": _LEVELS[rule["severity"]]},
        "properties": {
            "tags": ["security", "aws", "iam"],
            "precision": "very-high",
            "security-severity": _SCORES[rule["severity"]],
            "remedy": rule["remedy"],
            "controls": rule["controls"],
        },
    }


def _invocation(document: ReportStream) -> dict[str, Any]:
    """Return how the run went: a success only where every account was read whole."""
    run, accounts = document.run(), document.coverage()["accounts"]
    whole = accounts["audited"] > 0 and not accounts["partial"] and not accounts["unreachable"]
    invocation = {
        "executionSuccessful": whole and run["finished_at"] is not None,
        "startTimeUtc": run["started_at"],
    }
    if run["finished_at"] is not None:
        invocation["endTimeUtc"] = run["finished_at"]
    return invocation


def _notifications(document: ReportStream) -> Iterator[Row]:
    for account in document.accounts():
        if not is_read(account):
            yield {
                "descriptor": {"id": f"account-{account['outcome']}"},
                "level": _NOTIFICATIONS[account["outcome"]][0],
                "message": {"text": _plain(not_audited(account))},
                "locations": [{"logicalLocations": [_account(account)]}],
            }


def _results(document: ReportStream, indexes: Mapping[str, int]) -> Iterator[Row]:
    for account, keys in by_account(document):
        for judged in keys:
            for finding in judged.findings:
                yield _result(finding, judged, account, indexes)


def _result(finding: Row, judged: JudgedRow, account: Row, indexes: Mapping[str, int]) -> Row:
    unjudged = finding["status"] == "indeterminate"
    result: dict[str, Any] = {
        "ruleId": finding["rule_id"],
        "kind": "open" if unjudged else "fail",
        "level": "none" if unjudged else _LEVELS[finding["severity"]],
        "message": {"text": _plain(finding["message"])},
        "locations": [_location(finding, judged.key, account)],
        # GitHub tells alerts apart by primaryLocationLineHash alone.
        "partialFingerprints": {
            "iamauditFinding/v1": finding["id"],
            "primaryLocationLineHash": finding["id"],
        },
        "properties": {
            "severity": finding["severity"],
            "security-severity": _SCORES[finding["severity"]],
            "status": finding["status"],
            "remedy": finding["remedy"],
            "controls": finding["controls"],
        },
    }
    if finding["rule_id"] in indexes:
        result["ruleIndex"] = indexes[finding["rule_id"]]
    if judged.key is not None:
        result["properties"]["key"] = judged.key
    if finding["status"] == "exempt":
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": finding["exemption"] or "exempt",
            }
        ]
    return result


def _location(finding: Row, key: Row | None, account: Row) -> Row:
    """Return the key as a resource, and a path that names it: GitHub shows no result without."""
    user, name = finding["user_name"], finding["access_key_id"]
    places = [account["id"], user, *([name] if name else [])]
    arn = key["user_arn"] if key is not None else f"{account['id']}/{user}"
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": "/".join(quote(place, safe="") for place in places)},
            "region": {"startLine": 1},
        },
        "logicalLocations": [
            {
                "name": name or user,
                "fullyQualifiedName": f"{arn}/{name}" if name else arn,
                "kind": "resource",
            },
            _account(account),
        ],
    }


def _account(account: Row) -> Row:
    named = {"name": account["name"]} if account["name"] else {"name": account["id"]}
    return {**named, "fullyQualifiedName": account["id"], "kind": "resource"}


def _plain(message: str) -> str:
    """Return a message in SARIF's plain text, where brackets make links, braces placeholders."""
    if "](" in message:
        message = message.replace("[", r"\[").replace("]", r"\]")
    return message.replace("{", "{{").replace("}", "}}")


def _text(value: object) -> str:
    return orjson.dumps(value).decode()
