"""IamReader without the SDK: a form is signed, posted and parsed, and no client is made."""

import re
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from botocore.exceptions import HTTPClientError, NoCredentialsError, ParamValidationError

from auditor import fanout
from auditor.aws.calls import Calls
from auditor.aws.fast import parse
from auditor.aws.fast.endpoint import Endpoint
from auditor.aws.fast.http import Pool
from auditor.aws.fast.markup import Documents
from auditor.aws.fast.shapes import RESULTS
from auditor.aws.fast.signing import Signer
from auditor.aws.permissions import ForbiddenActionError
from auditor.aws.readers import AnswerReader, Arguments
from auditor.ports import Clock

_VERSION = "2010-05-08"
_SHORTEST = {"AccessKeyId": 16, "Marker": 1, "PolicyArn": 20, "UserName": 1}
"""What the service model says: asked for less, IAM might answer for the caller itself."""
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""Most names and every key's id: quoting leaves them as they are, after a long look."""
_FIRST_ERROR = 300
_LARGE = 32 * 1024
"""Bytes of an answer from which on it is read aside: that takes a millisecond and more."""
_ASK_EVERY = 1.0
"""Seconds between looks at whether credentials are to be renewed; they last 15 minutes at least."""


class FastReader(AnswerReader):
    """Reads one account over a pool of connections (port IamReader).

    It can send the operations that it has shapes for, which only read, and no others.
    `credentials` are the SDK's: those of a role, or a session's own; None raises as in the SDK.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        credentials: Any,
        calls: Calls,
        *,
        partition: str,
        clock: Clock,
    ) -> None:
        super().__init__(self._post, calls, partition)
        self._route = endpoint.route
        self._head = endpoint.head
        self._pool = pool
        self._credentials = credentials
        self._clock = clock
        self._frozen: Any = None
        self._ask_at = float("-inf")
        self._signer = Signer(endpoint.target)
        self._documents = Documents()

    async def _post(self, operation: str, arguments: Arguments) -> dict[str, Any]:
        action = f"iam:{operation}"
        if operation not in RESULTS:
            raise ForbiddenActionError(action)
        credentials = await self._current_credentials()
        body = form(operation, arguments)
        request = self._request(credentials, body, self._clock.now())
        status, retry_after, answer = await self._pool.post(self._route, request)
        if status >= _FIRST_ERROR:
            raise parse.refusal(action, status, retry_after, answer)
        if len(answer) < _LARGE:
            return parse.result(operation, answer, self._documents)
        return await fanout.aside(partial(parse.result, operation, answer, self._documents))

    async def _current_credentials(self) -> Any:
        """Return the credentials to sign with; the SDK is asked every second, and after a renewal.

        Whether they are to be renewed costs it more than a signature.
        """
        if self._credentials is None:
            raise NoCredentialsError
        now = self._clock.monotonic()
        held = getattr(self._credentials, "_frozen_credentials", None)
        if held is None or held is not self._frozen or now >= self._ask_at:
            self._frozen = await self._credentials.get_frozen_credentials()
            self._ask_at = now + _ASK_EVERY
        return self._frozen

    def _request(self, credentials: Any, body: bytes, now: datetime) -> bytes:
        signed = self._signer.headers(credentials, body, now)
        head = f"{self._head}{signed}Content-Length: {len(body)}\r\n\r\n"
        try:
            return head.encode("latin-1") + body
        except UnicodeError as error:
            raise HTTPClientError(error=type(error).__name__) from None


def form(operation: str, arguments: Arguments) -> bytes:
    """Return the request's body; raise what the SDK raises for a value that is too short."""
    fields = [f"Action={operation}&Version={_VERSION}"]
    for name, value in arguments.items():
        if isinstance(value, list):
            fields += [f"{name}.member.{at}={quote_plus(each)}" for at, each in enumerate(value, 1)]
        elif isinstance(value, bool):
            fields.append(f"{name}={str(value).lower()}")
        elif isinstance(value, int):
            fields.append(f"{name}={value}")
        elif len(value) < _SHORTEST.get(name, 0):
            raise ParamValidationError(report=f"{name} is too short")
        else:
            fields.append(f"{name}={value if _PLAIN(value) else quote_plus(value)}")
    return "&".join(fields).encode()
