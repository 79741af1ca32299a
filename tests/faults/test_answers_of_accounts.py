"""Many faults in one scan, each in an account of its own: what each costs, and nothing else."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from auditor.config import TransportName
from auditor.model.identity import ROOT_USER_NAME
from tests.faults.cloud import QUARANTINES, Cloud
from tests.faults.desk import Desk, Ran, caller_in
from tests.faults.kinds import REFUSALS, Fault
from tests.faults.oracle import UNKNOWN_STATUS, mistakes, mistakes_of_account
from tests.faults.server import FaultServer, Rule

ALWAYS = 10**9
AUDITED, PARTIAL, UNREACHABLE = "audited", "partial", "unreachable"
VALUES = 26  # of the first two rows of a report: the root user's and a user's


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault of one operation, and how its account must end."""

    fault: Fault
    operation: str
    outcome: str = AUDITED
    count: int = ALWAYS
    indeterminate: frozenset[str] = frozenset()
    """Rules that some key can't be judged by; the others are as if nothing were wrong."""
    quarantine: str = QUARANTINES[2]
    root_key: bool = False
    number: int = 0

    def __str__(self) -> str:
        often = "once" if self.count == 1 else "always"
        more = "root key" if self.root_key else self.quarantine.rpartition("/")[2]
        return f"{self.fault}, {often}, {self.operation}, {more} {self.number}"


ROOT = frozenset({"root-access-key"})
NO_REPORT = frozenset({"human-access-key"})  # what a password tells; the summary tells the rest
NO_DETAILS = frozenset({"admin-access-key"})
OF_LAST_USE = frozenset({"key-unused", "key-never-used", "inactive-key-lingering"})
GENERATE, GET = "GenerateCredentialReport", "GetCredentialReport"
REPORT_STATES = [
    (Fault.REPORT_NOT_READY, GET),
    (Fault.REPORT_EXPIRED, GET),
    (Fault.REPORT_MISSING, GET),
    (Fault.REPORT_LIMIT, GENERATE),
    (Fault.IN_PROGRESS, GENERATE),
]
STILL_READ = {Fault.REPORT_LIMIT}  # an older report is there, and good

CASES = [
    *(
        Case(fault=fault, operation=operation, outcome=PARTIAL)
        for fault, operation in [
            (Fault.ANOTHERS, "ListAccessKeys"),
            (Fault.DENIED_ANEW, "ListAccessKeys"),
        ]
    ),
    Case(
        fault=Fault.ANOTHERS,
        operation="GetAccessKeyLastUsed",
        outcome=PARTIAL,
        indeterminate=OF_LAST_USE,
    ),
    *(
        Case(fault=fault, operation=operation)
        for fault in (Fault.MARKER_ALONE, Fault.MARKER_AT_END)
        for operation in ("ListUsers", "GetAccountAuthorizationDetails")
    ),
    *(
        Case(fault=fault, operation=operation, count=1)
        for fault, operation in REPORT_STATES
    ),
    *(
        Case(
            fault=fault,
            operation=operation,
            root_key=root_key,
            indeterminate=frozenset()
            if fault in STILL_READ
            else NO_REPORT | (ROOT if root_key else frozenset()),
        )
        for fault, operation in REPORT_STATES
        for root_key in (True, False)
    ),
    *(
        Case(fault=fault, operation=GENERATE, root_key=root_key)
        for fault in (Fault.DENIED, Fault.DENIED_ANEW)
        for root_key in (True, False)
    ),
    *(
        Case(fault=Fault.STALE, operation=GET, root_key=root_key, indeterminate=ROOT)
        for root_key in (True, False)
    ),
    *(Case(fault=Fault.SPOILT_VALUE, operation=GET, number=number) for number in range(VALUES)),
    Case(fault=Fault.BOM, operation=GET, root_key=True),
    *(
        Case(fault=Fault.NO_ZONE, operation=operation)
        for operation in (GET, "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed")
    ),
    Case(fault=Fault.NEW_STATUS, operation="ListAccessKeys"),
    Case(fault=Fault.BARE_USE, operation="GetAccessKeyLastUsed"),
    *(
        Case(fault=Fault.DENIED, operation="GetAccountSummary", root_key=root_key)
        for root_key in (True, False)
    ),
    *(
        Case(
            fault=Fault.DENIED,
            operation="GetAccountAuthorizationDetails",
            indeterminate=NO_DETAILS,
            quarantine=quarantine,
        )
        for quarantine in QUARANTINES
    ),
    Case(fault=Fault.REGION_DISABLED, operation="AssumeRole", outcome=UNREACHABLE),
    Case(fault=Fault.DENIED_ANEW, operation="AssumeRole", outcome=UNREACHABLE),
]  # fmt: skip
LOOSE = {Fault.SPOILT_VALUE, Fault.NEW_STATUS}  # what is lost is seen by the oracle alone


def account_of(case: Case) -> str:
    return f"{100_000_000_001 + CASES.index(case):012}"


def a_cloud() -> Cloud:
    """An account for each case, whose users are many enough for several pages, and quarantined."""
    cloud = Cloud(8, accounts=len(CASES) + 1, users=5, least=5, now=datetime.now(UTC))
    for case in CASES:
        account = cloud.accounts[account_of(case)]
        account.quarantine, account.page = case.quarantine, 2
        account.set_root_key(present=case.root_key)
        account.root_ever = {case.root_key}
        first = account.users[min(account.users)]
        first.quarantined = True
        while len(first.keys) < 2:
            cloud.add_key(account, first)
        account.touched.clear()
        first.keys[0].active = True
        first.keys[0].note()
    return cloud


@dataclass(frozen=True)
class Scanned:
    cloud: Cloud
    server: FaultServer
    ran: Ran


@pytest.fixture(scope="module", params=TransportName)
def scanned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """One scan of all the accounts, by one transport."""
    cloud = a_cloud()
    rules = [
        Rule(
            fault=case.fault,
            operations=frozenset({case.operation}),
            account=account_of(case),
            count=case.count,
        )
        for case in CASES
    ]
    server = FaultServer(cloud, rules=rules)

    async def scan(folder: Path) -> Ran:
        async with server.serving():
            return await Desk(folder, server.url, transport=request.param, patient=True).scan()

    with caller_in():
        ran = anyio.run(partial(scan, tmp_path_factory.mktemp("accounts")))
    return Scanned(cloud, server, ran)


def report_of(scanned: Scanned) -> dict[str, Any]:
    assert scanned.ran.report is not None, scanned.ran.error
    return dict(scanned.ran.report)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_costs_what_it_must_in_its_account_and_nothing_else(
    case: Case, scanned: Scanned
) -> None:
    report, account = report_of(scanned), scanned.cloud.accounts[account_of(case)]
    listed = next(each for each in report["accounts"] if each["id"] == account.id)
    # Of a root key of unknown status nothing can be said; whether it is there is the root rule's.
    unjudged = {
        each["rule_id"]
        for each in report["findings"]
        if each["account_id"] == account.id and each["status"] == "indeterminate"
        if each["user_name"] != ROOT_USER_NAME or each["rule_id"] in ROOT
    }

    assert (account.id, case.operation) in scanned.server.struck_answers
    assert not list(mistakes_of_account(account, listed, report))
    assert case.fault in LOOSE or listed["outcome"] == case.outcome
    assert case.fault in LOOSE or unjudged <= case.indeterminate
    assert (ROOT & case.indeterminate) <= unjudged
    if case.fault in REFUSALS and case.outcome != AUDITED:
        assert REFUSALS[case.fault].code in {each["code"] for each in listed["errors"]}


def test_a_new_status_of_one_key_leaves_the_others_their_own(scanned: Scanned) -> None:
    [case] = [each for each in CASES if each.fault is Fault.NEW_STATUS]
    account = scanned.cloud.accounts[account_of(case)]
    pairs = [user for user in account.users.values() if len(user.keys) == 2]
    unknown = Counter(
        each["user_name"]
        for each in report_of(scanned)["keys"]
        if each["account_id"] == account.id and each["status"] == UNKNOWN_STATUS
    )

    assert pairs
    assert all(unknown[user.name] == 1 for user in pairs)


def test_all_of_them_together_make_no_mistake(scanned: Scanned) -> None:
    report = report_of(scanned)

    assert not list(mistakes(scanned.cloud, report, scanned.ran.code))
    assert report["accounts"][0]["outcome"] == AUDITED  # nothing struck it
    assert scanned.ran.code == 3
