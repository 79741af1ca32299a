"""What the SDK raises, as AwsFailure."""

from collections.abc import Iterator
from contextlib import contextmanager

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

from auditor.errors import AwsFailure, FailureKind
from auditor.model.unknown import DENIED_CODES

_LONGEST = 300
_KINDS = {
    FailureKind.DENIED: DENIED_CODES,
    FailureKind.GONE: {"NoSuchEntity"},
    FailureKind.THROTTLED: {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
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
    FailureKind.UNAVAILABLE: {"InternalFailure", "ServiceFailure", "ServiceUnavailable"},
}
_KIND_OF = {code: kind for kind, codes in _KINDS.items() for code in codes}
THROTTLE_CODES = frozenset(_KINDS[FailureKind.THROTTLED])


@contextmanager
def failures(operation: str) -> Iterator[None]:
    """Raise AwsFailure for whatever the SDK, or shaping its answer, raises inside.

    Only the first line of AWS's message is kept: a signature mismatch goes on with the request
    that was signed, session token included. Of an answer that can't be read nothing is kept: it
    may be one that hands out credentials.
    """
    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", "Unknown"))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise AwsFailure(
            operation=operation,
            code=code,
            message=_short(code if _unreadable(operation, code) else answer.get("Message") or code),
            kind=_kind(code, status),
        ) from None
    except (
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
        SSOError,
        TokenRetrievalError,
    ) as error:
        raise _sdk_failure(operation, error, FailureKind.CREDENTIALS) from None
    except BotoCoreError as error:
        raise _sdk_failure(operation, error, FailureKind.UNAVAILABLE) from None
    except (ResponseParserError, LookupError, TypeError, ValueError) as error:
        raise AwsFailure(
            operation=operation,
            code="MalformedAnswer",
            message=f"the answer is not what AWS documents ({type(error).__name__})",
            kind=FailureKind.UNAVAILABLE,
        ) from None


def _unreadable(operation: str, code: str) -> bool:
    """Whether the message may be an answer cut short that hands out a secret: it has no code."""
    secret = operation == "iam:CreateAccessKey" or operation.startswith("secretsmanager:")
    return secret and (code.isdigit() or code == "Unknown")


def _kind(code: str, status: int) -> FailureKind:
    server_error = 500
    if code in _KIND_OF:
        return _KIND_OF[code]
    return FailureKind.UNAVAILABLE if status >= server_error else FailureKind.OTHER


def _sdk_failure(operation: str, error: BotoCoreError, kind: FailureKind) -> AwsFailure:
    return AwsFailure(
        operation=operation, code=type(error).__name__, message=_short(str(error)), kind=kind
    )


def _short(message: str) -> str:
    lines = [line for line in message.splitlines() if line.strip()]
    line = "".join(each for each in lines[0].strip() if each.isprintable()) if lines else "-"
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
