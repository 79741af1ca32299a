"""A token bucket for each account, as AWS throttles IAM."""

import time
from collections.abc import Callable


class Buckets:
    """`burst` calls at once, then `rate` a second, in each account; without a rate no limit."""

    def __init__(
        self, *, rate: float | None, burst: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._levels: dict[int, tuple[float, float]] = {}

    def take(self, account: int) -> bool:
        """Whether one more call of the account is within its rate."""
        if self._rate is None:
            return True
        now = self._now()
        level, at = self._levels.get(account, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        if level < 1:
            self._levels[account] = level, now
            return False
        self._levels[account] = level - 1, now
        return True

    def refill(self) -> None:
        """Let every account begin anew."""
        self._levels.clear()
