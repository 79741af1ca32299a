"""Reading accounts in this process."""

import logging

from auditor import fanout
from auditor.engine.inventory import AccountReading, error_of
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure
from auditor.model.account import Account, OutcomeKind
from auditor.model.inventory import AccountInventory
from auditor.ports import Clock, Keep, Sessions

_log = logging.getLogger(__name__)

_CALLS_PER_ACCOUNT = 4
"""Enough in flight to keep one account at its rate; the rest goes to other accounts."""


def accounts_at_once(concurrency: int) -> int:
    """Return how many accounts are best read at the same time with so many calls in flight."""
    return max(min(concurrency, _CALLS_PER_ACCOUNT), concurrency // _CALLS_PER_ACCOUNT)


class InProcess:
    """Reads accounts with at most `concurrency` calls in flight over all (port Auditing)."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        concurrency: int,
        tally: Tally,
        clock: Clock,
        from_report: bool = False,
    ) -> None:
        self._sessions = sessions
        self._concurrency = concurrency
        self.at_once = accounts_at_once(concurrency)
        self._bound = fanout.Bound(concurrency, expected=self.at_once)
        self._open = 0
        self._waiting = 0
        self._tally = tally
        self._clock = clock
        self._from_report = from_report

    async def audit(self, account: Account, keep: Keep, *, waiting: int) -> None:
        """Read one account and hand over what could be read of it, whatever ends the reading."""
        self._open += 1
        self._waiting = waiting
        self._share_out()
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
            self._open -= 1
            with fanout.shielded():
                if reading is not None:
                    await keep(reading.conclude())
                elif refused is not None:
                    await keep(
                        AccountInventory(
                            account=account,
                            outcome=OutcomeKind.UNREACHABLE,
                            errors=(error_of(refused),),
                        )
                    )
        self._share_out()

    def _share_out(self) -> None:
        """Keep places for the accounts that will be open together, and for no more."""
        self._bound.expect(min(self.at_once, self._open + self._waiting))
