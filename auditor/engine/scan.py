"""The scan of many accounts: each read, and committed to the store when done."""

import logging
from collections.abc import Sequence
from functools import partial

from auditor import fanout
from auditor.engine.inventory import AccountReading, error_of
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure
from auditor.model.account import Account, OutcomeKind
from auditor.model.inventory import AccountInventory
from auditor.ports import Clock, RunStore, Sessions

_log = logging.getLogger(__name__)

_CALLS_PER_ACCOUNT = 4
"""Enough in flight to keep one account at its rate; the rest goes to other accounts."""


class Scan:
    """One scan over all accounts of a run."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        store: RunStore,
        run_id: str,
        concurrency: int,
        tally: Tally,
        clock: Clock,
        from_report: bool = False,
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._run_id = run_id
        self._concurrency = concurrency
        self._at_once = max(min(concurrency, _CALLS_PER_ACCOUNT), concurrency // _CALLS_PER_ACCOUNT)
        self._bound = fanout.Bound(concurrency, expected=self._at_once)
        self._left = 0
        self._writer = fanout.Writer()
        self._tally = tally
        self._clock = clock
        self._from_report = from_report

    async def read(self, accounts: Sequence[Account]) -> bool:
        """Read the accounts that are not to be skipped; return whether it was interrupted.

        Every account is committed to the store as soon as it is done, on interruption with what
        was read of it until then.
        """
        wanted = [account for account in accounts if account.skip is None]
        self._tally.accounts = self._left = len(wanted)
        self._bound.expect(min(self._at_once, self._left))

        async def all_of_them() -> None:
            await fanout.each(wanted, self._audit, limit=min(self._at_once, len(wanted)))

        return await fanout.until_interrupted(all_of_them)

    async def _audit(self, account: Account) -> None:
        """Read one account and save what could be read of it, whatever ends the reading."""
        self._tally.accounts_reading += 1
        reading: AccountReading | None = None
        refused: AwsFailure | None = None
        try:
            async with self._bound.share() as share, self._sessions.open(account) as opened:
                _log.info("%s: reading, via %s", account.id, opened.role_arn or opened.via)
                reading = AccountReading(
                    account,
                    opened,
                    share=share,
                    workers=self._concurrency,
                    tally=self._tally,
                    clock=self._clock,
                    from_report=self._from_report,
                )
                await reading.read()
        except AwsFailure as failure:
            refused = failure
        finally:
            with fanout.shielded():
                if reading is not None:
                    await self._save(reading.conclude())
                elif refused is not None:
                    await self._save(_unreachable(account, refused))
        self._tally.accounts_reading -= 1
        self._tally.accounts_done += 1
        self._left -= 1
        self._bound.expect(min(self._at_once, self._left))

    async def _save(self, inventory: AccountInventory) -> None:
        _log.info("%s: %s, %d users", inventory.account.id, inventory.outcome, len(inventory.users))
        await self._writer.run(partial(self._store.save, self._run_id, inventory))


def _unreachable(account: Account, refused: AwsFailure) -> AccountInventory:
    return AccountInventory(
        account=account, outcome=OutcomeKind.UNREACHABLE, errors=(error_of(refused),)
    )
