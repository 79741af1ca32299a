"""One call to AWS: paced, counted, tried again where that can help.

The SDK's own retries are off: they know neither the other calls of an account nor its limits.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from auditor.aws.credentials import Renewal
from auditor.aws.errors import TRANSPORT_CODES, AnsweredFailure, failures
from auditor.aws.limiter import Limiter
from auditor.errors import AwsFailure, FailureKind
from auditor.ports import Clock, Progress

T = TypeVar("T")

ATTEMPTS = 4
"""How often a call is sent that does not get through."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_LAST_RETRY_AFTER = 20.0
"""Seconds of not getting through after which a call is not sent again: a hanging one is not."""
_LONGEST_DROUGHT = 60.0
"""Seconds in which everything of a group was throttled, after which its calls fail."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_calling: ContextVar[str | None] = ContextVar("_calling", default=None)


def counted_elsewhere(action: str) -> bool:
    """Whether a request of this action is one try of a call that counts its own."""
    return _calling.get() == action


@dataclass(slots=True)
class _Call:
    """One call, while it is being made."""

    operation: str
    group: str
    """What is limited together: its operation, without the service."""
    attempts: int
    tries: int = 0
    """Those that did not get through."""
    began_at: float = 0.0
    lost_since: float = float("inf")
    renewed: bool = False
    mark: object = None


@contextmanager
def uncounted(action: str) -> Iterator[None]:
    """Let no request of this action be counted but by whoever asks for it."""
    token = _calling.set(action)
    try:
        yield
    finally:
        _calling.reset(token)


class Calls:
    """The calls with one set of credentials, held to one limiter.

    Each is counted once, however often it is sent; each throttled answer is counted.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        progress: Progress,
        clock: Clock,
        random: Random,
        attempts: int = ATTEMPTS,
        renewal: Renewal | None = None,
    ) -> None:
        self._limiter = limiter
        self._progress = progress
        self._clock = clock
        self._random = random
        self._attempts = attempts
        self._renewal = renewal
        self._dry_since: dict[str, float] = {}

    def renew_with(self, renewal: Renewal) -> None:
        """Renew credentials from now on that were not known before."""
        self._renewal = renewal

    async def call(
        self, operation: str, send: Callable[[], Awaitable[T]], *, attempts: int | None = None
    ) -> T:
        """Return what `send` returns, once it does; raise AwsFailure.

        `operation` is the action (`iam:ListUsers`). What is throttled is sent again until
        everything of the operation has been throttled for a minute; what does not get through,
        `attempts` times in all; what AWS calls expired, once with new credentials.
        """
        call = _Call(operation, operation.partition(":")[2], attempts or self._attempts)
        self._progress.called(operation)
        while True:
            await self._limiter.admit(call.group)
            call.mark = None if self._renewal is None else self._renewal.mark()
            call.began_at = self._clock.monotonic()
            token = _calling.set(operation)
            try:
                with failures(operation):
                    answer = await send()
            except AwsFailure as failure:
                refused = failure
            else:
                self._answered(call)
                return answer
            finally:
                _calling.reset(token)
            await self._recover(call, refused)

    async def once(self, operation: str, send: Callable[[], Awaitable[T]]) -> T:
        """Return what `send` returns, sent once, for a change; raise AwsFailure.

        What AWS refuses as expired it has not done: that is sent once more, with new credentials.
        """
        mark = None if self._renewal is None else self._renewal.mark()
        try:
            with failures(operation):
                return await send()
        except AnsweredFailure as failure:
            if failure.code not in _EXPIRED or self._renewal is None:
                raise
            with failures(operation):
                renewed = await self._renewal.renew(mark)
            if not renewed:
                raise
        with failures(operation):
            return await send()

    async def _recover(self, call: "_Call", failure: AwsFailure) -> None:
        """Return when the call may be sent again; raise the failure where it may not."""
        if failure.operation != call.operation:
            raise failure  # renewing the credentials failed, with retries of its own
        if failure.kind is FailureKind.THROTTLED:
            self._throttled(call, failure)
        elif _did_not_get_through(failure):
            await self._count(call, failure)
        else:
            if isinstance(failure, AnsweredFailure):
                self._answered(call)  # a refusal, too, has taken its token
            await self._renew(call, failure)

    def _answered(self, call: "_Call") -> None:
        self._dry_since.pop(call.group, None)
        self._limiter.succeeded(call.group)

    def _throttled(self, call: "_Call", failure: AwsFailure) -> None:
        """Slow the group down; raise the failure where nothing of it gets through any more."""
        self._progress.throttled()
        wait = failure.retry_after if isinstance(failure, AnsweredFailure) else None
        self._limiter.throttled(call.group, retry_after=wait)
        now = self._clock.monotonic()
        if now - self._dry_since.setdefault(call.group, now) > _LONGEST_DROUGHT:
            raise failure

    async def _count(self, call: "_Call", failure: AwsFailure) -> None:
        """Wait before one more try; raise the failure where the call has had all of its tries."""
        call.tries += 1
        call.lost_since = min(call.lost_since, call.began_at)
        too_late = self._clock.monotonic() - call.lost_since > _LAST_RETRY_AFTER
        if call.tries >= call.attempts or too_late:
            raise failure
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (call.tries - 1))
        await self._clock.sleep(self._random.uniform(0, longest))

    async def _renew(self, call: "_Call", failure: AwsFailure) -> None:
        """Get new credentials in place of expired ones, once a call; else raise the failure."""
        if failure.code not in _EXPIRED or call.renewed or self._renewal is None:
            raise failure
        call.renewed = True
        with failures(call.operation):
            if await self._renewal.renew(call.mark):
                return
        raise failure


def _did_not_get_through(failure: AwsFailure) -> bool:
    """Whether the same call may well succeed a moment later, by the SDK's own rules."""
    if isinstance(failure, AnsweredFailure):
        return failure.kind is FailureKind.UNAVAILABLE
    return failure.code in TRANSPORT_CODES
