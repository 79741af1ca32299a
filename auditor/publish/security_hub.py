"""One account's findings in the AWS Security Finding Format, against what was published before.

A finding is created or updated by its id, and archived once the run looked for it and it is gone;
what the run could not look at stays as it is. Nothing here reads a clock.
https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from auditor.model.finding import FindingStatus, Severity
from auditor.ports import PublishedFinding, Publisher, Rejected

Asff: TypeAlias = Mapping[str, Any]
"""A finding, as `auditor.formats.asff` makes it."""
WhySilent: TypeAlias = Callable[[PublishedFinding], str | None]
"""Says why a run could not have found something again; None where it could."""

BATCH = 100
"""The most findings of one BatchImportFindings or BatchUpdateFindings."""
COVERAGE_RULE = "account-not-audited"
"""Of the finding that an account was not audited whole: it is sent whatever its severity."""
_STATUS = "iamaudit/status"
_TICK = timedelta(milliseconds=1)
_OPEN, _SUPPRESSED = frozenset({"NEW", "NOTIFIED"}), "SUPPRESSED"


class Fate(StrEnum):
    """What became of a finding, or would."""

    NEW = "new"
    UPDATED = "updated"
    """It was published before."""
    ARCHIVED = "archived"
    """It was published before, and is gone."""
    NOT_LOOKED_AT = "not looked at"
    """It was published before, and the run can't tell: left alone."""
    NEWER = "newer"
    """A later run was published to this account: all of it is left alone."""
    BELOW = "below"
    """Less severe than what is to be sent: left alone."""


@dataclass(slots=True, kw_only=True)
class Published:
    """What became of an account's findings, so far."""

    fates: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is to be published of one run, and how."""

    observed_at: datetime
    """When the run looked."""
    now: datetime
    least: Severity = Severity.INFO
    """What is less severe is not sent."""
    dry_run: bool = False
    """Only tell what would be done."""

    async def publish(
        self, findings: Sequence[Asff], hub: Publisher, why_silent: WhySilent, told: Published
    ) -> None:
        """Publish an account's findings; raise AwsFailure. `told` grows with what was done.

        Memory holds little of what the place has of the account, unless it is gone.
        """
        again = {finding["Id"] for finding in findings}
        before = {
            each.id: replace(each, content={}) if each.id in again else each
            async for page in hub.published()
            for each in page
        }
        if any(known.observed_at > self.observed_at for known in before.values()):
            told.fates[Fate.NEWER] = len(findings)
            return
        outgoing: list[tuple[Fate, Asff]] = []
        workflows: dict[tuple[str, str], list[str]] = {}
        for finding in findings:
            known = before.pop(finding["Id"], None)
            if not self._matters(finding):
                told.fates[Fate.BELOW] += 1
                continue
            outgoing.append(self._renewed(finding, known))
            if known is not None and (workflow := _workflow(finding, known)) is not None:
                workflows.setdefault(workflow, []).append(known.id)
        missing = [known for known in before.values() if known.active]
        gone = [known for known in missing if why_silent(known) is None]
        told.fates[Fate.NOT_LOOKED_AT] += len(missing) - len(gone)
        outgoing += [(Fate.ARCHIVED, self._archived(known)) for known in gone]
        if self.dry_run:
            for fate, _ in outgoing:
                told.fates[fate] += 1
            return
        # What can't be reopened stays as it was: else the next time would not know to do it.
        stuck = await _set_workflows(workflows, hub, told)
        await _send([each for each in outgoing if each[1]["Id"] not in stuck], hub, told)

    def _matters(self, finding: Asff) -> bool:
        if str(finding["GeneratorId"]).endswith(f"/{COVERAGE_RULE}"):
            return True
        severity = Severity(finding["FindingProviderFields"]["Severity"]["Original"])
        return severity.rank <= self.least.rank

    def _renewed(self, finding: Asff, known: PublishedFinding | None) -> tuple[Fate, Asff]:
        if known is not None:
            return Fate.UPDATED, {**finding, **self._kept(known)}
        first = {"FirstObservedAt": finding["LastObservedAt"], "UpdatedAt": _zulu(self.now)}
        return Fate.NEW, {**finding, **first}

    def _kept(self, known: PublishedFinding) -> Asff:
        """Return the times of a finding that was published before; an update must be later."""
        return {
            "CreatedAt": known.created_at,
            "FirstObservedAt": known.first_observed_at,
            "UpdatedAt": _zulu(max(self.now, known.updated_at + _TICK)),
        }

    def _archived(self, known: PublishedFinding) -> Asff:
        """Return a finding that is gone; the run is the last that looked for it."""
        gone = {"RecordState": "ARCHIVED", "LastObservedAt": _zulu(self.observed_at)}
        return {**known.content, **self._kept(known), **gone}


def _workflow(finding: Asff, known: PublishedFinding) -> tuple[str, str] | None:
    """Return the status and note that a finding must be given, which an import can't change.

    What its readers said of it stays, unless it was this tool that suppressed it.
    """
    if finding["ProductFields"][_STATUS] == FindingStatus.EXEMPT:
        note = finding.get("Note", {}).get("Text", "exempt")
        return (_SUPPRESSED, str(note)) if known.workflow in _OPEN else None
    if known.suppressed_as_exempt:
        return "NEW", "no longer exempt"
    return None


async def _set_workflows(
    workflows: Mapping[tuple[str, str], Sequence[str]], hub: Publisher, told: Published
) -> frozenset[str]:
    """Return the ids that were not taken."""
    stuck: set[str] = set()
    for (status, note), ids in workflows.items():
        for batch in _batches(ids):
            rejected = await hub.set_workflow(batch, status, note)
            told.rejected += rejected
            stuck |= {each.id for each in rejected}
    return frozenset(stuck)


async def _send(outgoing: Sequence[tuple[Fate, Asff]], hub: Publisher, told: Published) -> None:
    for batch in _batches(outgoing):
        rejected = await hub.send([finding for _, finding in batch])
        told.rejected += rejected
        refused = {each.id for each in rejected}
        for fate, finding in batch:
            told.fates[fate] += finding["Id"] not in refused


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _zulu(at: datetime) -> str:
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
