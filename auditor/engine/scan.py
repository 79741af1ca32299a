"""The scan of many accounts: each read, and committed to the store when done."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from auditor import fanout
from auditor.engine.ahead import JudgesAhead
from auditor.engine.sizes import Measure, largest_first
from auditor.engine.tally import Tally
from auditor.errors import SignedOutError
from auditor.model.account import Account, AccountId
from auditor.model.inventory import AccountInventory
from auditor.ports import Auditing, RunStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the reading of a run's accounts ended."""

    interrupted: bool
    signed_out: str | None = None
    """Why the caller's own credentials were not accepted any more."""

    @property
    def early(self) -> bool:
        """Whether it is to be gone on with."""
        return self.interrupted or self.signed_out is not None


class Scan:
    """One scan over all accounts of a run."""

    def __init__(
        self,
        auditing: Auditing,
        *,
        store: RunStore,
        run_id: str,
        tally: Tally,
        sizes: Mapping[AccountId, int] = MappingProxyType({}),
        measure: Measure | None = None,
        ahead: JudgesAhead | None = None,
    ) -> None:
        """Begin the largest accounts first: `sizes` are those known, `measure` asks for others.

        With `ahead` accounts are judged as soon as they are saved.
        """
        self._auditing = auditing
        self._store = store
        self._run_id = run_id
        self._sizes = sizes
        self._measure = measure
        self._ahead = ahead
        self._waiting = 0
        self._writer = fanout.Writer()
        self._tally = tally

    async def read(self, accounts: Sequence[Account]) -> Ended:
        """Read the accounts that are not to be skipped; return how it ended.

        Every account is committed to the store as soon as it
        is done, on interruption with what was read of it until then.
        """
        wanted = [account for account in accounts if account.skip is None]
        self._tally.accounts = self._waiting = len(wanted)

        async def all_of_them() -> None:
            at_once = self._auditing.at_once
            ordered = await largest_first(
                wanted, self._sizes, measure=self._measure, at_once=at_once
            )
            await fanout.each(ordered, self._audit, limit=min(at_once, len(wanted)))

        try:
            return Ended(interrupted=await fanout.until_interrupted(all_of_them))
        except SignedOutError as error:
            return Ended(interrupted=False, signed_out=str(error))

    async def _audit(self, account: Account) -> None:
        self._waiting -= 1
        self._tally.accounts_reading += 1
        saved: list[AccountInventory] = []

        async def keep(inventory: AccountInventory) -> None:
            await self._save(inventory)
            saved.append(inventory)

        await self._auditing.audit(account, keep, waiting=self._waiting)
        self._tally.accounts_reading -= 1
        self._tally.accounts_done += 1
        if self._ahead is not None:
            for inventory in saved:
                await self._ahead.take(inventory, self._writer)

    async def _save(self, inventory: AccountInventory) -> None:
        _log.info("%s: %s, %d users", inventory.account.id, inventory.outcome, len(inventory.users))
        await self._writer.run(partial(self._store.save, self._run_id, inventory))
