"""What a soak comes to, in numbers."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.stops import Stops

_COUNTED = ("runs", "codes", "faults", "actions", "meanwhile", "wrong")


@dataclass
class Figures:
    """What a soak comes to."""

    runs: Counter[str] = field(default_factory=Counter)
    """By what was run: `scan`, `apply`, `resume`, `undo`."""
    codes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Requests that were struck, by fault."""
    actions: Counter[str] = field(default_factory=Counter)
    """Of plans, as they ended: `deactivate: applied`; `retire` is of a rotation's old key."""
    meanwhile: Counter[str] = field(default_factory=Counter)
    """What happened between a plan and its apply, or an apply and its undo."""
    changes: int = 0
    """Of the organization, while it was read or changed."""
    schedules: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that the longest run took."""
    interrupted: int = 0
    killed: int = 0
    longest_stop: float = 0.0
    """Seconds from Ctrl-C, SIGTERM or SIGHUP to the end of the process, at most."""
    told: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        for name in _COUNTED:
            getattr(self, name).update(getattr(other, name))
        self.schedules += other.schedules
        self.changes += other.changes
        self.longest = max(self.longest, other.longest)
        self.told += other.told

    def add_stops(self, stops: Stops) -> None:
        self.interrupted += stops.interrupted
        self.killed += stops.killed
        self.longest_stop = max(self.longest_stop, stops.longest)
        self.wrong["wrong"] += len(stops.wrong)
        self.told += stops.wrong

    def dump(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def load(cls, text: str) -> "Figures":
        kept: dict[str, Any] = json.loads(text)
        for name in _COUNTED:
            kept[name] = Counter(kept[name])
        return cls(**kept)
