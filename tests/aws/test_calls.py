"""What a call costs where AWS throttles, hangs, refuses, or wants new credentials."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import anyio
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from auditor.aws.calls import Calls
from auditor.aws.credentials import Renewal, RoleCredentials
from auditor.aws.errors import AnsweredFailure, failures
from auditor.aws.limiter import Limiter
from auditor.aws.permissions import ForbiddenActionError
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, FailureKind
from tests.fakes import FakeClock, denied

OPERATION = "iam:ListAccessKeys"


class AdvancingClock(FakeClock):
    """A clock that work can move on without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


class NotingLimiter(Limiter):
    """A limiter that also keeps what it was told."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, Random(5))  # noqa: S311
        self.told: list[tuple[str, str, float | None]] = []

    async def admit(self, group: str) -> None:
        self.told.append(("admit", group, None))
        await super().admit(group)

    def succeeded(self, group: str) -> None:
        self.told.append(("succeeded", group, None))
        super().succeeded(group)

    def throttled(self, group: str, *, retry_after: float | None = None) -> None:
        self.told.append(("throttled", group, retry_after))
        super().throttled(group, retry_after=retry_after)


class World:
    """Calls, with all that they are made of within reach."""

    def __init__(self, *, renewal: Renewal | None = None, attempts: int = 4) -> None:
        self.clock = AdvancingClock()
        self.limiter = NotingLimiter(self.clock)
        self.tally = Tally()
        self.calls = Calls(
            self.limiter,
            progress=self.tally,
            clock=self.clock,
            random=Random(7),  # noqa: S311
            attempts=attempts,
            renewal=renewal,
        )
        self.sent = 0

    def answers(self, *outcomes: Exception | str, seconds: float = 0) -> Callable[[], Any]:
        """A request that has these outcomes in turn, the last for ever."""
        left = list(outcomes)

        async def send() -> str:
            await anyio.lowlevel.checkpoint()
            self.sent += 1
            self.clock.passed += seconds
            outcome = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return send

    async def ask(self, *outcomes: Exception | str, seconds: float = 0) -> str:
        answer: str = await self.calls.call(OPERATION, self.answers(*outcomes, seconds=seconds))
        return answer


def refused(code: str, status: int = 400, *, retry_after: str | None = None) -> ClientError:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    metadata: Any = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "ListAccessKeys")


THROTTLED = refused("Throttling")


async def test_a_call_that_is_throttled_is_sent_again_as_often_as_need_be() -> None:
    world = World()

    assert await world.ask(*[THROTTLED] * 9, "answer") == "answer"

    assert world.sent == 10
    assert world.tally.calls == {OPERATION: 1}
    assert world.tally.throttles == 9
    names = [name for name, group, _ in world.limiter.told if group == "ListAccessKeys"]
    assert names == ["admit", "throttled"] * 9 + ["admit", "succeeded"]


async def test_what_aws_asks_to_wait_is_waited() -> None:
    world = World()

    await world.ask(refused("Throttling", retry_after="7"), "answer")

    assert ("throttled", "ListAccessKeys", 7.0) in world.limiter.told
    assert world.clock.monotonic() >= 7


async def test_a_minute_in_which_everything_is_throttled_ends_the_call() -> None:
    world = World()

    with pytest.raises(AwsFailure) as caught:
        await world.ask(THROTTLED)

    assert caught.value.kind is FailureKind.THROTTLED
    assert 60 < world.clock.monotonic() < 90
    assert world.sent < 100
    before = world.sent
    with pytest.raises(AwsFailure):  # and so the next one is not tried for a minute again
        await world.ask(THROTTLED)
    assert world.sent == before + 1


async def test_while_other_calls_of_the_group_get_through_a_throttled_one_goes_on() -> None:
    world = World()
    throttled = world.answers(THROTTLED)
    sent = 0

    async def send() -> str:
        nonlocal sent
        sent += 1
        if sent > 200:
            return "answer"
        world.clock.passed += 5
        await world.ask("another")
        return str(await throttled())

    assert await world.calls.call(OPERATION, send) == "answer"


@pytest.mark.parametrize(
    "failure",
    [
        refused("ServiceUnavailable", 503),
        refused("InternalFailure", 500),
        refused("Strange", 502),
        refused("504", 504),
        refused("RequestTimeout", 400),
        refused("PriorRequestNotComplete", 400),
        ConnectTimeoutError(endpoint_url="https://iam"),
    ],
)
async def test_what_does_not_get_through_is_sent_four_times_ever_less_often(
    failure: Exception,
) -> None:
    world = World()

    with pytest.raises(AwsFailure) as caught:
        await world.ask(failure)

    assert caught.value.kind is FailureKind.UNAVAILABLE
    assert world.sent == 4
    assert world.tally.calls == {OPERATION: 1}
    assert len(world.clock.slept) == 3
    assert all(0 <= pause <= 0.5 * 2**n for n, pause in enumerate(world.clock.slept))
    assert await World().ask(failure, failure, failure, "answer") == "answer"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, FailureKind.DENIED),
        ("NoSuchEntity", 404, FailureKind.GONE),
        ("ValidationError", 400, FailureKind.OTHER),
        ("SignatureDoesNotMatch", 403, FailureKind.CREDENTIALS),
    ],
)
async def test_a_refusal_is_final_and_counts_as_a_call_that_got_through(
    code: str, status: int, kind: FailureKind
) -> None:
    world = World()

    with pytest.raises(AwsFailure) as caught:
        await world.ask(refused(code, status))

    assert caught.value.kind is kind
    assert world.sent == 1
    assert world.limiter.told[-1][0] == "succeeded"
    assert not world.clock.slept


async def test_an_account_that_hangs_is_given_up_in_well_under_a_minute() -> None:
    connecting, reading = World(), World()

    with pytest.raises(AwsFailure, match="ConnectTimeoutError"):
        await connecting.ask(ConnectTimeoutError(endpoint_url="https://iam"), seconds=5)
    with pytest.raises(AwsFailure, match="ReadTimeoutError"):
        await reading.ask(ReadTimeoutError(endpoint_url="https://iam"), seconds=30)

    assert connecting.sent <= 4
    assert connecting.clock.monotonic() < 25
    assert reading.sent == 1


async def test_what_is_malformed_without_a_servers_error_is_not_asked_for_again() -> None:
    world = World()

    with pytest.raises(AwsFailure, match="MalformedAnswer"):
        await world.ask(KeyError("ListAccessKeysResult"))

    assert world.sent == 1


async def test_what_the_door_refuses_goes_through_as_the_bug_it_is() -> None:
    with pytest.raises(ForbiddenActionError):
        await World().ask(ForbiddenActionError("iam:DeleteAccessKey"))


class Roles:
    """AssumeRole that gives sessions of an hour, until it is taken away."""

    def __init__(self) -> None:
        self.assumed = 0
        self.denied = False

    async def assume(self) -> Mapping[str, Any]:
        await anyio.sleep(0.001)
        if self.denied:
            raise denied("sts:AssumeRole")
        self.assumed += 1
        return {
            "AccessKeyId": f"ASIA{self.assumed}",
            "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "SessionToken": "token",
            "Expiration": datetime.now(UTC) + timedelta(hours=1),
        }


async def a_session() -> tuple[Roles, RoleCredentials, World]:
    roles = Roles()
    credentials = await RoleCredentials.assume(roles.assume)
    return roles, credentials, World(renewal=Renewal(credentials))


def expired_until(credentials: RoleCredentials, key: str) -> Callable[[], Awaitable[str]]:
    async def send() -> str:
        used = (await credentials.get_frozen_credentials()).access_key
        await anyio.sleep(0.001)
        if used < key:
            raise refused("ExpiredToken", 403)
        return str(used)

    return send


async def test_expired_credentials_are_renewed_once_for_all_who_were_refused() -> None:
    roles, credentials, world = await a_session()
    answers: list[str] = []

    async def call() -> None:
        answers.append(await world.calls.call(OPERATION, expired_until(credentials, "ASIA2")))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)

    assert roles.assumed == 2
    assert answers == ["ASIA2"] * 20
    assert world.tally.calls == {OPERATION: 20}


async def test_credentials_that_are_refused_again_are_not_renewed_for_ever() -> None:
    roles, credentials, world = await a_session()

    with pytest.raises(AwsFailure) as caught:
        await world.calls.call(OPERATION, expired_until(credentials, "ASIA9"))

    assert caught.value.kind is FailureKind.CREDENTIALS
    assert roles.assumed == 2


async def test_a_role_that_is_gone_is_what_the_call_fails_by() -> None:
    roles, credentials, world = await a_session()
    roles.denied = True

    with pytest.raises(AwsFailure, match="sts:AssumeRole: AccessDenied"):
        await world.calls.call(OPERATION, expired_until(credentials, "ASIA2"))


@pytest.mark.parametrize("credentials", [None, object()])
async def test_credentials_that_can_not_be_renewed_just_fail(credentials: object) -> None:
    for renewal in (None, Renewal(credentials)):
        world = World(renewal=renewal)
        with pytest.raises(AwsFailure, match="ExpiredToken"):
            await world.ask(refused("ExpiredToken", 403))
        assert world.sent == 1


async def test_a_renewal_that_fails_within_a_call_has_had_its_own_retries() -> None:
    world = World()
    nested = AnsweredFailure(operation="sts:AssumeRole", code="Throttling", message="", status=400)

    with pytest.raises(AwsFailure, match="sts:AssumeRole"):
        await world.ask(nested)

    assert world.sent == 1
    assert world.tally.throttles == 0


def test_every_code_that_the_sdk_retries_and_iam_could_send_is_retried() -> None:
    not_iams = {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",  # a quota, where IAM and Organizations say so
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
    }
    throttles = set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - not_iams
    transient = set(TransientRetryableChecker._TRANSIENT_ERROR_CODES)

    for code in throttles | transient:
        with pytest.raises(AnsweredFailure) as caught, failures(OPERATION):
            raise refused(code)
        assert caught.value.kind in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE}, code
    for status in (*TransientRetryableChecker._TRANSIENT_STATUS_CODES, 429):
        with pytest.raises(AnsweredFailure) as caught, failures(OPERATION):
            raise refused("Strange", status)
        assert caught.value.kind in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("86400", 60.0), ("-1", None), ("soon", None), ("", None)],
)
def test_a_wait_is_a_number_of_seconds_and_at_most_a_minute(
    header: str, seconds: float | None
) -> None:
    with pytest.raises(AnsweredFailure) as caught, failures(OPERATION):
        raise refused("Throttling", retry_after=header)

    assert caught.value.retry_after == seconds
