"""Whether one more page may be asked for: none twice, and none for ever."""

from collections.abc import Sequence

from auditor.errors import AwsFailure, FailureKind

_IN_VAIN = 50
"""Pages in a row that bring nothing new, after which a listing has no end."""
_MOST = 10_000
"""Pages of one listing: a million users of an account, 200,000 accounts of an organization."""


class Pages:
    """The pages of one listing so far.

    `operation` is the action (`iam:ListUsers`). A listing that breaks off or goes round is a
    failure, never the end: what it would still have told is missing.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._seen: set[str] = set()
        self._last: object = None
        self._in_vain = 0

    def follow(self, marker: object, items: Sequence[object]) -> str:
        """Return the marker of the page that must come after one with these items.

        Raises AwsFailure where there is none, where it was there before, and where there have
        been many that led to nothing.
        """
        if not isinstance(marker, str) or not marker:
            raise self._failure("MissingToken", "there is more, and nothing to ask for it by")
        if marker in self._seen:
            raise self._failure("RepeatedToken", "the same page was offered twice")
        self._seen.add(marker)
        first = items[0] if items else None
        self._in_vain = self._in_vain + 1 if first is None or first == self._last else 0
        self._last = first
        if self._in_vain >= _IN_VAIN or len(self._seen) >= _MOST:
            raise self._failure("EndlessPages", "page after page, and no end")
        return marker

    def _failure(self, code: str, message: str) -> AwsFailure:
        return AwsFailure(
            operation=self._operation, code=code, message=message, kind=FailureKind.UNAVAILABLE
        )
