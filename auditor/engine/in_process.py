"""Reading accounts in this process."""

import logging
from collections.abc import Callable

import anyio

from auditor import fanout
from auditor.engine.inventory import AccountReading, error_of, unreachable
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, FailureKind, SignedOutError
from auditor.model.account import Account
from auditor.ports import Clock, Keep, Sessions

_log = logging.getLogger(__name__)

_AT_LEAST = 4
"""Accounts, where there are calls for them: one that hangs must not hold up all."""
_CALLS_WHEN_CALM, _CALLS_WHEN_THROTTLED = 10, 2
"""Calls in flight for each account that is read: what is read of an account is in memory."""
_LOOK = 0.1
"""Seconds between looks at whether AWS has told us to slow down, and at what is idle."""
_EARLY = 2
"""Accounts that are begun before another has ended: while places are idle, or soon will be."""


def accounts_at_once(concurrency: int) -> int:
    """Return how many accounts at most are read at the same time with so many calls in flight."""
    return _accounts(concurrency, _CALLS_WHEN_THROTTLED)


def _accounts(concurrency: int, calls: int) -> int:
    return max(min(concurrency, _AT_LEAST), concurrency // calls)


class InProcess:
    """Reads accounts with at most `concurrency` calls in flight over all (port Auditing).

    A few accounts keep that many calls in flight, until AWS tells us to slow down: then each is
    held to its own rate, and more are read beside it.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        concurrency: int,
        tally: Tally,
        clock: Clock,
        prepared: int = 0,
        from_report: bool = False,
    ) -> None:
        """Make `prepared` calls more where the sessions let no more than `concurrency` go."""
        self._sessions = sessions
        self._concurrency = concurrency
        self.at_once = accounts_at_once(concurrency)
        self._when_calm = _accounts(concurrency, _CALLS_WHEN_CALM)
        self._bound = fanout.Bound(concurrency + prepared, expected=self._when_calm)
        self._ended = anyio.Event()
        self._open = self._queued = 0
        self._with_users_left = 0
        """Of the open accounts, those that have not made room for others yet."""
        self._slowed = False
        self._waiting = 0
        self._tally = tally
        self._clock = clock
        self._from_report = from_report

    async def audit(self, account: Account, keep: Keep, *, waiting: int) -> None:
        """Read one account and hand over what could be read of it, whatever ends the reading.

        Raises SignedOutError where that is the end of the caller's own credentials.
        """
        self._waiting = waiting
        await self._turn()
        self._open += 1
        self._with_users_left += 1
        self._share_out()
        makes_room = self._making_room()
        counts = self._tally.begin(self._clock.monotonic())
        reading: AccountReading | None = None
        refused: AwsFailure | None = None
        signed_out: AwsFailure | None = None
        try:
            async with self._bound.share() as share, self._sessions.open(account) as opened:
                _log.info("%s: reading, via %s", account.id, opened.role_arn or opened.via)

                def all_begun() -> None:
                    share.end()
                    makes_room()

                reading = AccountReading(
                    account,
                    opened,
                    share=share,
                    workers=self._concurrency,
                    tally=counts,
                    clock=self._clock,
                    from_report=self._from_report,
                    all_begun=all_begun,
                )
                await reading.read()
            if reading.refused_credentials:
                reading.cut_off()  # until it is known whose credentials they are
                signed_out = await self._signed_out(account)
                if signed_out is None:
                    reading.ended()
        except AwsFailure as failure:
            if failure.kind is FailureKind.CREDENTIALS:
                signed_out = await self._signed_out(account)
            refused = failure
        finally:
            self._tally.end(counts)
            self._open -= 1
            makes_room()
            self._look_again()
            with fanout.shielded():
                if reading is not None:
                    await keep(reading.conclude())
                elif refused is not None and signed_out is None:
                    await keep(unreachable(account, error_of(refused)))
        if signed_out is not None:
            raise SignedOutError(f"{signed_out.code}: {signed_out.message}")

    async def _signed_out(self, account: Account) -> AwsFailure | None:
        """Return why the caller can't go on, where credentials were refused that are the caller's.

        A profile's are the account's own.
        """
        return None if account.profile is not None else await self._sessions.signed_out()

    def _making_room(self) -> Callable[[], None]:
        """Return what lets one more account be begun, once: its last users are read meanwhile."""
        made = False

        def make_room() -> None:
            nonlocal made
            if not made:
                made = True
                self._with_users_left -= 1
                self._share_out()
                self._look_again()

        return make_room

    def _look_again(self) -> None:
        """Let those that wait for room look whether there is some."""
        self._ended.set()
        self._ended = anyio.Event()

    def _share_out(self) -> None:
        """Keep places for the accounts that will be open together, and for no more."""
        self._bound.expect(min(self._limit, self._with_users_left + self._queued + self._waiting))

    @property
    def _limit(self) -> int:
        """How many accounts may be open by now."""
        self._slowed |= self._tally.throttles > 0  # the tally may be taken and begun again
        return self.at_once if self._slowed else self._when_calm

    @property
    def _room(self) -> bool:
        """Whether one more account may be begun."""
        early = _EARLY if self._bound.idle else 0
        return self._open < self._limit + _EARLY and self._with_users_left < self._limit + early

    async def _turn(self) -> None:
        """Wait until one more account may be read."""
        self._queued += 1
        try:
            while not self._room:
                with anyio.move_on_after(_LOOK):
                    await self._ended.wait()
        finally:
            self._queued -= 1
