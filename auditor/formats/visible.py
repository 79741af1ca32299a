"""A document in which nothing is invisible: for formats whose readers would act on such text."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import orjson

from auditor.formats.stream import ChangesStream, Judged, ReportStream, Row
from auditor.formats.templates import printable
from auditor.model.ageing import Ageing


class VisibleReport:
    r"""Shows another document; control characters and bidirectional marks are text: `\u202e`."""

    def __init__(self, document: ReportStream) -> None:
        self._document = document

    def tool(self) -> Row:
        """Return `document.Tool`."""
        return visible(self._document.tool())

    def run(self) -> Row:
        """Return `document.RunPart`."""
        return visible(self._document.run())

    def coverage(self) -> Row:
        """Return `document.CoveragePart`."""
        return visible(self._document.coverage())

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountPart`."""
        return map(visible, self._document.accounts())

    def keys(self) -> Iterator[Row]:
        """Yield `document.Key`."""
        return map(visible, self._document.keys())

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingPart`."""
        return map(visible, self._document.findings())

    def judged(self) -> Iterator[Judged]:
        """Yield every key with its findings."""
        for account_id, key, findings in self._document.judged():
            # Not before: the rows are in the order of the names as they are, not as they are shown.
            if _is_plain((key, findings)):
                yield account_id, key, findings
            else:
                yield account_id, _shown(key), _shown(findings)

    def tally(self) -> Mapping[str, Mapping[str, int]]:
        """Return by account how many findings it has."""
        return self._document.tally()

    def ageing(self) -> Ageing:
        """Return the keys counted by age and by time since their last use."""
        return self._document.ageing()

    def exemptions(self) -> Iterator[Row]:
        """Yield `document.ExemptionPart`."""
        return map(visible, self._document.exemptions())

    def summary(self) -> Row:
        """Return `document.Summary`."""
        return self._document.summary()

    def compliance(self) -> Iterator[Row]:
        """Yield `document.Compliance`."""
        return map(visible, self._document.compliance())

    def rules(self) -> Sequence[Row]:
        """Return the rules that judged."""
        return [visible(rule) for rule in self._document.rules()]

    def plan(self) -> Row | None:
        """Return `document.PlanPart`; None where there is none."""
        plan = self._document.plan()
        return None if plan is None else visible(plan)

    def taken(self) -> Set[tuple[str, str]]:
        """Return account and id of the keys that the run's plans took away for good."""
        return self._document.taken()

    def changes(self) -> ChangesStream | None:
        """Return what changed since the run that was named; None where none was."""
        changes = self._document.changes()
        return None if changes is None else VisibleChanges(changes)


class VisibleChanges:
    """Shows the changes of another document likewise."""

    def __init__(self, changes: ChangesStream) -> None:
        self._changes = changes

    def baseline(self) -> Row:
        """Return `document.BaselinePart`."""
        return visible(self._changes.baseline())

    def summary(self) -> Row:
        """Return `document.ChangesSummary`."""
        return self._changes.summary()

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingChange`."""
        return map(visible, self._changes.findings())

    def keys(self) -> Iterator[Row]:
        """Yield `document.KeyChange`."""
        return map(visible, self._changes.keys())

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountChange`."""
        return map(visible, self._changes.accounts())


def visible(row: Row) -> Row:
    """Return the part with its text, however deep, as text in which nothing is hidden."""
    return row if _is_plain(row) else _shown(row)


def _is_plain(value: object) -> bool:
    """Whether all text is printable ASCII: looking at it as JSON is the fastest way to tell."""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:  # half of a surrogate pair
        return False
    return text.isascii() and b"\\" not in text and b"\x7f" not in text


def _shown(value: Any) -> Any:
    match value:
        case str():
            return printable(value)
        case Mapping():
            return {printable(name): _shown(part) for name, part in value.items()}
        case list() | tuple():
            return [_shown(part) for part in value]
        case _:
            return value
