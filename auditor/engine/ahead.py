"""Judging accounts while others are still read: the processor waits for the network anyway."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import anyio

from auditor.engine.account_judge import AccountJudge
from auditor.engine.judgement import RunJudge
from auditor.errors import AuditError
from auditor.fanout import Writer
from auditor.model.finding import JudgedKey
from auditor.model.inventory import AccountInventory
from auditor.ports import Clock, RunStore

_SLICE = 4
"""Keys judged at least between looks at what came from the network, for each account that is in
memory to be judged: half a millisecond for one. Were it longer, answers would come in bursts, and
the network be idle between."""
_AT_ONCE = 8
"""Accounts held in memory to be judged; further ones are judged out of the store, at the end."""


class JudgesAhead:
    """Judges what was just read, as far as there is room; what is left out `judge` does later."""

    def __init__(self, judge: RunJudge, store: RunStore, run_id: str, clock: Clock) -> None:
        self._judge = judge
        self._store = store
        self._run_id = run_id
        self._clock = clock
        self._busy = 0
        self._ended_at = 0.0
        """When the last slice was done."""
        self._turn = anyio.Lock()

    async def take(self, inventory: AccountInventory, writer: Writer) -> None:
        """Judge an account that was saved; what goes wrong shows when it is judged again."""
        if self._busy >= _AT_ONCE:
            return
        self._busy += 1
        try:
            judge, keys = self._judge.of(inventory), list[JudgedKey]()
            judged = judge.judged(inventory.users)
            while some := await self._slice(judged):
                keys += some
            await writer.run(partial(self._keep, judge, keys))
        except AuditError:
            pass
        finally:
            self._busy -= 1

    async def _slice(self, judged: Iterator[JudgedKey]) -> list[JudgedKey]:
        """Return the next few keys, none at the end; taking the turn lets the network go first.

        As long as what came from there took, the keys may take as well: the processor is what all
        wait for, and it is quicker at more of the same.
        """
        asked_at = self._clock.monotonic()
        async with self._turn:
            begun_at = self._clock.monotonic()
            took = begun_at - max(asked_at, self._ended_at)
            keys = list(islice(judged, _SLICE * self._busy))
            while self._clock.monotonic() - begun_at < took and (
                some := list(islice(judged, _SLICE))
            ):
                keys += some
            self._ended_at = self._clock.monotonic()
        return keys

    def _keep(self, judge: AccountJudge, keys: list[JudgedKey]) -> None:
        self._store.judge_ahead(self._run_id, keys)
        self._judge.add(judge)
