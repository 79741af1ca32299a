"""What a format is given: a judged run as streams of plain document parts."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Protocol, TypeAlias

from auditor.model.ageing import Ageing

Row = Mapping[str, Any]
"""One part of the document, in the shape of its model in `auditor.formats.document`."""
Judged: TypeAlias = tuple[str, Row | None, Sequence[Row]]
"""An account's id, `document.Key`, and the `document.FindingPart` about that key.

Without a key: findings about keys of the root user that may exist.
"""


class ChangesStream(Protocol):
    """What changed since an earlier run; each iterator may be asked for again."""

    def baseline(self) -> Row:
        """Return `document.BaselinePart`."""
        ...

    def summary(self) -> Row:
        """Return `document.ChangesSummary`."""
        ...

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingChange`, in order of account, user, key and rule."""
        ...

    def keys(self) -> Iterator[Row]:
        """Yield `document.KeyChange`, in order of account and user."""
        ...

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountChange`, in order of id."""
        ...


class ReportStream(Protocol):
    """One judged run; each iterator may be asked for again and reads the store anew."""

    def tool(self) -> Row:
        """Return `document.Tool`."""
        ...

    def run(self) -> Row:
        """Return `document.RunPart`."""
        ...

    def coverage(self) -> Row:
        """Return `document.CoveragePart`, its gaps included."""
        ...

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountPart`, in order of id."""
        ...

    def keys(self) -> Iterator[Row]:
        """Yield `document.Key`, in order of account, user and key."""
        ...

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingPart`, in order of account, user, key and rule."""
        ...

    def judged(self) -> Iterator[Judged]:
        """Yield every key with its findings, in order of account, user and key.

        All findings are among them; those of a user without a key come after its keys.
        """
        ...

    def tally(self) -> Mapping[str, Mapping[str, int]]:
        """Return by account how many findings it has: open ones by severity, others by status."""
        ...

    def ageing(self) -> Ageing:
        """Return the keys counted by age and by time since their last use."""
        ...

    def exemptions(self) -> Iterator[Row]:
        """Yield `document.ExemptionPart`, in order of policy and place in it."""
        ...

    def summary(self) -> Row:
        """Return `document.Summary`."""
        ...

    def compliance(self) -> Iterator[Row]:
        """Yield `document.Compliance`, in order of framework and control."""
        ...

    def rules(self) -> Sequence[Row]:
        """Return the rules that judged: id, title, severity, when, remedy, controls."""
        ...

    def plan(self) -> Row | None:
        """Return `document.PlanPart`, the run's plan; None where there is none."""
        ...

    def taken(self) -> Set[tuple[str, str]]:
        """Return account and id of the keys that the run's plans took away for good."""
        ...

    def changes(self) -> ChangesStream | None:
        """Return what changed since the run that was named; None where none was."""
        ...
