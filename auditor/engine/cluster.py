"""Reading accounts on Dask workers: one account is one task, done again where a worker is lost."""

import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import anyio

from auditor import fanout
from auditor.engine.inventory import unreachable
from auditor.engine.tally import Tally
from auditor.errors import SignedOutError
from auditor.model.account import Account
from auditor.model.inventory import AccountInventory, ReadError
from auditor.ports import Keep

if TYPE_CHECKING:
    from distributed import Client, Future

_log = logging.getLogger(__name__)

# The value of PYTHONSAFEPATH by which a worker knows that the scan set it, and not the operator.
SAFE_PATH = "iamaudit"
_LOOK = 10.0
"""Seconds between looks at whether there is any worker left."""
_PATIENCE = 6
"""So many looks without one, and what waits is given up."""
_GONE = "the scheduler is gone"
_LAST_WORDS = 5.0
"""Seconds that a worker has to hand over what it read when the run is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a worker hands over for one account."""

    inventory: AccountInventory | None
    """None where the run was interrupted before it was begun."""
    signed_out: str | None
    """Why the worker's own credentials were not accepted any more."""
    counts: Tally
    """What the worker counted since it last handed something over."""


Task: TypeAlias = Callable[[str, Account, int], Awaitable[Read]]
"""Runs on a worker, with the run's id, the account, and how many are still to begin."""
Interrupt: TypeAlias = Callable[..., Awaitable[None]]
"""Runs on every worker, with the run's id: lets its tasks end with what they have."""


class Cluster:
    """Has accounts read by workers that know the run already (port Auditing)."""

    def __init__(
        self,
        client: "Client",
        *,
        run_id: str,
        task: Task,
        interrupt: Interrupt,
        at_once: int,
        tally: Tally,
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._task = task
        self._interrupt = interrupt
        self._interrupted = False
        self._signed_out: str | None = None
        self.at_once = at_once
        self._tally = tally

    async def audit(self, account: Account, keep: Keep, *, waiting: int) -> None:
        """Have one account read, elsewhere again where its worker is lost on the way."""
        if self._client.status != "running":
            await keep(_lost(account, _GONE))
            return
        future = self._client.submit(
            self._task, self._run_id, account, waiting, key=f"{self._run_id}-{account.id}"
        )
        try:
            inventory = await self._outcome(account, future)
        except anyio.get_cancelled_exc_class():
            with fanout.shielded():
                last = await self._last_words(future)
                if last is not None:
                    await keep(last)
            raise
        with fanout.shielded():
            if inventory is not None:
                await keep(inventory)
        if self._signed_out is not None:
            raise SignedOutError(self._signed_out)

    async def _outcome(
        self, account: Account, future: "Future[Awaitable[Read]]"
    ) -> AccountInventory | None:
        """Return what a worker read; where none can, the account as unreachable."""
        from distributed import KilledWorker  # noqa: PLC0415 -- an extra

        alone = 0
        try:
            while alone < _PATIENCE:
                with anyio.move_on_after(_LOOK):
                    return self._counted(await future)
                alone = 0 if await self._some_worker() else alone + 1
        except KilledWorker:
            return _lost(account, "each worker that read this account died")
        except CancelledError:
            return _lost(account, _GONE)
        return _lost(account, "there is no worker any more")

    async def _some_worker(self) -> bool:
        workers: dict[str, int] = {}
        with anyio.move_on_after(_LOOK):
            workers = await self._client.nthreads()
        return bool(workers)

    async def _last_words(self, future: "Future[Awaitable[Read]]") -> AccountInventory | None:
        """Return what was read of an account until the interruption."""
        with anyio.move_on_after(_LAST_WORDS):
            try:
                if not self._interrupted:
                    self._interrupted = True
                    await self._client.run(self._interrupt, self._run_id)
                return self._counted(await future)
            except Exception as error:  # noqa: BLE001 -- the run ends anyhow, with what it has
                _log.warning("what was being read is lost: %s", type(error).__name__)
        return None

    def _counted(self, read: Read) -> AccountInventory | None:
        self._tally.add(read.counts)
        self._signed_out = read.signed_out or self._signed_out
        return read.inventory


def _lost(account: Account, why: str) -> AccountInventory:
    return unreachable(account, ReadError(operation="scan", code="WorkerLost", message=why))
