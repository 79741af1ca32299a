"""The two kinds of failure that are not bugs."""

from enum import StrEnum


class AuditError(Exception):
    """Raised when the operator can mend what went wrong; shown as one line with the hint."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class NothingAuditedError(AuditError):
    """Raised when the request was fine but nothing at all could be audited."""


class InterruptedAuditError(AuditError):
    """Raised when an interrupted run could not be reported either; what was read is kept."""


class NotSignedInError(AuditError):
    """Raised when AWS does not accept the caller's credentials, before anything was asked for."""

    def __init__(self, message: str, *, hint: str, why: str) -> None:
        super().__init__(message, hint=hint)
        self.why = why
        """AWS's, or the SDK's, code and message."""


class SignedOutError(Exception):
    """Raised when the caller's own credentials came to their end in the middle of a run."""


class PolicyError(AuditError):
    """Raised when a policy can't be loaded, or one of its rules can't be evaluated."""


class FailureKind(StrEnum):
    """What a failed AWS call means to the code that asked."""

    DENIED = "denied"
    GONE = "gone"
    THROTTLED = "throttled"
    CREDENTIALS = "credentials"
    UNAVAILABLE = "unavailable"
    OTHER = "other"


# Codes of failures that name no error of AWS's: another answered, or the answer has no code.
NOT_AWS = "AnswerNotFromAws"
UNKNOWN_CODE = "Unknown"


class AwsFailure(Exception):  # noqa: N818 -- AWS failing us is a value, not an error of ours
    """Raised when AWS refused or failed one call, after the retries."""

    def __init__(self, *, operation: str, code: str, message: str, kind: FailureKind) -> None:
        super().__init__(operation, code, message)
        self.operation = operation
        """The action as an IAM policy names it: `iam:ListUsers`."""
        self.code = code
        """AWS's error code, or the name of the transport error."""
        self.message = message
        self.kind = kind

    @property
    def is_refusal(self) -> bool:
        """Whether AWS itself said no: what was asked for was not done, for certain.

        A proxy that answers in place of AWS may have sent the request on, and an answer without an
        error code may be that of a request that succeeded.
        """
        unnamed = self.code in {NOT_AWS, UNKNOWN_CODE} or self.code.isdigit()
        return self.kind is not FailureKind.UNAVAILABLE and not unnamed

    def __str__(self) -> str:
        return f"{self.operation}: {self.code}: {self.message}"


class ConfigurationFailure(AwsFailure):
    """Raised when this machine's configuration gives no credentials, or settings, to call AWS with.

    The message names the profile or variable, the file and the setting. The caller's own ends the
    command (exit code 2); that of a profile that one account has costs that account.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        code: str,
        kind: FailureKind = FailureKind.CREDENTIALS,
    ) -> None:
        """Take what is wrong and what to do; `kind` OTHER is a setting that does not make sense."""
        super().__init__(operation="configuration", code=code, message=message, kind=kind)
        self.hint = hint
