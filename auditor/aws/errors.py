"""What the SDK raises, as AwsFailure."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from auditor.errors import NOT_AWS, UNKNOWN_CODE, AwsFailure, FailureKind
from auditor.model.unknown import DENIED_CODES

_LONGEST = 300
# A refusal names who, what, where and the policy that denies: four ARNs.
_LONGEST_REFUSAL = 700
_REFUSAL = " is not authorized to perform: "
# What AWS adds to a refusal; the id alone is worth its place.
_AUTHORIZATION = re.compile(
    r"\.?\s+Go to https://\S+ for complete details, or call the GetRequestAuthorizationDetails API"
    r" with the following authorization id: (\w+)"
)
_LONGEST_WAIT = 60.0
_KINDS = {
    FailureKind.DENIED: DENIED_CODES,
    FailureKind.GONE: {"NoSuchEntity"},
    FailureKind.THROTTLED: {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    },
    FailureKind.CREDENTIALS: {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    },
    FailureKind.UNAVAILABLE: {
        "InternalFailure",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceFailure",
        "ServiceUnavailable",
    },
}
_KIND_OF = {code: kind for kind, codes in _KINDS.items() for code in codes}
_STILL_EXPIRED = "refreshed credentials are still expired"
"""What the SDK raises as a RuntimeError: a process that hands out credentials, say, is stale."""
MALFORMED = "MalformedAnswer"
_FIRST_REFUSAL = 300
_LOOKED_AT = 4096
_BEFORE = b"\xef\xbb\xbf\xfe\xff\0 \t\r\n"
_START = re.compile(rb"(?i)[\s\0\xef\xbb\xbf\xfe\xff]*<(!doctype html|html|head|body)\b").match
_TITLE = re.compile(rb"(?is)<title[^>]*>\s*([^<]{1,80})")
# The user and the password of a URL: of a proxy or an endpoint.
_USER_INFO = re.compile(r"//(?!\*)[^/\s\"'<>]+@")
# What the SDK calls a connection that failed.
TRANSPORT_CODES = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "HTTPClientError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
    }
)
THROTTLE_CODES = frozenset(_KINDS[FailureKind.THROTTLED])
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500
# Calls whose request has a secret in it: whoever refuses one may repeat it, in the message, in
# place of the code, or as the value of a parameter that is wrong.
_SENDS_SECRET = frozenset({"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"})
_PLAIN_CODE = re.compile(r"[A-Z][A-Za-z]{2,63}")
_NOT_KEPT = "the message is not kept: it may repeat the secret that was sent"


class AnsweredFailure(AwsFailure):
    """Raised when AWS did answer, and the answer is no."""

    def __init__(
        self,
        *,
        operation: str,
        code: str | None,
        message: str | None,
        status: int,
        retry_after: str | None = None,
    ) -> None:
        """Take what the answer says: any text, or nothing; `retry_after` is the HTTP header."""
        code = str(code or UNKNOWN_CODE)[:_LONGEST]
        if operation in _SENDS_SECRET:
            code = code if _PLAIN_CODE.fullmatch(code) else UNKNOWN_CODE
            message = _NOT_KEPT
        super().__init__(
            operation=operation,
            code=code,
            message=first_line(code if _unreadable(operation, code) else message or code),
            kind=_kind(code, status),
        )
        self.status = status
        self.retry_after = _seconds(retry_after)
        """The seconds that AWS asks to wait, if it does."""


def check_answered_by_aws(
    *, operation_model: Any, response_dict: Mapping[str, Any], **_: Any
) -> None:
    """Raise AnsweredFailure for a refusal that is not AWS's: the SDK is about to parse it."""
    action = f"{operation_model.service_model.signing_name}:{operation_model.name}"
    failure = page_failure(action, response_dict["status_code"], response_dict["body"])
    if failure is not None:
        raise failure


def page_failure(operation: str, status: int, body: bytes) -> AnsweredFailure | None:
    """Return the failure where a proxy or a filter refused; None where AWS did."""
    if not is_page(status, body):
        return None
    start = body[:_LOOKED_AT]
    kind = "an HTML page" if _START(start) else "text" if start.strip() else "an empty answer"
    found = None if _carries_secret(operation) else _TITLE.search(start)
    title = "" if found is None else f" titled {first_line(found[1].decode(errors='replace'))!r}"
    return AnsweredFailure(
        operation=operation,
        code=NOT_AWS,
        message=f"HTTP {status} with {kind}{title}: a proxy or filter answered in place of AWS",
        status=status,
    )


def is_page(status: int, body: object) -> bool:
    """Whether an answer is a refusal in neither XML nor JSON, which are all that AWS speaks.

    An error of a server is left alone, whoever wrote it: AWS's own load balancers answer in HTML.
    """
    if not _FIRST_REFUSAL <= status < _SERVER_ERROR or not isinstance(body, bytes):
        return False
    return bool(_START(body)) or not body.lstrip(_BEFORE).startswith((b"<", b"{"))


class failures:  # noqa: N801 -- used as a verb: with failures("iam:ListUsers")
    """Raise AwsFailure for whatever the SDK, or shaping its answer, raises inside.

    Only the first line of AWS's message is kept: a signature mismatch goes on with the request
    that was signed, session token included. Of an answer that can't be read nothing is kept: it
    may be one that hands out credentials.
    """

    __slots__ = ("_operation",)

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if error is not None:
            failure = _failure_of(self._operation, error)
            if failure is not None:
                raise failure from None


def _failure_of(operation: str, error: BaseException) -> AwsFailure | None:
    """Return the failure that an error of the SDK's means; None for an error of anybody else's."""
    match error:
        case ClientError():
            answer = error.response.get("Error", {})
            http = error.response.get("ResponseMetadata", {})
            return AnsweredFailure(
                operation=operation,
                code=answer.get("Code"),
                message=answer.get("Message"),
                status=int(http.get("HTTPStatusCode", 0)),
                retry_after=http.get("HTTPHeaders", {}).get("retry-after"),
            )
        case (
            CredentialRetrievalError()
            | NoCredentialsError()
            | PartialCredentialsError()
            | SSOError()
            | TokenRetrievalError()
        ):
            return _sdk_failure(operation, error, FailureKind.CREDENTIALS)
        case RuntimeError() if _STILL_EXPIRED in str(error):
            return AwsFailure(
                operation=operation,
                code="ExpiredCredentials",
                message="the credentials that came for expired ones have expired, too",
                kind=FailureKind.CREDENTIALS,
            )
        case BotoCoreError():
            return _sdk_failure(operation, error, FailureKind.UNAVAILABLE)
        case ResponseParserError() | LookupError() | OverflowError() | TypeError() | ValueError():
            return AwsFailure(
                operation=operation,
                code=MALFORMED,
                message=f"the answer is not what AWS documents ({type(error).__name__})",
                kind=FailureKind.UNAVAILABLE,
            )
        case _:
            return None


def _unreadable(operation: str, code: str) -> bool:
    """Whether the message may be an answer cut short that hands out a secret: it has no code."""
    return _carries_secret(operation) and (code.isdigit() or code == UNKNOWN_CODE)


def _carries_secret(operation: str) -> bool:
    return operation == "iam:CreateAccessKey" or operation.startswith("secretsmanager:")


def _kind(code: str, status: int) -> FailureKind:
    if code in _KIND_OF:
        return _KIND_OF[code]
    if status == _TOO_MANY_REQUESTS:
        return FailureKind.THROTTLED
    return FailureKind.UNAVAILABLE if status >= _SERVER_ERROR else FailureKind.OTHER


def _seconds(retry_after: str | None) -> float | None:
    """Return what the header says where that is a number of seconds, not more than a minute."""
    if retry_after is None or not retry_after.isdecimal():
        return None
    return min(float(retry_after), _LONGEST_WAIT)


def _sdk_failure(operation: str, error: BotoCoreError, kind: FailureKind) -> AwsFailure:
    message = _NOT_KEPT if operation in _SENDS_SECRET else first_line(str(error))
    return AwsFailure(operation=operation, code=type(error).__name__, message=message, kind=kind)


def first_line(message: str) -> str:
    """Return the first line that says anything, without what acts on a terminal, cut if long."""
    message = _AUTHORIZATION.sub(r" (authorization id \1)", message)
    message = _USER_INFO.sub("//***@", message)
    lines = [line for line in message.splitlines() if line.strip()]
    line = "".join(each for each in lines[0].strip() if each.isprintable()) if lines else "-"
    longest = _LONGEST_REFUSAL if _REFUSAL in line else _LONGEST
    return line if len(line) <= longest else line[: longest - 1] + "…"
