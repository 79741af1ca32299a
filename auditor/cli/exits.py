"""What the exit code says."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum

from auditor.formats.stream import ReportStream, Row
from auditor.model.changes import Change
from auditor.model.finding import Severity


class ExitCode(IntEnum):
    """Exit codes of every command; the first that applies: 130, 2, 4, 3, 1, 0."""

    CLEAN = 0
    """No open finding at or above the threshold."""
    FINDINGS = 1
    """Open findings at or above the threshold."""
    USAGE = 2
    """Wrong usage or configuration."""
    INCOMPLETE = 3
    """Some account was not audited whole, or some key could not be judged."""
    NOTHING = 4
    """Nothing could be audited; also where the tool itself broke."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; what was read is kept."""


def exit_code(
    document: ReportStream, *, fail_on: Severity | None, interrupted: bool, only_new: bool = False
) -> ExitCode:
    """Return the exit code of a scan: 130, 4, 3, 1, 0, in this order.

    With `only_new` only what is new since the earlier run counts as a finding.
    """
    coverage, summary = document.coverage(), document.summary()
    accounts = coverage["accounts"]
    if interrupted:
        return ExitCode.INTERRUPTED
    if accounts["audited"] + accounts["partial"] == 0:
        return ExitCode.NOTHING
    if not coverage["complete"]:
        return ExitCode.INCOMPLETE
    changes = document.changes()
    if only_new and changes is not None:
        found = (each for each in changes.findings() if each["change"] == Change.NEW)
        left = _left(document, changes.summary()["new"], found)
    else:
        left = _left(document, summary["open"], document.findings())
    return ExitCode.FINDINGS if fails(left, fail_on) else ExitCode.CLEAN


def fails(counts: Mapping[str, int], fail_on: Severity | None) -> bool:
    """Whether findings, counted by severity, reach the threshold."""
    return fail_on is not None and any(
        number and Severity(name).rank <= fail_on.rank for name, number in counts.items()
    )


def _left(
    document: ReportStream, open_: Mapping[str, int], findings: Iterable[Row]
) -> Mapping[str, int]:
    """Return the open findings by severity, without those that the run's plans have mended.

    Taking a key away mends what a rule said of an active key, and nothing else.
    """
    taken = document.taken()
    if not taken:
        return open_
    about_active = {
        rule["id"]
        for rule in document.rules()
        if {"key.active", "key.status"}.intersection(rule["facts"])
    }
    mended = Counter(
        finding["severity"]
        for finding in findings
        if finding["status"] == "open"
        and finding["rule_id"] in about_active
        and (finding["account_id"], finding["access_key_id"]) in taken
    )
    return {name: number - mended[name] for name, number in open_.items()}
