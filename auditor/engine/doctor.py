"""What an account lets us read, found out by asking: each operation once, and nothing written.

An operation is asked of a real user or key where there is one, else of one that does not exist:
AWS looks at permissions first, and says NoSuchEntity to those who may ask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from auditor.engine.denial import Denial
from auditor.engine.inventory import HOPELESS
from auditor.errors import AwsFailure, ConfigurationFailure, FailureKind
from auditor.model.permission import statement

Arguments: TypeAlias = Mapping[str, str | int | list[str]]

NOBODY = "iamaudit-doctor-asks-for-nobody"
"""A user's name that nobody has; asking for it does no harm where somebody has."""
_USERS_ASKED = 25
"""How many users are looked at for one that has a key."""
_REPORT_CODES = frozenset({"ReportNotPresent", "ReportInProgress", "ReportExpired"})


class State(StrEnum):
    """What asking told of a permission."""

    ALLOWED = "allowed"
    MISSING = "missing"
    FAILED = "failed"
    """It was neither granted nor refused: throttled, not reached, not accepted."""
    UNTOLD = "can't be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One permission, tried."""

    operation: str
    """The action as IAM names it: `iam:ListUsers`."""
    state: State
    detail: str | None = None
    """Why it is not allowed, as AWS says it; why it can't be told."""
    mend: str | None = None
    """What to do with `statement`, or instead."""
    statement: Mapping[str, object] | None = field(default=None, hash=False)
    """What grants it, where it is missing."""
    denial: Denial | None = None
    """What AWS says of its refusal."""


class Asking(Protocol):
    """Whoever makes one call of an operation of IAM (`ListUsers`)."""

    async def ask(self, operation: str, arguments: Arguments) -> Mapping[str, Any]:
        """Return the members of the answer; raise AwsFailure."""
        ...


async def examine(iam: Asking, needed: frozenset[str], *, partition: str) -> tuple[Check, ...]:
    """Return a check for each needed action of a scan, in a fixed order.

    Stops asking once the account does not answer; what was not asked can't be told.
    """
    examination = _Examination(iam, needed, partition)
    return await examination.all()


def check_of(failure: AwsFailure) -> Check:
    """Return what a refused or failed call tells of the permission for it."""
    operation, told = failure.operation, f"{failure.code}: {failure.message}"
    if isinstance(failure, ConfigurationFailure):
        return Check(
            operation=operation,
            state=State.FAILED,
            detail=f"{told}; {failure.hint}",
        )
    if failure.kind is FailureKind.DENIED:
        denial = Denial.of(failure.message)
        return Check(
            operation=operation,
            state=State.MISSING,
            detail=told,
            mend=denial.fix,
            statement=statement(operation),
            denial=denial,
        )
    if _says_allowed(failure):
        return Check(operation=operation, state=State.ALLOWED)
    failed = failure.kind in {*HOPELESS, FailureKind.THROTTLED}
    return Check(operation=operation, state=State.FAILED if failed else State.UNTOLD, detail=told)


def _says_allowed(failure: AwsFailure) -> bool:
    """Whether only what was asked for is not there."""
    return (
        failure.kind is FailureKind.GONE
        or failure.code in _REPORT_CODES
        or failure.code.endswith("NotFoundException")
    )


class _Examination:
    """The checks of one account, while they are made."""

    def __init__(self, iam: Asking, needed: frozenset[str], partition: str) -> None:
        self._iam = iam
        self._needed = needed
        self._partition = partition
        self._checks: list[Check] = []
        self._silent: str | None = None
        """The operation after which the account was given up."""

    async def all(self) -> tuple[Check, ...]:
        listed = await self._try("ListUsers", {"MaxItems": 100})
        names = [str(user["UserName"]) for user in (listed or {}).get("Users", ())]
        await self._keys(names)
        await self._try("GenerateCredentialReport", {})
        await self._try("GetCredentialReport", {})
        details: Arguments = {"Filter": ["User"], "MaxItems": 1}
        await self._try("GetAccountAuthorizationDetails", details)
        await self._try("GetLoginProfile", {"UserName": names[0] if names else NOBODY})
        await self._try("GetAccountSummary", {})
        await self._try("ListPolicies", {"Scope": "AWS", "OnlyAttached": True, "MaxItems": 1})
        arn = f"arn:{self._partition}:iam::aws:policy/AWSCompromisedKeyQuarantineV2"
        asked: Arguments = {"PolicyArn": arn, "EntityFilter": "User", "MaxItems": 1}
        await self._try("ListEntitiesForPolicy", asked)
        return tuple(check for check in self._checks if check.operation in self._needed)

    async def _keys(self, names: list[str]) -> None:
        """Try the listing of keys, and the last use of the first one found."""
        found = None
        for name in names[:_USERS_ASKED] or [NOBODY]:
            listed = await self._try("ListAccessKeys", {"UserName": name})
            keys = (listed or {}).get("AccessKeyMetadata", ())
            if keys:
                found = str(keys[0]["AccessKeyId"])
            if found or listed is None:
                break
        if found is not None:
            await self._try("GetAccessKeyLastUsed", {"AccessKeyId": found})
            return
        # IAM denies it for a key that it does not know, whatever the caller may do.
        self._note(
            Check(
                operation="iam:GetAccessKeyLastUsed",
                state=State.UNTOLD,
                detail=self._given_up() or "no access key was found to ask about",
            )
        )

    async def _try(self, name: str, arguments: Arguments) -> Mapping[str, Any] | None:
        """Make one call and note what it tells; None where there is no answer."""
        operation = f"iam:{name}"
        if self._silent is not None or operation not in self._needed:
            detail = self._given_up()
            self._note(Check(operation=operation, state=State.UNTOLD, detail=detail))
            return None
        try:
            answer = await self._iam.ask(name, arguments)
        except AwsFailure as failure:
            self._note(check_of(failure))
            if failure.kind in HOPELESS:
                self._silent = operation
            return None
        self._note(Check(operation=operation, state=State.ALLOWED))
        return answer

    def _given_up(self) -> str | None:
        return None if self._silent is None else f"not asked, since {self._silent} failed"

    def _note(self, check: Check) -> None:
        """Keep the check; of several with one operation the last that was answered."""
        self._checks = [each for each in self._checks if each.operation != check.operation]
        self._checks.append(check)
