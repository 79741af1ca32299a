from functools import partial

import anyio

from auditor.engine.sizes import largest_first, users_in
from auditor.model.account import Account, AccountId
from tests.builders import an_account
from tests.fakes import FakeIam, FakeSessions

ONE, TWO, THREE = (AccountId(f"{each:012}") for each in (1, 2, 3))
ACCOUNTS = [an_account(each) for each in (ONE, TWO, THREE)]


def sessions() -> FakeSessions:
    return FakeSessions(
        {
            ONE: FakeIam({"amy": []}),
            TWO: FakeIam({f"user-{number}": [] for number in range(3)}),
            THREE: FakeIam({f"user-{number}": [] for number in range(2)}),
        }
    )


def ids(accounts: list[Account]) -> list[str]:
    return [account.id for account in accounts]


async def test_the_largest_account_is_begun_first() -> None:
    measure = partial(users_in, sessions())

    ordered = await largest_first(ACCOUNTS, {}, measure=measure, at_once=2)

    assert ids(ordered) == [TWO, THREE, ONE]


async def test_what_earlier_runs_know_is_not_asked_again() -> None:
    door = sessions()

    ordered = await largest_first(
        ACCOUNTS, {ONE: 9, TWO: 1}, measure=partial(users_in, door), at_once=2
    )

    assert ids(ordered) == [ONE, THREE, TWO]
    assert [bool(iam.calls) for iam in door.accounts.values()] == [False, False, True]


async def test_an_account_of_unknown_size_comes_before_all() -> None:
    door = sessions()
    del door.accounts[THREE]

    ordered = await largest_first(ACCOUNTS, {}, measure=partial(users_in, door), at_once=2)

    assert ids(ordered) == [THREE, TWO, ONE]


async def test_an_account_that_does_not_answer_holds_nobody_up() -> None:
    async def measure(account: Account) -> int:
        if account.id == TWO:
            await anyio.sleep_forever()
        return int(account.id)

    ordered = await largest_first(ACCOUNTS, {}, measure=measure, at_once=2, patience=0.05)

    assert ids(ordered) == [TWO, THREE, ONE]


async def test_accounts_that_are_all_read_at_once_are_not_asked() -> None:
    door = sessions()

    ordered = await largest_first(ACCOUNTS, {}, measure=partial(users_in, door), at_once=3)

    assert ids(ordered) == [ONE, TWO, THREE]
    assert not any(iam.calls for iam in door.accounts.values())
