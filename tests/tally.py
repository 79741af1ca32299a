"""What findings come to, counted one by one: what the store's counting is held to."""

from collections.abc import Iterable

from auditor.formats.stream import Row
from auditor.model.finding import FindingStatus


def tally(findings: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Count each account's findings: the open ones by severity, the others by status."""
    counts: dict[str, dict[str, int]] = {}
    for finding in findings:
        status = finding["status"]
        name = finding["severity"] if status == FindingStatus.OPEN else status
        mine = counts.setdefault(finding["account_id"], {})
        mine[name] = mine.get(name, 0) + 1
    return counts
