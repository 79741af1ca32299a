"""How far a scan is: counters that the progress display reads while the scan writes them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Tally:
    """Counts of a running scan (port Progress)."""

    accounts: int = 0
    """Accounts to read."""
    accounts_reading: int = 0
    accounts_done: int = 0
    users: int = 0
    """Users seen so far."""
    users_done: int = 0
    keys: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    """By action, retries not counted."""
    throttles: int = 0
    began: float = 0.0
    """Seconds of a clock that never goes back, of the counts of one account."""
    reading: list["Tally"] = field(default_factory=list)
    """The accounts that are being read here: what is seen of each, not yet counted above."""
    sizes: list[int] = field(default_factory=list)
    """Users of each account that is done, in this order."""

    def begin(self, at: float) -> "Tally":
        """Return the counts of one account that is being read from now on."""
        counts = Tally(began=at)
        self.reading.append(counts)
        return counts

    def end(self, counts: "Tally") -> None:
        """Count an account that is not being read any more."""
        self.reading = [each for each in self.reading if each is not counts]
        self.add(counts)

    def called(self, operation: str) -> None:
        """Note a call, retries not counted."""
        self.calls[operation] += 1

    def throttled(self) -> None:
        """Note an answer that told us to slow down."""
        self.throttles += 1

    def take(self) -> Self:
        """Return what was counted since the last time, and begin again."""
        taken = type(self)(
            users=self.users,
            users_done=self.users_done,
            keys=self.keys,
            calls=self.calls,
            throttles=self.throttles,
        )
        self.users = self.users_done = self.keys = self.throttles = 0
        self.calls = Counter()
        return taken

    def add(self, other: "Tally") -> None:
        """Count what was counted of one account elsewhere; accounts are counted here alone."""
        self.sizes.append(other.users)
        self.users += other.users
        self.users_done += other.users_done
        self.keys += other.keys
        self.calls.update(other.calls)
        self.throttles += other.throttles
