"""What happens to users and sessions in the middle of a scan costs no key silently."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.config import TransportName
from tests.faults.cloud import Asked, Cloud, CloudAccount, User
from tests.faults.desk import Desk
from tests.faults.kinds import Fault
from tests.faults.oracle import mistakes
from tests.faults.server import FaultServer, Rule, owner

_VICTIM = "100000000001"
_LISTS_KEYS = "ListAccessKeys"


@pytest.fixture(params=TransportName)
def transport(request: pytest.FixtureRequest) -> TransportName:
    chosen: TransportName = request.param
    return chosen


def a_cloud() -> Cloud:
    return Cloud(3, accounts=2, users=6, least=6, now=datetime.now(UTC))


def remove(cloud: Cloud, account: CloudAccount, user: User) -> None:
    cloud.remove_user(account, user)


Change = Callable[[Cloud, CloudAccount, User], None]


@dataclass
class Once:
    """Changes the user that is asked about, before the first question of an operation."""

    cloud: Cloud
    change: Change
    user: User | None = None

    def __call__(self, asked: Asked) -> None:
        if asked.operation != _LISTS_KEYS or asked.account != _VICTIM or self.user is not None:
            return
        account = self.cloud.accounts[_VICTIM]
        found = account.users[asked.form["UserName"]]
        if found.keys:
            self.user = found
            self.change(self.cloud, account, found)


async def report_after(change: Change, folder: Path, transport: TransportName) -> tuple[Once, str]:
    """Scan while a user of one account changes; return which, and how its account ended."""
    cloud = a_cloud()
    once = Once(cloud, change)
    server = FaultServer(cloud, before=once)
    async with server.serving():
        ran = await Desk(folder, server.url, transport=transport, patient=True).scan()

    assert once.user is not None
    assert ran.report is not None, ran.error
    assert not list(mistakes(cloud, ran.report, ran.code))
    ends = {each["id"]: each["outcome"] for each in ran.report["accounts"]}
    assert {name for id_, name in ends.items() if id_ != _VICTIM} == {"audited"}
    return once, ends[_VICTIM]


async def test_a_user_that_is_renamed_keeps_its_keys_or_its_account_is_not_whole(
    tmp_path: Path, transport: TransportName
) -> None:
    await report_after(Cloud.rename, tmp_path, transport)  # the oracle says whether keys are lost


async def test_a_user_that_is_made_again_has_the_keys_of_one_of_both(
    tmp_path: Path, transport: TransportName
) -> None:
    await report_after(Cloud.make_again, tmp_path, transport)


async def test_a_user_that_is_deleted_is_no_loss(tmp_path: Path, transport: TransportName) -> None:
    _, outcome = await report_after(remove, tmp_path, transport)

    assert outcome == "audited"


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.DENIED_ANEW, Fault.REGION_DISABLED])
async def test_a_role_that_can_not_be_assumed_again_costs_the_rest_of_its_account(
    fault: Fault, tmp_path: Path, transport: TransportName
) -> None:
    cloud = a_cloud()
    rule = Rule(fault=fault, operations=frozenset({"AssumeRole"}), account=_VICTIM, first=1)
    cloud.session_calls = 5
    server = FaultServer(cloud, rules=[rule])
    async with server.serving():
        desk = Desk(tmp_path, server.url, transport=transport, patient=True)
        ran = await desk.scan(accounts=(_VICTIM,), concurrency=1)

    assert ran.report is not None, ran.error
    assert server.struck[fault]
    assert not [each for each in mistakes(cloud, ran.report, ran.code) if _VICTIM in each[1]]
    assert ran.report["accounts"][0]["outcome"] == "partial"
    assert ran.code == 3


@pytest.mark.parametrize("fault", [Fault.PACKED, Fault.PACKED_LONG])
async def test_a_scan_without_room_for_its_session_policy_is_whole_and_says_by_what(
    fault: Fault, tmp_path: Path, transport: TransportName
) -> None:
    cloud = a_cloud()
    server = FaultServer(cloud, rules=[Rule(fault=fault, operations=frozenset({"AssumeRole"}))])
    async with server.serving():
        ran = await Desk(tmp_path, server.url, transport=transport, patient=True).scan()

    assert ran.report is not None, ran.error
    assert not list(mistakes(cloud, ran.report, ran.code))
    assert ran.report["coverage"]["complete"]
    via = {each["id"]: each["via"] for each in ran.report["accounts"]}[_VICTIM]
    assert via == ("role-no-policy" if fault is Fault.PACKED else "role-short-policy")
    sent = [each for each in cloud.calls if owner(each) == _VICTIM]
    assert all(each.operation.startswith(("Get", "List", "Generate", "Assume")) for each in sent)
