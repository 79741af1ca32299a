"""The order in which accounts are begun: the largest first, lest everybody wait for it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import anyio

from auditor import fanout
from auditor.errors import AwsFailure
from auditor.model.account import Account, AccountId
from auditor.ports import Sessions

Measure: TypeAlias = Callable[[Account], Awaitable[int]]
"""Asks how many users an account has; raises AwsFailure."""

_LONGEST = 5.0
"""Seconds that the asking may take: what has not answered then is begun first."""


async def users_in(sessions: Sessions, account: Account) -> int:
    """Return how many users an account has (GetAccountSummary); raise AwsFailure."""
    async with sessions.open(account) as opened:
        return await opened.reader.user_count()


async def largest_first(
    accounts: Sequence[Account],
    known: Mapping[AccountId, int],
    *,
    measure: Measure | None,
    at_once: int,
    patience: float = _LONGEST,
) -> list[Account]:
    """Return the accounts in falling number of users, those of unknown size before all.

    `known` are the sizes of earlier runs; the others are measured, where that can be done.
    Accounts that can all be read at once keep their order, and are not measured.
    """
    if len(accounts) <= at_once:
        return list(accounts)
    sizes = dict(known)

    async def ask(account: Account) -> None:
        if measure is not None:
            with suppress(AwsFailure):
                sizes[account.id] = await measure(account)

    unknown = [account for account in accounts if account.id not in sizes]
    with anyio.move_on_after(patience):
        await fanout.each(unknown, ask, limit=at_once)
    return sorted(accounts, key=lambda account: -sizes.get(account.id, float("inf")))
