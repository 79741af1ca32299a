from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from auditor import fanout
from auditor.aws.credentials import RoleCredentials
from auditor.errors import AwsFailure
from tests.fakes import denied


class Roles:
    """AssumeRole with sessions of a given lifetime; each has a number for its key."""

    def __init__(self, *lifetimes: timedelta) -> None:
        self._lifetimes = list(lifetimes)
        self.calls = 0

    async def assume(self) -> Mapping[str, Any]:
        self.calls += 1
        await anyio.sleep(0.001)
        if not self._lifetimes:
            raise denied("sts:AssumeRole")
        return {
            "AccessKeyId": f"ASIA{self.calls}",
            "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "SessionToken": "token",
            "Expiration": datetime.now(UTC) + self._lifetimes.pop(0),
        }


@pytest.mark.parametrize("minutes", [5, 15, 60, 12 * 60])
async def test_a_fresh_session_of_any_lifetime_is_used_not_renewed(minutes: float) -> None:
    roles = Roles(timedelta(minutes=minutes))
    credentials = await RoleCredentials.assume(roles.assume)

    for _ in range(10):
        await credentials.get_frozen_credentials()

    assert roles.calls == 1


async def test_a_session_in_its_last_moments_is_renewed_once_for_all_who_wait() -> None:
    roles = Roles(timedelta(seconds=1), timedelta(hours=1))
    credentials = await RoleCredentials.assume(roles.assume)
    await anyio.sleep(0.95)
    seen: list[str] = []

    async def use() -> None:
        seen.append((await credentials.get_frozen_credentials()).access_key)

    await fanout.together(*[use] * 20)

    assert roles.calls == 2
    assert set(seen) == {"ASIA2"}


async def test_a_role_that_is_taken_away_mid_run_is_a_failure_not_a_crash() -> None:
    roles = Roles(timedelta(seconds=1))
    credentials = await RoleCredentials.assume(roles.assume)
    await anyio.sleep(0.95)

    with pytest.raises(AwsFailure, match="sts:AssumeRole"):
        await credentials.get_frozen_credentials()
