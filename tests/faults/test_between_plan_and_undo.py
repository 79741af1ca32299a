"""What happens between a plan, its apply and its undo holds keys back; no error shows a secret."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.aws.permissions import SECRET_PREFIX
from auditor.config import TransportName
from auditor.model.outcome import Outcome, Result
from auditor.model.plan import ActionKind, Plan, Protection
from auditor.remediation.planner import Planning
from auditor.remediation.rails import Limits
from auditor.wiring.remediation import ApplyOptions, apply, make_plan, undo
from auditor.wiring.sinks import SinkChoice
from tests.faults.cloud import (
    MANAGEMENT,
    PROTECTED_PATH,
    PROTECTED_TAG,
    Asked,
    Cloud,
    CloudAccount,
    Key,
    User,
)
from tests.faults.desk import Desk
from tests.faults.kinds import Fault
from tests.faults.server import FaultServer, Rule
from tests.faults.spills import Ear, secrets_in

_UNTOUCHED = {Result.REFUSED, Result.DRIFTED, Result.SKIPPED}


@dataclass(frozen=True)
class Estate:
    """One account with one user, whose one key is old and was never used, and a desk."""

    cloud: Cloud
    account: CloudAccount
    user: User
    key: Key
    server: FaultServer
    desk: Desk

    async def plan(self, *, rotate: bool = False, tag: str = PROTECTED_TAG) -> Plan:
        await self.desk.scan()
        planning = Planning(
            only=("key-too-old" if rotate else "key-never-used",),
            allow_rotate=rotate,
            protection=Protection(patterns=(f"*{PROTECTED_PATH}*",), tag=tag),
        )
        return make_plan(
            self.desk.store,
            "latest",
            planning,
            connection=self.desk.connection,
            clock=self.desk.clock(),
        )

    @property
    def options(self) -> ApplyOptions:
        return ApplyOptions(
            connection=self.desk.connection,
            limits=Limits(allow_rotate=True),
            sink=SinkChoice(folder=None),
        )

    async def apply(self, made: Plan, *, resume: bool = False) -> Outcome:
        options = replace(self.options, resume=resume)
        done = await apply(made, self.desk.store, options, clock=self.desk.clock())
        [outcome] = done.outcomes.values()
        return outcome

    def asked(self, operation: str) -> int:
        return sum(each.operation == operation for each in self.cloud.calls)


@pytest.fixture
async def estate(tmp_path: Path) -> AsyncIterator[Estate]:
    cloud = Cloud(11, accounts=1, users=0, now=datetime.now(UTC))
    account = cloud.accounts[MANAGEMENT]
    user = cloud.add_user(account)
    user.quarantined, user.admin, user.tags, user.keys = False, False, {}, []
    key = cloud.add_key(account, user)
    key.active, key.used, key.created = True, None, user.created
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(FaultServer(cloud).serving())
        desk = Desk(tmp_path / "desk", server.url, accounts=("self",), patient=True)
        yield Estate(cloud, account, user, key, server, desk)


@pytest.mark.parametrize("written", [PROTECTED_TAG, "Break-Glass", "BREAK-GLASS"])
@pytest.mark.parametrize("asked", [PROTECTED_TAG, "Break-GLASS", "break-glass=YES"])
async def test_a_tag_protects_in_whatever_case_it_is_written(
    written: str, asked: str, estate: Estate
) -> None:
    estate.user.tags = {written: "yes"}

    made = await estate.plan(tag=asked)

    assert not made.actions
    assert {each.access_key_id for each in made.held} == {estate.key.id}


def move(estate: Estate) -> None:
    estate.cloud.move(estate.account, estate.user)


def tag(estate: Estate) -> None:
    estate.user.tags = {"Break-Glass": "yes"}


def make_again(estate: Estate) -> None:
    estate.cloud.make_again(estate.account, estate.user)


def rename(estate: Estate) -> None:
    estate.cloud.rename(estate.account, estate.user)


@pytest.mark.parametrize("change", [move, tag, make_again, rename])
async def test_what_becomes_of_a_user_after_the_plan_holds_its_key_back(
    change: Callable[[Estate], None], estate: Estate
) -> None:
    made = await estate.plan()
    change(estate)
    states = estate.cloud.states()

    outcome = await estate.apply(made)

    assert outcome.result in _UNTOUCHED
    assert estate.cloud.states() == states


async def test_a_key_that_somebody_used_and_ended_again_is_not_restored(estate: Estate) -> None:
    made = await estate.plan()
    assert (await estate.apply(made)).result is Result.APPLIED
    estate.cloud.use_and_end(estate.account, estate.key)

    [undone] = await undo(
        estate.desk.store, "latest", estate.options, keys=(), clock=estate.desk.clock()
    )

    assert not estate.key.active
    assert not undone.complete
    reasons = [each.reason for each in undone.outcomes.values()]
    reasons += [each.reason for each in undone.plan.held]
    assert any("--key" in reason for reason in reasons)


@pytest.mark.parametrize("shape", range(3))
async def test_a_vault_that_repeats_the_secret_in_its_error_does_not_get_it_kept(
    shape: int, estate: Estate
) -> None:
    made, ear = await estate.plan(rotate=True), Ear()
    assert made.actions[0].kind is ActionKind.ROTATE
    estate.server.struck[Fault.ECHOED] = shape
    estate.server.rules = [Rule(fault=Fault.ECHOED)]
    with ear.listening():
        outcome = await estate.apply(made)
    ear.heard.append(outcome.reason)

    assert outcome.result is Result.REFUSED
    assert estate.server.struck[Fault.ECHOED] > shape
    assert estate.cloud.states() == {estate.key.id: True}  # the new key went again
    assert not [*secrets_in(estate.desk.folder, estate.cloud.said, ear.heard)]


async def test_a_new_key_that_was_deleted_after_all_is_never_called_a_rotation(
    estate: Estate,
) -> None:
    made = await estate.plan(rotate=True)

    def lose_all(asked: Asked) -> None:  # it is deleted, and nothing can tell
        if asked.operation == "DeleteAccessKey":
            estate.server.rules = [Rule(fault=Fault.JSON)]

    estate.server.before = lose_all
    estate.server.rules = [Rule(fault=Fault.JSON, operations=frozenset({"GetSecretValue"}))]
    first = await estate.apply(made)
    estate.server.before, estate.server.rules = lambda _: None, []

    outcome = await estate.apply(made, resume=True)

    assert first.result is Result.UNCLEAR
    assert estate.cloud.states() == {estate.key.id: True}
    assert outcome.result is Result.REFUSED
    assert str(outcome.new_key_id) in outcome.reason


async def test_a_secret_that_others_made_is_left_alone_and_no_key_is_made(estate: Estate) -> None:
    made = await estate.plan(rotate=True)
    name = f"{SECRET_PREFIX}{estate.account.id}/{estate.user.name}"
    estate.cloud.vault.make_foreign(estate.account.id, name)

    outcome = await estate.apply(made)

    assert outcome.result is Result.REFUSED
    assert name in outcome.reason
    assert estate.asked("CreateAccessKey") == 0
    assert not estate.cloud.vault.spoilt


@pytest.mark.parametrize("fault", [Fault.PACKED, Fault.PACKED_LONG])
@pytest.mark.parametrize("transport", TransportName)
async def test_nothing_is_changed_without_a_session_policy(
    fault: Fault, transport: TransportName, tmp_path: Path
) -> None:
    cloud = Cloud(3, accounts=2, users=6, least=6, now=datetime.now(UTC))
    server = FaultServer(cloud)
    async with server.serving():
        desk = Desk(tmp_path, server.url, transport=transport, patient=True)
        desk.accounts = ("100000000001",)
        await desk.scan()
        made = make_plan(
            desk.store, "latest", Planning(), connection=desk.connection, clock=desk.clock()
        )
        server.rules = [Rule(fault=fault)]
        before = cloud.states()
        options = ApplyOptions(connection=desk.connection, limits=Limits())

        done = await apply(made, desk.store, options, clock=desk.clock())

    assert made.actions
    assert {each.result for each in done.outcomes.values()} <= {Result.REFUSED, Result.SKIPPED}
    assert cloud.states() == before
