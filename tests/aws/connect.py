"""The way to AWS, as the tests of this folder go it: to the emulator."""

from random import Random
from typing import Any

from auditor.aws.calls import Calls
from auditor.aws.limiter import Limiter
from auditor.aws.session import Aws, Connection, Transport
from auditor.aws.writer import ClientWriter
from auditor.demo.emulator import Emulator
from auditor.demo.organization import DemoOrganization
from auditor.engine.tally import Tally
from auditor.model.account import Account
from auditor.ports import Clock, OpenForWriting, Progress
from auditor.wiring.clock import SystemClock
from tests.builders import an_account
from tests.fakes import FakeClock


def an_aws(
    emulator: Emulator,
    *,
    attempts: int = 2,
    writes: bool = False,
    publishes: bool = False,
    transport: Transport = "fast",
    progress: Progress | None = None,
    **connection: Any,
) -> Aws:
    defaults = {"endpoint_url": emulator.url}
    return Aws(
        Connection(**(defaults | connection)),
        session_name="iamaudit-test",
        concurrency=8,
        progress=progress or Tally(),
        clock=SystemClock(),
        attempts=attempts,
        writes=writes,
        publishes=publishes,
        transport=transport,
    )


def some_calls(
    *, attempts: int = 2, clock: Clock | None = None, progress: Progress | None = None
) -> Calls:
    """Calls that are held to no rate, and wait by no real clock unless given one."""
    clock, random = clock or FakeClock(), Random(5)  # noqa: S311
    return Calls(
        Limiter(clock, random),
        progress=progress or Tally(),
        clock=clock,
        random=random,
        attempts=attempts,
    )


def clients_made(aws: Aws) -> list[str]:
    """A list that grows by the service of each client that is made from now on."""
    made: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        made.append(event_name.rpartition(".")[2])

    events = aws._clients.own._session.get_component("event_emitter")
    events.register("creating-client-class", note)
    return made


def members(organization: DemoOrganization) -> list[Account]:
    """Return the member accounts that have the role for reading."""
    closed = {organization.suspended_account_id, organization.unreachable_account_id}
    return [an_account(each) for each in organization.member_account_ids if each not in closed]


def member(organization: DemoOrganization) -> Account:
    """Return a member account that has the role for reading."""
    return members(organization)[0]


def sent(emulator: Emulator, operation: str) -> list[Any]:
    """Return the requests for an operation that arrived, those a hook answered among them."""
    return [each for each in emulator.requests if each.operation == operation]


def the_writer(opened: OpenForWriting) -> ClientWriter:
    assert isinstance(opened.writer, ClientWriter)
    return opened.writer
