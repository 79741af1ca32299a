"""Runs that outlive their credentials many times, and what ends them for good."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.aws.connection import Connection
from auditor.config import TransportName
from auditor.engine.in_process import InProcess
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, FailureKind, SignedOutError
from auditor.model.inventory import AccountInventory
from auditor.remediation.planner import Planning
from auditor.remediation.rails import Limits
from auditor.wiring.remediation import ApplyOptions, apply, make_plan
from tests.builders import a_key, an_account
from tests.fakes import FakeClock, FakeIam, FakeSessions, denied
from tests.faults.cloud import Cloud
from tests.faults.desk import Command, Desk, QuickClock
from tests.faults.kinds import Fault
from tests.faults.oracle import mistakes
from tests.faults.server import FaultServer, Rule


@pytest.mark.parametrize("transport", TransportName)
async def test_a_scan_outlives_its_sessions_many_times(
    transport: TransportName, tmp_path: Path
) -> None:
    cloud = Cloud(11, accounts=3, users=20, least=20, now=datetime.now(UTC))
    cloud.session_calls = 5
    async with FaultServer(cloud).serving() as server:
        ran = await Desk(tmp_path, server.url, transport=transport).scan(concurrency=3)

    assert ran.report is not None
    assert cloud.assumed > 20
    assert ran.report["coverage"]["accounts"]["audited"] == 3
    assert ran.code == 1
    assert not list(mistakes(cloud, ran.report, ran.code))


async def test_an_apply_outlives_its_sessions(tmp_path: Path) -> None:
    cloud = Cloud(11, accounts=2, users=20, least=20, now=datetime.now(UTC))
    async with FaultServer(cloud).serving() as server:
        desk, clock = Desk(tmp_path, server.url), QuickClock()
        await desk.scan()
        plan = make_plan(desk.store, "latest", Planning(), connection=desk.connection, clock=clock)
        cloud.session_calls, cloud.assumed = 4, 0
        options = ApplyOptions(connection=desk.connection, limits=Limits())
        applied = await apply(plan, desk.store, options, clock=clock)

    assert len(plan.actions) > 5
    assert applied.complete
    assert cloud.assumed > 5


async def test_a_renewal_that_fails_is_said_without_a_traceback(tmp_path: Path) -> None:
    cloud = Cloud(11, accounts=2, users=10, least=10, now=datetime.now(UTC))
    cloud.session_calls = 5
    refused = Rule(
        fault=Fault.DENIED,
        operations=frozenset({"AssumeRole"}),
        account="100000000001",
        first=1,
    )
    async with FaultServer(cloud, rules=[refused]).serving() as server:
        code, _, told = await Command(tmp_path, server.url).run("scan", "--accounts", "org")

    assert code == 3
    assert "Traceback" not in told


def expired(operation: str) -> AwsFailure:
    return AwsFailure(
        operation=operation,
        code="UnauthorizedSSOTokenError",
        message="The SSO session has expired",
        kind=FailureKind.CREDENTIALS,
    )


async def read(
    sessions: FakeSessions, fail: Callable[[str, str], None], **account: str
) -> tuple[AccountInventory | None, str | None]:
    """Read an account whose calls `fail`; return what was kept of it, and what ended the run."""
    kept: list[AccountInventory] = []

    async def keep(inventory: AccountInventory) -> None:
        kept.append(inventory)

    sessions.accounts["111111111111"] = FakeIam({f"u{n}": [a_key()] for n in range(9)}, fail=fail)
    auditing = InProcess(sessions, concurrency=1, tally=Tally(), clock=FakeClock())
    try:
        await auditing.audit(an_account(**account), keep, waiting=0)
    except SignedOutError as error:
        return (kept[0] if kept else None), str(error)
    return (kept[0] if kept else None), None


def from_the_third(operation: str, subject: str) -> None:
    if operation == "iam:ListAccessKeys" and subject > "u2":
        raise expired(operation)


async def test_what_was_read_when_the_callers_token_ends_is_kept_to_be_read_again() -> None:
    kept, ended = await read(FakeSessions({}, refused=expired("sts:X")), from_the_third)

    assert ended == "UnauthorizedSSOTokenError: The SSO session has expired"
    assert kept is not None
    assert "Interrupted" in {error.code for error in kept.errors}
    assert kept.outcome == "partial"


@pytest.mark.parametrize(
    ("refused", "account"),
    [(None, {}), (expired("sts:X"), {"profile": "theirs"})],
    ids=["the caller's are good", "they are a profile's"],
)
async def test_credentials_of_one_account_that_are_refused_cost_that_account_alone(
    refused: AwsFailure | None, account: dict[str, str]
) -> None:
    kept, ended = await read(FakeSessions({}, refused=refused), from_the_third, **account)

    assert ended is None
    assert kept is not None
    assert "Interrupted" not in {error.code for error in kept.errors}


async def test_a_denied_call_is_no_sign_out() -> None:
    def fail(operation: str, _: str) -> None:
        raise denied(operation)

    _, ended = await read(FakeSessions({}, refused=expired("sts:X")), fail)

    assert ended is None


async def test_role_chaining_through_a_profile_outlives_the_chained_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is a role itself, assumed by the SDK from the profile's own credentials."""
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = AKIACALLERCALLERCALL\naws_secret_access_key = x\n"
        "[profile chained]\nrole_arn = arn:aws:iam::100000000000:role/audit\n"
        "source_profile = base\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    cloud = Cloud(11, accounts=3, users=20, least=20, now=datetime.now(UTC))
    cloud.lifetime = timedelta(seconds=0.4)
    async with FaultServer(cloud, latency=0.01).serving() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)  # the SDK's own clients, too
        desk = Desk(tmp_path / "reports", server.url)
        ran = await desk.scan(
            connection=Connection(endpoint_url=server.url, profile="chained", read_timeout=1.0),
            concurrency=4,
        )

    assert ran.report is not None, ran.error
    assert ran.code == 1, ran.report["accounts"]
    assert cloud.assumed > 6
    assert not list(mistakes(cloud, ran.report, ran.code))


async def test_new_credentials_that_have_expired_are_no_crash(tmp_path: Path) -> None:
    cloud = Cloud(11, accounts=2, users=3, least=3, now=datetime.now(UTC))
    cloud.lifetime = timedelta(hours=-2)
    async with FaultServer(cloud).serving() as server:
        ran = await Desk(tmp_path, server.url).scan()

    assert ran.report is not None
    [error, *_] = ran.report["accounts"][1]["errors"]
    assert ran.code == 3
    assert error["code"] == "ExpiredCredentials"
