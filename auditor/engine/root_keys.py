"""What is known of the root user's keys: the credential report against the account summary.

The report may be four hours old and lists slots; the summary (`AccountAccessKeysPresent`) is new
and says only whether there is any key, active or not.
"""

from dataclasses import dataclass

from auditor.model.access_key import AccessKey, KeyStatus
from auditor.model.unknown import CONTRADICTION, Known, Unknown

_SUMMARY = "iam:GetAccountSummary"
_CONTRADICTION = Unknown(operation=_SUMMARY, code=CONTRADICTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKeys:
    """The root user's keys, as far as both sources agree."""

    keys: tuple[AccessKey, ...]
    unknown: Unknown | None
    """Why it is not known whether the root user has an active key; None where it is."""


def root_keys(reported: Known[tuple[AccessKey, ...]], present: bool | None) -> RootKeys:
    """Return what both sources together say; where they contradict each other nothing is sure.

    `reported` are the slots of the report, `present` is the summary's word; None where it has none.

    | report    | present         | absent      | no answer |
    |-----------|-----------------|-------------|-----------|
    | active    | these keys      | not known   | these     |
    | inactive  | these keys      | not known   | these     |
    | no key    | one, status not known | none  | none      |
    | no answer | one, status not known | none  | not known |
    """
    if isinstance(reported, Unknown):
        if present is None:
            return RootKeys(keys=(), unknown=reported)
        return _one_key(reported) if present else _NO_KEYS
    if present is None:
        return RootKeys(keys=reported, unknown=None)
    if present and not reported:  # made since the report
        return _one_key(_CONTRADICTION)
    if reported and not present:  # deleted since the report, or not
        return RootKeys(keys=(), unknown=_CONTRADICTION)
    return RootKeys(keys=reported, unknown=None)


_NO_KEYS = RootKeys(keys=(), unknown=None)


def _one_key(why: Unknown) -> RootKeys:
    """Return a key of which nothing is known but that it is there."""
    key = AccessKey(id=None, slot=None, status=KeyStatus.UNKNOWN, created_at=None, last_use=why)
    return RootKeys(keys=(key,), unknown=why)
