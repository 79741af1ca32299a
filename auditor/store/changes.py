"""What changed between two stored runs, as a stream (the ChangesStream of the formats).

Both runs lie in the store in the order of account and user, so they are read side by side, and
memory holds the findings of one user.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from auditor.model.account import OutcomeKind
from auditor.model.changes import Change, KeyChange, Said, change_of, differing
from auditor.model.finding import FindingStatus, Severity
from auditor.store import cursor
from auditor.store.damage import reads
from auditor.store.encoding import POLICY, certain, load_records, one_of, parse_instant
from auditor.store.looked import Looked, LookedAt
from auditor.store.reading import Row

_Tuple: TypeAlias = tuple[Any, ...]
_FINDINGS = (
    f"SELECT {', '.join(Said._fields)} FROM {{}}finding WHERE run_id = ?"  # noqa: S608 -- names of ours
    " ORDER BY account_id, user_name, position, rule_id"
)
_KEYS = (
    "SELECT account_id, user_name, id, slot, status, last_used_state FROM main.access_key"
    " WHERE run_id = ? ORDER BY account_id, user_name, position"
)
_REACH = (OutcomeKind.AUDITED, OutcomeKind.PARTIAL, OutcomeKind.UNREACHABLE, OutcomeKind.SKIPPED)
"""The further, the earlier in this list; an account that is not in scope was not looked at."""


# Of an account that was not read before, nothing less is known when it is skipped or left out.
_READ = frozenset(_REACH[:2])


class StoredChanges:
    """Compares two runs of one store; each iterator reads it anew.

    The later one may be judged otherwise than the file says (`SqliteRunStore.rejudge`).
    """

    @reads
    def __init__(
        self,
        connection: sqlite3.Connection,
        before_id: str,
        after_id: str,
        *,
        still_open: bool = False,
    ) -> None:
        """Read both runs' scopes; with `still_open` findings that did not change are told, too."""
        self._connection = connection
        self._still_open = still_open
        self._runs = (
            _run(connection, "main.run", before_id),
            _run(connection, "run", after_id),
        )
        self._before, self._after = (Looked(connection, run) for run in self._runs)
        self._summary: Row | None = None

    @reads
    def baseline(self) -> Row:
        """Return `document.BaselinePart`: the earlier run."""
        before, after = self._runs
        digests = [
            {policy["sha256"] for policy in load_records(run["policies"], POLICY)}
            for run in self._runs
        ]
        return {
            **{name: before[name] for name in ("id", "started_at", "finished_at", "now")},
            "same_policies": digests[0] == digests[1],
            "same_source": before["source"] == after["source"],
        }

    @reads
    def summary(self) -> Row:
        """Return `document.ChangesSummary`; counted once."""
        if self._summary is None:
            self._summary = self._counted()
        return self._summary

    @reads
    def findings(self) -> Iterator[Row]:
        """Yield `document.FindingChange`, in order of account, user, key and rule."""
        for change, before, after in self._compared():
            if change is not None and (change is not Change.STILL_OPEN or self._still_open):
                yield self._finding(change, before, after)

    @reads
    def keys(self) -> Iterator[Row]:
        """Yield `document.KeyChange`, in order of account and user; of users that both read."""
        for place, befores, afters in self._paired(_KEYS, _KEYS):
            mine, theirs = _by_key(befores), _by_key(afters)
            gone, fresh = mine.keys() - theirs.keys(), theirs.keys() - mine.keys()
            if fresh and self._before.why_not(*place) is None:
                for key in sorted(fresh, key=str):
                    yield _key(KeyChange.APPEARED, None, theirs[key])
            if gone and self._after.why_not(*place) is None:
                for key in sorted(gone, key=str):
                    yield _key(KeyChange.DISAPPEARED, mine[key], None)
            for key, after in theirs.items():
                if key in mine and _key_differs(mine[key], after):
                    yield _key(KeyChange.CHANGED, mine[key], after)

    @reads
    def accounts(self) -> Iterator[Row]:
        """Yield `document.AccountChange`, in order of id: accounts read further, or less far."""
        before, after = self._before.accounts, self._after.accounts
        for account_id in sorted(before.keys() | after.keys()):
            mine, theirs = before.get(account_id), after.get(account_id)
            was, now = _outcome(mine), _outcome(theirs)
            if was != now:
                names = [each.name for each in (theirs, mine) if each is not None]
                yield {
                    "id": account_id,
                    "name": names[0],
                    "before": was,
                    "after": now,
                    "worse": was in _READ and _reach(now) > _reach(was),
                }

    def _counted(self) -> Row:
        levels = [str(level) for level in Severity]
        counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("new", "resolved", "still_open")
        }
        others: Counter[str] = Counter({"changed": 0, "not_looked_at": 0, "unjudged": 0})
        for change, before, after in self._compared():
            others["unjudged"] += self._newly_unjudged(before, after)
            if change is None:
                continue
            if change in {Change.CHANGED, Change.NOT_LOOKED_AT}:
                others[change] += 1
            severity = (after or before or _NOTHING).severity
            if before and after and before.open and after.open:
                counts["still_open"][severity] += 1
            elif change in {Change.NEW, Change.RESOLVED}:
                counts[change][severity] += 1
        keys = Counter(str(key["change"]) for key in self.keys())
        accounts = Counter(bool(account["worse"]) for account in self.accounts())
        return {
            **{name: {level: mine[level] for level in levels} for name, mine in counts.items()},
            **others,
            "keys": {str(change): keys[change] for change in KeyChange},
            "accounts": {"changed": accounts.total(), "worse": accounts[True]},
        }

    def _newly_unjudged(self, before: Said | None, after: Said | None) -> bool:
        """Whether a verdict is missing that the earlier run, as far as it looked, had."""
        if after is None or after.status != FindingStatus.INDETERMINATE:
            return False
        if before is not None:
            return before.status != FindingStatus.INDETERMINATE
        known = self._before.why_not(after.account_id, after.user_name) is None
        return known and after.rule_id in self._before.rules

    def _compared(self) -> Iterator[tuple[Change | None, Said | None, Said | None]]:
        for _, befores, afters in self._paired(_FINDINGS.format("main."), _FINDINGS.format("")):
            before = {said.id: said for said in map(_said, befores)}
            after = {said.id: said for said in map(_said, afters)}
            for each in sorted({**before, **after}.values(), key=_place):
                mine, theirs = before.get(each.id), after.get(each.id)
                looked = theirs is not None or self._silent(self._after, each) is None
                yield change_of(mine, theirs, looked=looked), mine, theirs

    def _finding(self, change: Change, before: Said | None, after: Said | None) -> Row:
        said = after or before or _NOTHING
        return {
            "change": str(change),
            **{name: getattr(said, name) for name in _TOLD},
            "status": None if after is None else after.status,
            "before": None if before is None else {name: getattr(before, name) for name in _WAS},
            "differs": list(differing(before, after)) if before and after else [],
            "reason": self._reason(change, before, after),
        }

    def _reason(self, change: Change, before: Said | None, after: Said | None) -> str | None:
        """Return why a finding came or went, where that is more than its key's doing."""
        match change:
            case Change.NOT_LOOKED_AT if before:
                return self._silent(self._after, before)
            case Change.RESOLVED if before:
                seen = _seen(before, self._before, self._after)
                return "the key no longer breaks the rule" if seen else "the key is gone"
            case Change.NEW if after and before:
                was = {"exempt": "exempt", "indeterminate": "not to be judged"}
                return f"it was {was[before.status]}"
            case Change.NEW if after:
                known = _seen(after, self._after, self._before)
                return self._silent(self._before, after) or (None if known else "a new key")
            case _:
                return None

    @staticmethod
    def _silent(run: Looked, said: Said) -> str | None:
        return run.why_silent(said.account_id, said.user_name, said.rule_id)

    def _paired(
        self, before: str, after: str
    ) -> Iterator[tuple[tuple[str, str], Sequence[_Tuple], Sequence[_Tuple]]]:
        """Yield account and user with the rows that each run has of them."""
        mine = _by_user(self._rows(before, self._before.run_id))
        theirs = _by_user(self._rows(after, self._after.run_id))
        one, other = next(mine, None), next(theirs, None)
        while one is not None or other is not None:
            place = min(each[0] for each in (one, other) if each is not None)
            befores: Sequence[_Tuple] = ()
            afters: Sequence[_Tuple] = ()
            if one is not None and one[0] == place:
                befores, one = one[1], next(mine, None)
            if other is not None and other[0] == place:
                afters, other = other[1], next(theirs, None)
            yield place, befores, afters

    def _rows(self, query: str, run_id: str) -> Iterator[_Tuple]:
        return cursor.tuples(self._connection, query, (run_id,))


_TOLD = ("id", "rule_id", "title", "severity", "account_id", "user_name", "access_key_id",
         "message")  # fmt: skip
_WAS = ("status", "severity", "title", "message")
_SEVERITIES, _STATUSES = frozenset(Severity), frozenset(FindingStatus)
_NOTHING = Said("", "", 0, "", "", "", "", "", None, "", None, None, None, None)
_user_of: Callable[[_Tuple], Any] = itemgetter(0, 1)


def _run(connection: sqlite3.Connection, table: str, run_id: str) -> sqlite3.Row:
    query = f"SELECT * FROM {table} WHERE id = ?"  # noqa: S608 -- names of ours
    [row] = cursor.rows(connection, query, (run_id,))
    certain(row["started_at"])
    certain(row["now"])
    parse_instant(row["finished_at"])
    return row


def _said(row: _Tuple) -> Said:
    said = Said._make(row)
    one_of(said.severity, _SEVERITIES)
    one_of(said.status, _STATUSES)
    return said


def _by_user(rows: Iterable[_Tuple]) -> Iterator[tuple[tuple[str, str], Sequence[_Tuple]]]:
    return ((place, list(mine)) for place, mine in groupby(rows, key=_user_of))


def _place(said: Said) -> tuple[str, int, str]:
    return said.access_key_id or "", said.position, said.rule_id


def _seen(said: Said, by: Looked, other: Looked) -> bool:
    """Whether the key that one run says something about is in the other one, too."""
    key = by.key_at(said.account_id, said.user_name, said.position)
    return key is not None and other.has_key(said.account_id, said.user_name, key)


def _by_key(rows: Sequence[_Tuple]) -> Mapping[tuple[str | None, int | None], _Tuple]:
    return {(row[2], row[3]): row for row in rows}


def _key_differs(before: _Tuple, after: _Tuple) -> bool:
    """Whether the status is another, or a key that was never used has been."""
    return bool(before[4] != after[4]) or (before[5:] == ("never",) and after[5:] == ("used",))


def _key(change: KeyChange, before: _Tuple | None, after: _Tuple | None) -> Row:
    account_id, user_name, key_id, slot, *_ = after or before or ()
    states = [
        None if row is None else {"status": row[4], "last_used": row[5]} for row in (before, after)
    ]
    return {
        "change": str(change),
        "account_id": account_id,
        "user_name": user_name,
        "access_key_id": key_id,
        "slot": slot,
        "before": states[0],
        "after": states[1],
    }


def _outcome(account: LookedAt | None) -> str | None:
    return None if account is None else account.outcome


def _reach(outcome: str | None) -> int:
    return len(_REACH) if outcome is None else _REACH.index(OutcomeKind(outcome))
