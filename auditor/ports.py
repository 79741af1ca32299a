"""What the verbs need from the world, as protocols."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from auditor.errors import AwsFailure
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse
from auditor.model.account import Account, AccountId, Via
from auditor.model.finding import JudgedKey
from auditor.model.identity import IamUser
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.outcome import JournalLine, Step
from auditor.model.plan import Action, Plan
from auditor.model.run import Run, RunResults
from auditor.model.unknown import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDetails:
    """What GetAccountAuthorizationDetails tells of one user."""

    tags: Mapping[str, str] = field(hash=False)
    groups: tuple[str, ...]
    policies: tuple[str, ...]
    admin: Known[bool]
    quarantined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One row of the credential report, of the columns that matter here."""

    arn: str
    created_at: datetime | None
    password_enabled: Known[bool]
    mfa: Known[bool]
    keys: Known[tuple[AccessKey, ...]] = field(hash=False)
    """The filled slots; ids are not in the report. Unknown where not asked for, or not readable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialReport:
    """A parsed credential report."""

    generated_at: datetime
    root: ReportRow | None
    users: Mapping[str, ReportRow] = field(hash=False)
    """By ARN, the root user excepted."""
    unread: tuple[str, ...] = ()
    """Where a value could not be read: `bob: access_key_1_active`. The others count."""


class IamReader(Protocol):
    """The read operations of one account; each raises AwsFailure."""

    partition: str

    def users(self) -> AsyncIterator[Sequence[IamUser]]:
        """Yield ListUsers page by page, 1000 users a page."""
        ...

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        """Return all keys of a user (ListAccessKeys, all pages), their last use not yet asked."""
        ...

    async def last_use(self, key_id: AccessKeyId, *, user_name: str | None = None) -> LastUse:
        """Return Used or NeverUsed (GetAccessKeyLastUsed) of a key that is this user's."""
        ...

    async def generate_credential_report(self) -> bool:
        """Ask for a report; whether one is complete (GenerateCredentialReport)."""
        ...

    async def credential_report(self, *, slots: bool) -> CredentialReport:
        """Return the complete report, parsed (GetCredentialReport).

        The keys of IAM users are read with `slots` only; the root user's always.
        """
        ...

    async def user_details(self) -> Mapping[str, Known[UserDetails]]:
        """Return GetAccountAuthorizationDetails of all users, by user name."""
        ...

    async def has_password(self, user_name: str) -> bool:
        """Whether the user can sign in to the console (GetLoginProfile)."""
        ...

    async def root_keys_present(self) -> bool:
        """Whether the root user has any access key (GetAccountSummary)."""
        ...

    async def user_count(self) -> int:
        """Return how many users there are (GetAccountSummary)."""
        ...

    async def quarantined_users(self) -> frozenset[str]:
        """Return the names of users that a quarantine policy is attached to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount:
    """An account that credentials could be had for."""

    reader: IamReader
    via: Via
    role_arn: str | None
    renewed_via: Callable[[], Via] | None = None
    """Tells whose credentials read by now, where a renewal may change that."""

    @property
    def via_now(self) -> Via:
        """Whose credentials read by now."""
        return self.via if self.renewed_via is None else self.renewed_via()


class Sessions(Protocol):
    """The way into accounts."""

    def open(self, account: Account) -> AbstractAsyncContextManager[OpenAccount]:
        """Give credentials for the account while the context lasts; raise AwsFailure."""
        ...

    async def signed_out(self) -> AwsFailure | None:
        """Return why AWS does not accept the caller's own credentials any more; None if it does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who runs the tool (GetCallerIdentity)."""

    account_id: AccountId
    arn: str
    partition: str


class Organizations(Protocol):
    """AWS Organizations as seen by the caller; each method raises AwsFailure."""

    def accounts(self, parent_id: str | None) -> AsyncIterator[Account]:
        """Yield the accounts below a root or OU (None: the whole organization), top-down."""
        ...

    async def tags(self, account_id: AccountId) -> Mapping[str, str]:
        """Return the tags of an account (ListTagsForResource)."""
        ...


Keep: TypeAlias = Callable[[AccountInventory], Awaitable[None]]
"""Takes what was read of an account."""


class Auditing(Protocol):
    """Where accounts are read: in this process, or by many workers."""

    at_once: int
    """How many accounts are best read at the same time."""

    async def audit(self, account: Account, keep: Keep, *, waiting: int) -> None:
        """Read one account and hand it to `keep`, once at most; what AWS refuses is part of it.

        On cancellation what was read is handed over, and where the caller's own credentials have
        ended, which raises SignedOutError. `waiting` is how many accounts of the run are still to
        begin.
        """
        ...


class RunStore(Protocol):
    """Where runs are kept; every report reads from here."""

    def begin(self, run: Run, accounts: Sequence[Account]) -> None:
        """Commit the run's row and its accounts, each still unread."""
        ...

    def save(self, run_id: str, inventory: AccountInventory) -> None:
        """Commit one account, whole."""
        ...

    def finish(self, run: Run) -> None:
        """Commit the end of the run."""
        ...

    def accounts(self, run_id: str) -> Iterator[AccountInventory]:
        """Yield the accounts of a run in order of id, without their users."""
        ...

    def users(self, run_id: str, account_id: AccountId) -> Iterator[UserInventory]:
        """Yield the users of an account in order of name, each with all its keys."""
        ...

    def judge_ahead(self, run_id: str, judged: Sequence[JudgedKey]) -> None:
        """Commit what the policies said of some accounts; it counts once `record` is done."""
        ...

    def record(
        self,
        run_id: str,
        judged: Iterator[JudgedKey],
        results: Callable[[], RunResults],
    ) -> None:
        """Commit what the policies said, in one transaction, in place of an earlier judgement.

        That is what was kept ahead, and `judged`; `results` is asked once all of `judged` has been
        taken.
        """
        ...


class Progress(Protocol):
    """Who wants to know how far the scan is."""

    def called(self, operation: str) -> None:
        """Note a call, retries not counted."""
        ...

    def throttled(self) -> None:
        """Note an answer that told us to slow down."""
        ...


class Clock(Protocol):
    """The time, and waiting for it to pass."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """A new access key; the secret is shown to nobody but the sink."""

    id: AccessKeyId
    created_at: datetime
    secret: str = field(repr=False)
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a session for writing may do: each action on these resources, and to read anything."""

    actions: Mapping[str, tuple[str, ...]] = field(hash=False)
    """ARNs by action: `{"iam:UpdateAccessKey": ("arn:aws:iam::111111111111:user/amy",)}`."""


class IamWriter(Protocol):
    """What an apply asks of one account; each method raises AwsFailure.

    The calls that change something are sent once: a repetition is the caller's to decide.
    """

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        """Return all keys of a user (ListAccessKeys), their last use not yet asked."""
        ...

    async def last_use(self, key_id: AccessKeyId) -> LastUse:
        """Return Used or NeverUsed (GetAccessKeyLastUsed)."""
        ...

    async def user_arn(self, user_name: str) -> str:
        """Return the ARN of a user, which has its path (GetUser)."""
        ...

    async def user_tags(self, user_name: str) -> Mapping[str, str]:
        """Return the tags of a user (ListUserTags)."""
        ...

    async def quarantined(self, user_name: str) -> bool:
        """Whether a quarantine policy is attached to the user (ListAttachedUserPolicies)."""
        ...

    async def set_status(self, user_name: str, key_id: AccessKeyId, status: KeyStatus) -> str:
        """Make a key Active or Inactive (UpdateAccessKey); return the request id."""
        ...

    async def delete_key(self, user_name: str, key_id: AccessKeyId) -> str:
        """Delete a key (DeleteAccessKey); return the request id."""
        ...

    async def create_key(self, user_name: str) -> CreatedKey:
        """Create a key (CreateAccessKey)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenForWriting:
    """An account that a session for writing could be had for."""

    writer: IamWriter
    via: Via
    role_arn: str | None


class WriteSessions(Protocol):
    """The way into accounts for changing them."""

    def open_for(
        self, account: Account, grant: Grant
    ) -> AbstractAsyncContextManager[OpenForWriting]:
        """Give a session that may do what is granted while the context lasts; raise AwsFailure.

        A grant that is too large for one session fails with the code PackedPolicyTooLarge.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose key it is."""

    account: Account
    user_name: str


class SecretSink(Protocol):
    """Where the secret of a new key is put; each method raises AwsFailure or AuditError."""

    async def check(self, owner: Owner) -> None:
        """Raise where no secret of the owner's could be put: to be asked before a key is made."""
        ...

    async def put(self, owner: Owner, key: CreatedKey) -> str:
        """Store id and secret, read them back, and return where they are."""
        ...

    async def find(self, owner: Owner, key_id: AccessKeyId) -> str | None:
        """Return where the secret of this key is, if it is there whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFinding:
    """A finding of ours as a place has it from an earlier run."""

    id: str
    rule_id: str
    user_name: str | None
    """Whose key it is about; None where it is about the account."""
    active: bool
    """False once it was archived."""
    workflow: str
    """How far its readers are with it: `NEW`, `NOTIFIED`, `RESOLVED`, `SUPPRESSED`."""
    suppressed_as_exempt: bool
    """Whether it was this tool that suppressed it."""
    created_at: str
    first_observed_at: str
    observed_at: datetime
    updated_at: datetime
    content: Mapping[str, Any] = field(hash=False)
    """The finding, as it may be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A finding that a place did not take, and why."""

    id: str
    code: str
    message: str


class Publisher(Protocol):
    """A place that findings of one account are sent to; each method raises AwsFailure."""

    def published(self) -> AsyncIterator[Sequence[PublishedFinding]]:
        """Yield the findings of ours that it has, archived ones too, page by page."""
        ...

    async def send(self, findings: Sequence[Mapping[str, Any]]) -> Sequence[Rejected]:
        """Create or update findings, 100 at most; return those that were not taken."""
        ...

    async def set_workflow(self, ids: Sequence[str], status: str, note: str) -> Sequence[Rejected]:
        """Say how far findings are to be taken for dealt with, 100 at most, and why."""
        ...


class Journal(Protocol):
    """What was done, line by line; each is on the disk when `append` returns.

    Blocks while it writes: to be called from the writer's thread.
    """

    def append(
        self,
        *,
        at: datetime,
        plan: Plan,
        action: Action,
        step: Step,
        detail: Mapping[str, object],
    ) -> None:
        """Add a line."""
        ...

    def lines(self, plan_id: str) -> Sequence[JournalLine]:
        """Return the lines of a plan, in order."""
        ...
