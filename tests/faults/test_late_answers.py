"""An answer that is late and no fault: what it costs, and that it is never called done.

On a busy machine an answer of this very process comes late. With the short timeouts of a run in
which some answers hang, that looks like a fault; so a run in which none hangs is patient.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.model.outcome import Result
from auditor.remediation.planner import Planning
from auditor.remediation.rails import Limits
from auditor.wiring.remediation import Applied, ApplyOptions, apply, make_plan, undo
from tests.faults.cloud import Asked, Cloud
from tests.faults.desk import READ_TIMEOUT, Desk, QuickClock
from tests.faults.server import FaultServer

LATE = READ_TIMEOUT * 1.5


def one_late(server: FaultServer, operation: str) -> None:
    """Let the next answer to an operation come late."""
    left = [LATE]

    def before(asked: Asked) -> None:
        server.latency = left.pop() if asked.operation == operation and left else 0.0

    server.before = before


@asynccontextmanager
async def deactivated(folder: Path) -> AsyncIterator[tuple[Desk, FaultServer, str]]:
    """Give a desk at which one key was deactivated, and the key's id."""
    cloud = Cloud(11, accounts=1, users=0, now=datetime.now(UTC))
    account = cloud.accounts["100000000000"]
    user = cloud.add_user(account)
    user.quarantined, user.keys = False, []
    key = cloud.add_key(account, user)
    key.active, key.used, key.created = True, None, user.created
    async with FaultServer(cloud).serving() as server:
        desk = Desk(folder, server.url, accounts=("self",), patient=True)
        await desk.scan()
        clock, planning = QuickClock(), Planning(only=("key-never-used",))
        made = make_plan(desk.store, "latest", planning, connection=desk.connection, clock=clock)
        options = ApplyOptions(connection=desk.connection, limits=Limits())
        await apply(made, desk.store, options, clock=clock)
        assert cloud.states() == {key.id: False}
        yield desk, server, key.id


async def undone(desk: Desk) -> Applied:
    clock = QuickClock()
    options = ApplyOptions(connection=desk.connection, limits=Limits())
    [applied] = await undo(desk.store, "latest", options, keys=(), clock=clock)
    return applied


async def test_a_late_answer_that_is_given_up_keeps_a_key_from_being_restored_and_is_told(
    tmp_path: Path,
) -> None:
    async with deactivated(tmp_path) as (desk, server, key):
        one_late(server, "ListAttachedUserPolicies")
        desk.patient = False

        applied = await undone(desk)

        [outcome] = applied.outcomes.values()
        assert outcome.result is Result.REFUSED
        assert "could not be read again" in outcome.reason
        assert "ReadTimeoutError" in outcome.reason
        assert not applied.complete
        assert server.cloud.states() == {key: False}


@pytest.mark.parametrize("operation", ["ListAttachedUserPolicies", "UpdateAccessKey"])
async def test_who_is_patient_takes_a_late_answer_for_no_fault(
    operation: str, tmp_path: Path
) -> None:
    async with deactivated(tmp_path) as (desk, server, key):
        one_late(server, operation)

        applied = await undone(desk)

        assert applied.complete
        assert server.cloud.states() == {key: True}


async def test_the_quick_clock_is_quick_only_while_somebody_sleeps() -> None:
    began = time.monotonic()
    clock = QuickClock(idle_speed=1.0)

    assert clock.monotonic() <= time.monotonic() - began
    before = clock.monotonic()
    await clock.sleep(5.0)
    assert clock.monotonic() - before > 4.5
    assert time.monotonic() - began < clock.monotonic()
