"""A document without its access key ids, for reports that travel further than the keys' owners.

An id keeps its prefix and its last four characters. What was made from whole ids would give them
away: half of an id tells the account, so few are left to try. Ids of findings and actions are
therefore made anew from what is shown, and are the same in every masked report.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from auditor.formats.stream import ChangesStream, Judged, ReportStream, Row
from auditor.model.ageing import Ageing
from auditor.model.finding import finding_id
from auditor.model.plan import ActionKind
from auditor.remediation.planner import action_id

NO_DIGEST = "masked"
"""Stands for the digest of a plan: it could be tried out as well."""
_SHOWN = 4
_SHORTEST = 12
_ID = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{8,}(?![A-Za-z0-9])")
_Key: TypeAlias = tuple[str, str, str]
_user = itemgetter("account_id", "user_name")


def mask(key_id: str) -> str:
    """Return an access key id as `AKIA************MPLE`; a short one shows its beginning only."""
    end = key_id[-_SHOWN:] if len(key_id) >= _SHORTEST else ""
    return key_id[:_SHOWN] + "*" * (len(key_id) - _SHOWN - len(end)) + end


def mask_text(text: str) -> str:
    """Return text with every access key id in it masked."""
    return _ID.sub(lambda found: mask(found[0]), text)


class Masks:
    """How each key of a run is called: two of a user that look the same are numbered."""

    def __init__(self, rows: Iterable[Row]) -> None:
        """Go through the run's keys, in order of account and user; keep those that look alike."""
        self._alike: dict[_Key, str] = {}
        for (account_id, user_name), mine in groupby(rows, key=_user):
            ids = sorted({row["access_key_id"] for row in mine if row["access_key_id"]})
            if len({mask(key_id) for key_id in ids}) == len(ids):
                continue
            for number, key_id in enumerate(ids, 1):
                self._alike[account_id, user_name, key_id] = f"{mask(key_id)}#{number}"

    def of(self, row: Row) -> str | None:
        """Return the name of the row's key; None where the row has none."""
        key_id = row["access_key_id"]
        if key_id is None:
            return None
        alike = self._alike and self._alike.get((*_user(row), key_id))
        return alike or mask(key_id)


class MaskedReport:
    """Shows another document with masked key ids; names of users are left as they are."""

    def __init__(self, document: ReportStream) -> None:
        """Go through the keys once."""
        self._document = document
        changes = document.changes()
        others = iter(()) if changes is None else changes.keys()
        self._masks = Masks(merge(document.keys(), others, key=_user))
        self._partition: str = document.run()["partition"]

    def tool(self) -> Row:
        """Return `document.Tool`."""
        return self._document.tool()

    def run(self) -> Row:
        """Return `document.RunPart`."""
        return {**_part(self._document.run()), "digest": None}  # as with a plan's

    def coverage(self) -> Row:
        """Return `document.CoveragePart`."""
        return _part(self._document.coverage())

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountPart`."""
        for account in self._document.accounts():
            yield {**account, "errors": _masked(account["errors"])}

    def keys(self) -> Iterator[Row]:
        """Yield `document.Key`."""
        return map(self._key, self._document.keys())

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingPart`."""
        return map(self._finding, self._document.findings())

    def judged(self) -> Iterator[Judged]:
        """Yield every key with its findings."""
        for account_id, key, findings in self._document.judged():
            masked = None if key is None else self._key(key)
            yield account_id, masked, list(map(self._finding, findings))

    def tally(self) -> Mapping[str, Mapping[str, int]]:
        """Return by account how many findings it has."""
        return self._document.tally()

    def ageing(self) -> Ageing:
        """Return the keys counted by age and by time since their last use."""
        return self._document.ageing()

    def exemptions(self) -> Iterator[Row]:
        """Yield `document.ExemptionPart`."""
        for one in self._document.exemptions():
            where = _masked(one["where"])
            if "key" in where:  # perhaps a part of one, with wildcards
                where = {**where, "key": mask(where["key"])}
            yield {**_masked(one), "where": where}

    def summary(self) -> Row:
        """Return `document.Summary`."""
        return self._document.summary()

    def compliance(self) -> Iterator[Row]:
        """Yield `document.Compliance`."""
        return self._document.compliance()

    def rules(self) -> Sequence[Row]:
        """Return the rules that judged."""
        return [_masked(rule) for rule in self._document.rules()]

    def plan(self) -> Row | None:
        """Return `document.PlanPart`; None where there is none."""
        plan = self._document.plan()
        if plan is None:
            return None
        actions = [self._action(action) for action in plan["actions"]]
        held = [{**_masked(one), "access_key_id": self._masks.of(one)} for one in plan["held"]]
        return {**plan, "sha256": NO_DIGEST, "actions": actions, "held": held}

    def taken(self) -> Set[tuple[str, str]]:
        """Return account and id of the keys that the run's plans took away for good."""
        taken = self._document.taken()
        if not taken:
            return taken
        return {
            (key["account_id"], self._masks.of(key) or "")
            for key in self._document.keys()  # noqa: SIM118 -- no mapping
            if (key["account_id"], key["access_key_id"]) in taken
        }

    def changes(self) -> ChangesStream | None:
        """Return what changed since the run that was named; None where none was."""
        changes = self._document.changes()
        return None if changes is None else MaskedChanges(changes, self._masks, self._finding)

    def _key(self, key: Row) -> Row:
        return {**key, "access_key_id": self._masks.of(key)}

    def _finding(self, finding: Row) -> Row:
        name = self._masks.of(finding)
        if name is None:
            return _part(finding)
        made_anew = finding_id(
            partition=self._partition,
            account_id=finding["account_id"],
            user_name=finding["user_name"],
            key=name,
            rule_id=finding["rule_id"],
        )
        return {**_masked(finding), "access_key_id": name, "id": made_anew}

    def _action(self, action: Row) -> Row:
        name = self._masks.of(action) or ""
        made_anew = action_id(
            partition=self._partition,
            account_id=action["account_id"],
            key_id=name,
            kind=ActionKind(action["kind"]),
        )
        return {**_masked(action), "access_key_id": name, "id": made_anew}


class MaskedChanges:
    """Shows the changes of another document likewise."""

    def __init__(self, changes: ChangesStream, masks: Masks, finding: Callable[[Row], Row]) -> None:
        """Take how the report calls its keys, and how it masks a finding."""
        self._changes = changes
        self._masks = masks
        self._finding = finding

    def baseline(self) -> Row:
        """Return `document.BaselinePart`."""
        return self._changes.baseline()

    def summary(self) -> Row:
        """Return `document.ChangesSummary`."""
        return self._changes.summary()

    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingChange`."""
        return map(self._finding, self._changes.findings())

    def keys(self) -> Iterator[Row]:
        """Yield `document.KeyChange`."""
        for key in self._changes.keys():  # noqa: SIM118 -- no mapping
            yield {**key, "access_key_id": self._masks.of(key)}

    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountChange`."""
        return self._changes.accounts()


def _part(row: Row) -> Row:
    masked: Row = _masked(row)
    return masked


def _masked(value: Any) -> Any:
    """Return a part with the ids in its text masked, but for the names of users."""
    match value:
        case str():
            return mask_text(value)
        case Mapping():
            return {name: part if name in _NAMES else _masked(part) for name, part in value.items()}
        case list() | tuple():
            return [_masked(part) for part in value]
        case _:
            return value


_NAMES = frozenset({"user_name", "user_arn", "id", "account_id"})
