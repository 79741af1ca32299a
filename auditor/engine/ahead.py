"""Judging accounts while others are still read: the processor waits for the network anyway."""

from functools import partial

from anyio.lowlevel import checkpoint

from auditor.engine.account_judge import AccountJudge
from auditor.engine.judgement import RunJudge
from auditor.errors import AuditError
from auditor.fanout import Writer
from auditor.model.finding import JudgedKey
from auditor.model.inventory import AccountInventory
from auditor.ports import RunStore

_SLICE = 16
"""Keys judged between looks at what came from the network: a millisecond or two."""
_AT_ONCE = 6
"""Accounts held in memory to be judged; further ones are judged out of the store, at the end."""


class JudgesAhead:
    """Judges what was just read, as far as there is room; what is left out `judge` does later."""

    def __init__(self, judge: RunJudge, store: RunStore, run_id: str) -> None:
        self._judge = judge
        self._store = store
        self._run_id = run_id
        self._busy = 0

    async def take(self, inventory: AccountInventory, writer: Writer) -> None:
        """Judge an account that was saved; what goes wrong shows when it is judged again."""
        if self._busy >= _AT_ONCE:
            return
        self._busy += 1
        try:
            judge, keys = self._judge.of(inventory), list[JudgedKey]()
            for key in judge.judged(inventory.users):
                keys.append(key)
                if len(keys) % _SLICE == 0:
                    await checkpoint()
            await writer.run(partial(self._keep, judge, keys))
        except AuditError:
            pass
        finally:
            self._busy -= 1

    def _keep(self, judge: AccountJudge, keys: list[JudgedKey]) -> None:
        self._store.judge_ahead(self._run_id, keys)
        self._judge.add(judge)
