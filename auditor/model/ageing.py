"""How old access keys are, and for how long they were not used: counts by fixed lengths of time."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

EDGES = (30, 45, 60, 90, 180, 365, 730)
"""Days. A key of exactly so many still belongs to the bin before: rules ask for more than that."""
_EDGES = [timedelta(days=edge) for edge in EDGES]


class Ages(NamedTuple):
    """What is counted of a key; None is unknown."""

    active: bool
    age: timedelta | None
    idle: timedelta | None
    """Since its last use; of a key that was never used it means nothing."""
    never_used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Keys of a kind."""

    active: int
    inactive: int

    @property
    def total(self) -> int:
        """Active or not."""
        return self.active + self.inactive


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Keys by a length of time."""

    bins: tuple[Count, ...]
    """One for each of EDGES, up to it, and one beyond the last."""
    never: Count
    """Never used; none of them by age."""
    unknown: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageing:
    """All keys of a run, each once in either spread."""

    age: Spread
    idle: Spread


def ageing(keys: Iterable[Ages]) -> Ageing:
    """Count the keys."""
    places = len(EDGES) + 3  # the bins, the one beyond, never, unknown
    never, unknown = places - 2, places - 1
    age, idle = ([[0, 0] for _ in range(places)] for _ in range(2))
    for key in keys:
        at = unknown if key.age is None else bisect_left(_EDGES, key.age)
        age[at][key.active] += 1
        if key.never_used:
            at = never
        else:
            at = unknown if key.idle is None else bisect_left(_EDGES, key.idle)
        idle[at][key.active] += 1
    return Ageing(age=_spread(age), idle=_spread(idle))


def _spread(counts: list[list[int]]) -> Spread:
    *bins, never, unknown = (Count(active=active, inactive=rest) for rest, active in counts)
    return Spread(bins=tuple(bins), never=never, unknown=unknown)
