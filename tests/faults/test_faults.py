"""Each fault by itself: what it must cost, and that it costs nothing else."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.config import TransportName
from tests.faults.cloud import Cloud
from tests.faults.desk import Desk
from tests.faults.kinds import HANGING, HARMLESS, Fault
from tests.faults.oracle import mistakes
from tests.faults.server import FaultServer, Rule
from tests.faults.test_answers_of_accounts import CASES

_VICTIM = "100000000001"
_LISTS_USERS = frozenset({"ListUsers"})
_WHERE = {Fault.OVERLAP: "ListAccessKeys"}
# Those of reports, members and sessions, each in the answers that they have a meaning for; those
# of a change, in what happens after a plan.
_TRIED_ELSEWHERE = {case.fault for case in CASES if case.fault is not Fault.DENIED} | {
    *(Fault.PACKED, Fault.PACKED_LONG, Fault.ECHOED)
}
_TRIED = sorted(set(Fault) - _TRIED_ELSEWHERE)


def a_cloud() -> Cloud:
    return Cloud(3, accounts=2, users=8, now=datetime.now(UTC))


async def outcome_of(rule: Rule, folder: Path, transport: TransportName) -> str:
    """Scan with one rule; return how its account ended, all else being right."""
    cloud = a_cloud()
    server = FaultServer(cloud, rules=[rule])
    async with server.serving():
        patient = rule.fault not in HANGING
        desk = Desk(folder, server.url, transport=transport, patient=patient)
        ran = await desk.scan()

    assert server.struck, "it struck nothing"
    assert ran.report is not None, ran.error
    assert not list(mistakes(cloud, ran.report, ran.code))
    outcomes = {each["id"]: each["outcome"] for each in ran.report["accounts"]}
    others = {name for id_, name in outcomes.items() if id_ != _VICTIM}
    assert others <= {"audited"}
    assert ran.code == (1 if ran.report["coverage"]["complete"] else 3)
    return str(outcomes[_VICTIM])


@pytest.mark.parametrize("fault", _TRIED)
async def test_a_fault_on_every_listing_of_users_costs_its_account_alone(
    fault: Fault, tmp_path: Path
) -> None:
    operation = _WHERE.get(fault, "ListUsers")
    rule = Rule(fault=fault, operations=frozenset({operation}), account=_VICTIM)
    transport = TransportName.SDK if _TRIED.index(fault) % 2 else TransportName.FAST

    outcome = await outcome_of(rule, tmp_path, transport)

    passes = fault in HARMLESS or fault is Fault.OVERLAP
    assert fault is Fault.TWICE or (outcome == "audited") == passes


@pytest.mark.parametrize("transport", TransportName)
@pytest.mark.parametrize("fault", [Fault.DRIPS_FOREVER, Fault.HANGS_MIDWAY])
async def test_an_answer_that_never_ends_is_given_up(
    fault: Fault, transport: TransportName, tmp_path: Path
) -> None:
    rule = Rule(fault=fault, operations=_LISTS_USERS, account=_VICTIM)
    began = time.monotonic()

    assert await outcome_of(rule, tmp_path, transport) in {"partial", "unreachable"}
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("transport", TransportName)
async def test_a_last_use_whose_answers_are_sent_twice_is_never_anothers(
    transport: TransportName, tmp_path: Path
) -> None:
    rule = Rule(fault=Fault.TWICE, account=_VICTIM)

    await outcome_of(rule, tmp_path, transport)
