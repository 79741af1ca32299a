"""Reading one account: users and keys as they come, enrichment beside them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio

from auditor import fanout
from auditor.engine.enrichment import (
    Enrichment,
    identity_of,
    root_user,
    use_of,
    with_use,
)
from auditor.engine.report_poll import poll
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure, ConfigurationFailure, FailureKind
from auditor.fanout import Share
from auditor.model.access_key import AccessKey, KeyStatus, LastUse
from auditor.model.account import Account, OutcomeKind
from auditor.model.identity import IamUser
from auditor.model.inventory import AccountInventory, ReadError, UserInventory
from auditor.model.unknown import UNREADABLE, Known, Unknown
from auditor.ports import Clock, CredentialReport, IamReader, OpenAccount

T = TypeVar("T")

HOPELESS = frozenset({FailureKind.UNAVAILABLE, FailureKind.CREDENTIALS})
"""What counts towards giving up. A throttled call does not: an account that says so is there."""
_FAILURES_IN_A_ROW = 5
"""After so many calls that did not get through, each with its retries, an account is given up."""

INTERRUPTED = "Interrupted"
# Places of one report that are named; a report that is broken throughout has thousands.
_MOST_PLACES = 50


class _GaveUpError(Exception):
    """Raised to stop the reading of an account that no longer answers."""


class AccountReading:
    """Reads one account and keeps what it has, so that an interruption loses nothing."""

    def __init__(
        self,
        account: Account,
        opened: OpenAccount,
        *,
        share: Share,
        workers: int,
        tally: Tally,
        clock: Clock,
        from_report: bool = False,
        all_begun: Callable[[], None] = lambda: None,
    ) -> None:
        """With `from_report` ask for keys and last uses only where the report can't tell.

        `all_begun` is told when no user is left that nobody reads.
        """
        self._account = account
        self._from_report = from_report
        self._opened = opened
        self._reader: IamReader = opened.reader
        self._share = share
        self._workers = workers
        self._tally = tally
        self._clock = clock
        self._all_begun = all_begun
        self._users: dict[str, tuple[IamUser, Sequence[AccessKey]]] = {}
        self._names: dict[str, str] = {}  # of the users above, by UserId
        self._missing: list[tuple[IamUser, AwsFailure]] = []  # listed, and then IAM knew no such
        self._errors: list[ReadError] = []
        self._whole = True
        self._finished = False
        self._listed = False
        self._first_page = anyio.Event()
        """Set once users are listed, or can't be."""
        self._last_use_denied = False
        self._in_a_row = 0
        self._given_up = self._refused_credentials = False
        self._enrichment = Enrichment()

    async def read(self) -> None:
        """Read all there is; what AWS refuses or fails is kept as errors."""
        try:
            if self._from_report:
                await fanout.together(self._read_report, self._read_summary)
                await fanout.together(self._read_users, self._read_details)
            else:
                await fanout.together(
                    self._read_users, self._read_report, self._read_summary, self._read_details
                )
            await self._find_missing()
            newer = self._newer_users()
            limit = min(self._workers, len(newer))
            await fanout.each(newer, self._read_password, limit=limit)
        except _GaveUpError:
            self._whole = False
            self._errors.append(
                ReadError(
                    operation="scan",
                    code="GaveUp",
                    message=f"{_FAILURES_IN_A_ROW} calls in a row did not get through",
                )
            )
        self.ended()

    @property
    def refused_credentials(self) -> bool:
        """Whether AWS, or the SDK, had something against the credentials."""
        return self._refused_credentials

    def ended(self) -> None:
        """Take the reading for done: there is no more to be had."""
        self._finished = True

    def cut_off(self) -> None:
        """Take the reading for one that did not end: it is to be done again."""
        self._finished = False

    def conclude(self) -> AccountInventory:
        """Return what has been read, and how far it goes: not whole if read() did not end."""
        errors = sorted(self._errors, key=lambda error: (error.operation, error.subject or ""))
        if not self._finished:
            errors.append(
                ReadError(operation="scan", code=INTERRUPTED, message="the run was interrupted")
            )
        users = [
            UserInventory(identity=identity_of(user, self._enrichment), keys=tuple(keys))
            for user, keys in self._users.values()
        ]
        arn = f"arn:{self._reader.partition}:iam::{self._account.id}:root"
        root = root_user(self._enrichment, arn=arn)
        report = self._enrichment.report
        return AccountInventory(
            account=self._account,
            outcome=self._outcome(),
            via=self._opened.via_now,
            role_arn=self._opened.role_arn,
            credential_report_at=(
                report.generated_at if isinstance(report, CredentialReport) else None
            ),
            root_keys_unknown=self._enrichment.root_keys.unknown,
            users=tuple(sorted((*users, *root), key=lambda user: user.identity.name)),
            errors=tuple(errors),
        )

    def _outcome(self) -> OutcomeKind:
        if self._whole and self._finished:
            return OutcomeKind.AUDITED
        read = self._listed or self._enrichment.told_something
        return OutcomeKind.PARTIAL if read else OutcomeKind.UNREACHABLE

    async def _read_users(self) -> None:
        await fanout.each_of(self._listed_users(), self._read_user, limit=self._workers)

    async def _listed_users(self) -> AsyncIterator[Sequence[IamUser]]:
        pages = aiter(self._reader.users())
        while True:
            try:
                page = await self._ask(partial(anext, pages, None))
            except AwsFailure as failure:
                self._missed(failure)
                page = None
            else:
                self._listed = True
            self._first_page.set()
            if page is None:
                self._all_begun()
                return
            self._tally.users += len(page)
            yield page

    async def _read_user(self, user: IamUser) -> None:
        try:
            await self._read_keys_of(user)
        except AwsFailure as failure:
            if failure.kind is FailureKind.GONE:  # deleted since the listing, or renamed
                self._missing.append((user, failure))
            else:
                self._missed(failure, subject=user.name)
        self._tally.users_done += 1

    async def _read_keys_of(self, user: IamUser) -> None:
        slots = self._slots(user)
        keys = await self._read_keys(user, slots) if slots is None or slots else ()
        if user.id:
            # Renamed between two pages, a user is listed twice: its keys count once.
            name = self._names.pop(user.id, user.name)
            self._users.pop(name, None)
            self._names[user.id] = user.name
        self._users[user.name] = (user, keys)
        self._tally.keys += len(keys)
        for key in keys:
            if key.status is KeyStatus.UNKNOWN:
                self._unreadable("iam:ListAccessKeys", f"{key.id}", "its status")

    async def _find_missing(self) -> None:
        """List users once more where IAM did not know some of them: what was renamed is read."""
        if not self._missing:
            return
        try:
            now = [user for page in await self._users_again() for user in page]
        except AwsFailure as failure:
            self._missed(failure)
            for user, why in self._missing:
                self._missed(why, subject=user.name)
            return
        for user, why in self._missing:
            await self._read_missing(user, why, now)

    async def _users_again(self) -> list[Sequence[IamUser]]:
        pages, read = aiter(self._reader.users()), []
        while (page := await self._ask(partial(anext, pages, None))) is not None:
            read.append(page)
        return read

    async def _read_missing(self, user: IamUser, why: AwsFailure, now: Sequence[IamUser]) -> None:
        """Read the keys of a user that IAM did not know, under the name that it has by now."""
        if any(user.id and read.id == user.id for read, _ in self._users.values()):
            return  # it was listed under both names, and read under the new one
        unread = (each for each in now if each.name not in self._users)
        found = next((each for each in unread if _same_user(each, user)), None)
        if found is None:
            if self._reported_active(user):
                self._missed(why, subject=user.name)
            return
        try:
            await self._read_keys_of(found)
        except AwsFailure as failure:
            self._missed(failure, subject=found.name)

    def _reported_active(self, user: IamUser) -> bool:
        """Whether the credential report has active keys of the user."""
        report = self._enrichment.report
        row = None if isinstance(report, Unknown) else Enrichment.row(report, user)
        if row is None or isinstance(row.keys, Unknown):
            return False
        return any(key.active for key in row.keys)

    async def _read_keys(
        self, user: IamUser, slots: Sequence[AccessKey] | None
    ) -> Sequence[AccessKey]:
        """Return the user's keys with their last uses; raise AwsFailure where they can't be listed.

        The calls about a user come one after the other: one place is taken for all of them.
        """
        async with self._share:
            keys = await self._list_keys(user)
            read = [
                use_of(key, keys, slots or ()) or await self._with_last_use(user, key)
                for key in keys
            ]
        return sorted((key for key in read if key), key=lambda key: key.id or "")

    def _slots(self, user: IamUser) -> Sequence[AccessKey] | None:
        """Return the user's keys as the report has them; None where only asking can tell."""
        report = self._enrichment.report
        if not self._from_report or isinstance(report, Unknown):
            return None
        row = Enrichment.row(report, user)
        return None if row is None or isinstance(row.keys, Unknown) else row.keys

    def _newer_users(self) -> list[IamUser]:
        """Return the users that the credential report does not have yet."""
        report = self._enrichment.report
        if isinstance(report, Unknown):
            return []
        return [user for user, _ in self._users.values() if Enrichment.row(report, user) is None]

    async def _list_keys(self, user: IamUser) -> Sequence[AccessKey]:
        return await self._call(partial(self._reader.access_keys, user.name))

    async def _with_last_use(self, user: IamUser, key: AccessKey) -> AccessKey | None:
        """Return the key with its last use; None if it is gone by now."""
        if key.id is None:
            raise RuntimeError("ListAccessKeys names every key")
        last_use: LastUse
        try:
            last_use = await self._call(partial(self._reader.last_use, key.id, user_name=user.name))
        except AwsFailure as failure:
            if await self._gone(user, key, failure):
                return None
            self._missed(failure, subject=key.id)
            last_use = _unknown(failure)
        return with_use(key, last_use)

    async def _gone(self, user: IamUser, key: AccessKey, failure: AwsFailure) -> bool:
        """Whether the key was deleted since the listing.

        IAM answers AccessDenied for a key it does not know. Where the listing still has the
        key, the action itself is denied, and no other key of the account need be looked up.
        """
        denied = failure.kind is FailureKind.DENIED
        if failure.kind is not FailureKind.GONE and (not denied or self._last_use_denied):
            return False
        try:
            present = {each.id for each in await self._list_keys(user)}
        except AwsFailure as again:
            return again.kind is FailureKind.GONE
        self._last_use_denied |= denied and key.id in present
        return key.id not in present

    async def _read_report(self) -> None:
        get = partial(self._reader.credential_report, slots=self._from_report)
        try:
            polled = await poll(
                partial(self._ask, self._reader.generate_credential_report),
                partial(self._ask, get),
                self._clock,
            )
        except AwsFailure as failure:
            self._noted(failure)
            self._enrichment.report = _unknown(failure)
            return
        self._enrichment.report = polled.report
        if polled.not_generated is not None:
            self._noted(polled.not_generated)
        for place in polled.report.unread[:_MOST_PLACES]:
            self._unreadable("iam:GetCredentialReport", place, "a value")

    async def _read_summary(self) -> None:
        """Ask whether the root user has keys at all: the report may be older than they are."""
        try:
            self._enrichment.root_keys_present = await self._ask(self._reader.root_keys_present)
        except AwsFailure as failure:
            self._noted(failure)

    async def _read_details(self) -> None:
        """Ask for what takes long to read once keys can be asked for meanwhile."""
        await self._first_page.wait()
        try:
            details = await self._ask(self._reader.user_details)
            self._enrichment.details = details
            for name, known in details.items():
                if isinstance(known, Unknown):
                    self._unreadable(known.operation, name, "what policies, groups and tags it has")
        except AwsFailure as failure:
            self._noted(failure)
            self._enrichment.details = _unknown(failure)
            if failure.kind is FailureKind.DENIED:
                await self._read_quarantine()

    async def _read_quarantine(self) -> None:
        try:
            self._enrichment.quarantined = await self._ask(self._reader.quarantined_users)
        except AwsFailure as failure:
            self._noted(failure)
            self._enrichment.quarantined = _unknown(failure)

    async def _read_password(self, user: IamUser) -> None:
        password: Known[bool]
        try:
            password = await self._ask(partial(self._reader.has_password, user.name))
        except AwsFailure as failure:
            self._noted(failure, subject=user.name)
            password = _unknown(failure)
        self._enrichment.passwords[user.name] = password

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call within the account's share, as `_call` does."""
        async with self._share:
            return await self._call(call)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call where a place was taken; give the account up where it is hopeless."""
        if self._given_up:
            raise _GaveUpError  # by another call, while this one waited
        try:
            answer = await call()
        except AwsFailure as failure:
            self._refused_credentials |= failure.kind is FailureKind.CREDENTIALS
            self._in_a_row = self._in_a_row + 1 if failure.kind in HOPELESS else 0
            if self._in_a_row < _FAILURES_IN_A_ROW:
                raise
            self._noted(failure)
            self._given_up = True
            raise _GaveUpError from None
        self._in_a_row = 0
        return answer

    def _missed(self, failure: AwsFailure, *, subject: str | None = None) -> None:
        """Note a failure that leaves a user or a key unread."""
        self._whole = False
        self._noted(failure, subject=subject)

    def _unreadable(self, operation: str, subject: str, what: str) -> None:
        """Note a value that is lost by itself: whatever else was answered counts."""
        message = f"{what} could not be read: it is not what AWS documents"
        self._errors.append(
            ReadError(operation=operation, code=UNREADABLE, message=message, subject=subject)
        )

    def _noted(self, failure: AwsFailure, *, subject: str | None = None) -> None:
        self._errors.append(error_of(failure, subject=subject))


def unreachable(account: Account, error: ReadError) -> AccountInventory:
    """Return the inventory of an account of which nothing was read."""
    return AccountInventory(account=account, outcome=OutcomeKind.UNREACHABLE, errors=(error,))


def error_of(failure: AwsFailure, *, subject: str | None = None) -> ReadError:
    """Return a failure as a value of the inventory."""
    message = failure.message
    if isinstance(failure, ConfigurationFailure):
        message = f"{message}; {failure.hint}"
    return ReadError(
        operation=failure.operation, code=failure.code, message=message, subject=subject
    )


def _unknown(failure: AwsFailure) -> Unknown:
    return Unknown(operation=failure.operation, code=failure.code)


def _same_user(one: IamUser, other: IamUser) -> bool:
    """Whether both are one user, whatever its name: UserId stays when a user is renamed."""
    if one.id and other.id:
        return one.id == other.id
    return one.arn == other.arn or one.created_at == other.created_at
