"""What could not be learned, and why."""

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A fact that AWS did not tell us; never a pass, never acted on."""

    operation: str
    """The action that would have told it, as IAM names it: `iam:GetCredentialReport`."""
    code: str
    """AWS's error code, the transport error's name, or `NotInAnswer`."""

    @property
    def reason(self) -> str:
        """Say it in words: `iam:GetCredentialReport denied`."""
        if self.denied:
            return f"{self.operation} denied"
        if self.code == CONTRADICTION:
            return f"{self.operation} contradicts another answer of AWS"
        if self.code == NOT_IN_ANSWER:
            return f"{self.operation} did not tell"
        if self.code == NOT_ASKED:
            return f"{self.operation} was not asked"
        if self.code == LATER:
            return f"{self.operation} names a time after the one that is judged at"
        return f"{self.operation} failed: {self.code}"

    @property
    def denied(self) -> bool:
        """Whether a permission is what is missing."""
        return self.code in DENIED_CODES


NOT_IN_ANSWER = "NotInAnswer"
NOT_ASKED = "NotAsked"
LATER = "Later"
CONTRADICTION = "Contradiction"
UNREADABLE = "UnreadableValue"
DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})

Known: TypeAlias = T | Unknown
"""A value, or the reason why there is none."""
