"""Key age and idle time as rows of bars, with the thresholds of the rules between them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.formats.stream import Row
from auditor.model.ageing import EDGES, Ageing, Count, Spread

_COMPARED = re.compile(r"key\.(age|idle)\s*>=?\s*(?:params\.(\w+)|days\(\s*(\d+)\s*\))")
_DURATION = re.compile(r"(\d+)([wdh])")
_HOURS = {"w": 7 * 24, "d": 24, "h": 1}
_YEAR = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Where rules begin to break."""

    days: float
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row: how many keys, and the thresholds that lie in it, the last at its end perhaps."""

    label: str
    count: Count
    kind: str = "time"
    """`time`, `never` or `unknown`."""
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One spread of keys, and in a sentence what it shows."""

    id: str
    title: str
    sentence: str
    bars: tuple[Bar, ...]

    @property
    def longest(self) -> int:
        """The most keys in a row; at least 1, as something is divided by it."""
        return max((1, *(bar.count.total for bar in self.bars)))


def charts(ageing: Ageing, rules: Sequence[Row], policies: Sequence[Row]) -> tuple[Chart, ...]:
    """Return the charts of a run: by age, and by time since the last use."""
    params = [policy["params"] for policy in policies]
    ages, idle = (thresholds(rules, params, fact) for fact in ("age", "idle"))
    return (
        Chart(
            id="age",
            title="Age of keys",
            sentence=_sentence(ageing.age, "made more than a year ago"),
            bars=tuple(_bars(ageing.age, ages)),
        ),
        Chart(
            id="idle",
            title="Time since last use",
            sentence=_sentence(ageing.idle, "last used more than a year ago"),
            bars=tuple(_bars(ageing.idle, idle, never="Never used")),
        ),
    )


def thresholds(
    rules: Iterable[Row], params: Iterable[Mapping[str, str]], fact: str
) -> list[Threshold]:
    """Return where rules compare `age` or `idle` with a time, in order.

    A rule that looks at idle time is told by that alone: its age is a guard. Times are those of the
    policies; what they say for single classes is not among them.
    """
    known = [dict(each) for each in params]
    at: dict[float, list[str]] = {}
    for rule in rules:
        compared = _COMPARED.findall(rule["when"])
        wanted = "idle" if any(name == "idle" for name, *_ in compared) else "age"
        for name, param, number in compared:
            if name != fact or wanted != fact:
                continue
            written = [f"{number}d"] if number else [each[param] for each in known if param in each]
            for days in filter(None, map(_days, written)):
                mine = at.setdefault(days, [])
                if rule["id"] not in mine:
                    mine.append(rule["id"])
    return [Threshold(days=days, rules=tuple(names)) for days, names in sorted(at.items())]


def _days(written: str) -> float | None:
    found = _DURATION.fullmatch(written)
    return int(found[1]) * _HOURS[found[2]] / 24 if found else None


def _bars(spread: Spread, lines: Sequence[Threshold], never: str = "") -> Iterator[Bar]:
    below = 0
    for edge, count in zip((*EDGES, None), spread.bins, strict=True):
        label = f"{below + 1} to {edge} days" if below else f"up to {edge} days"
        mine = tuple(
            line for line in lines if below < line.days and (edge is None or line.days <= edge)
        )
        yield Bar(
            label=f"over {below} days" if edge is None else label,
            count=count,
            thresholds=mine,
        )
        below = edge or below
    if never:
        yield Bar(label=never, count=spread.never, kind="never")
    yield Bar(label="Unknown", count=spread.unknown, kind="unknown")


def _sentence(spread: Spread, long_ago: str) -> str:
    """Say how many are old, and how many nothing is known of."""
    old = sum(count.total for count in spread.bins[EDGES.index(_YEAR) + 1 :])
    told = [f"{old:,} {long_ago}"]
    if spread.never.total:
        told.append(f"{spread.never.total:,} never used")
    if spread.unknown.total:
        told.append(f"{spread.unknown.total:,} unknown")
    return ", ".join(told)
