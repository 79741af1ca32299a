"""How often one account may be asked: found out by asking, since IAM publishes no rates.

Additive increase, multiplicative decrease, for each group of operations: AWS keeps a token bucket
for each account and API. Nothing is held back until the first answer that says to slow down; what
got through until then tells little, so the rate grows fast until the second.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import anyio

from auditor.ports import Clock

_DECREASE = 0.85
_INCREASE = 1.0
"""Calls a second that a rate grows by in the first second without a throttled answer; in each
further one by so much more."""
_SLOWEST = 0.5
_SPAN = 1.0
"""Seconds over which the rate that got through is measured."""
_SETTLE = 0.5
"""Seconds after a decrease in which further throttled answers are those of the calls before it."""


class Limiter:
    """The rates of one account; calls of a group wait for their turn, other groups do not.

    It only ever delays: whoever makes the calls says when one that is throttled again and again
    fails, and that it fails as throttled, not as unavailable.
    """

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._groups: dict[str, _Group] = {}

    async def admit(self, group: str) -> None:
        """Wait until one more call of the group may be made."""
        state = self._group(group)
        if state.rate is None and state.blocked_until <= self._clock.monotonic():
            return
        async with state.turn:  # one waits for the time, the others for it: rates change meanwhile
            due = max(state.next_at, state.blocked_until)
            now = self._clock.monotonic()
            if due > now:
                await self._clock.sleep(due - now)
            if state.rate is not None:
                state.next_at = max(due, self._clock.monotonic()) + 1 / state.rate

    def succeeded(self, group: str) -> None:
        """Note an answer: the rate may grow."""
        state = self._group(group)
        now = self._clock.monotonic()
        state.note(now)
        if state.rate is not None:
            undisturbed = max(0.0, now - state.settled_at)
            slowly = _INCREASE * (1 + undisturbed) / state.rate
            state.rate += 1.0 if state.rate < state.known else slowly

    def throttled(self, group: str, *, retry_after: float | None = None) -> None:
        """Note an answer that said to slow down, and the seconds that it asked to wait, if any."""
        state = self._group(group)
        now = self._clock.monotonic()
        if retry_after is not None:
            state.blocked_until = max(state.blocked_until, now + retry_after)
        if now < state.settled_at:
            return
        through = state.through(now)
        current = through if state.rate is None else min(state.rate, max(through, state.rate / 2))
        state.known = _DECREASE * current if state.rate is not None else float("inf")
        state.rate = max(_SLOWEST, _DECREASE * current)
        pause = (1 + self._random.random()) / state.rate  # so that many accounts don't act as one
        state.next_at = max(state.next_at, now + pause)
        state.settled_at = now + _SETTLE

    def _group(self, name: str) -> "_Group":
        state = self._groups.get(name)
        if state is None:
            state = self._groups[name] = _Group()
        return state

    def rate(self, group: str) -> float | None:
        """Return the calls a second that the group is held to; None where it is not."""
        state = self._groups.get(group)
        return None if state is None else state.rate


@dataclass(slots=True)
class _Group:
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    rate: float | None = None
    known: float = float("inf")
    """Up to this rate it grows fast: that much got through before."""
    next_at: float = float("-inf")
    """When the next call may be made."""
    blocked_until: float = float("-inf")
    settled_at: float = float("-inf")
    recent: deque[float] = field(default_factory=deque)
    """When calls of the last second got through."""

    def note(self, now: float) -> None:
        self.recent.append(now)
        self._forget(now)

    def through(self, now: float) -> float:
        """Return the calls a second that got through lately."""
        self._forget(now)
        return len(self.recent) / _SPAN

    def _forget(self, now: float) -> None:
        while self.recent and self.recent[0] < now - _SPAN:
            self.recent.popleft()
