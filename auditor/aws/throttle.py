"""Keeping to documented request rates, so as not to be throttled at all."""

from auditor.ports import Clock


class Pace:
    """A token bucket: `burst` calls at once, then `rate` a second."""

    def __init__(self, clock: Clock, *, rate: float, burst: int) -> None:
        self._clock = clock
        self._interval = 1 / rate
        self._slack = (burst - 1) / rate
        self._next = float("-inf")

    async def turn(self) -> None:
        """Wait until one more call is within the rate."""
        now = self._clock.monotonic()
        due = max(self._next, now - self._slack)
        self._next = due + self._interval
        if due > now:
            await self._clock.sleep(due - now)
