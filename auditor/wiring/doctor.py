"""`doctor`: what a scan of these accounts would miss, before it is made."""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from auditor import fanout
from auditor.aws.connection import Connection
from auditor.aws.entrance import roles_to_read
from auditor.aws.permissions import Purpose
from auditor.aws.readers import ClientReader
from auditor.aws.session import Aws
from auditor.engine.doctor import Check, State, check_of, examine
from auditor.engine.tally import Tally
from auditor.errors import AuditError, AwsFailure, ConfigurationFailure, FailureKind
from auditor.model.account import Account, AccountId, Via
from auditor.model.permission import KEY_ACTIONS, SCAN_ACTIONS, trust_statement
from auditor.ports import Caller, Clock
from auditor.targets.literal import Below, Item, parse_list
from auditor.targets.resolve import resolve
from auditor.wiring.policies import tried_policies

_AT_ONCE = 15
_ATTEMPTS = 2
_NO_ROOT = "r-0000"
"""A root that no organization has: asked of where the real one is not known."""
_SKEW = timedelta(minutes=2)
"""AWS refuses a signature that is more than five minutes off."""
_NO_ORGANIZATION = "AWSOrganizationsNotInUseException"
_SSO_ROLE = "AWSReservedSSO_"
READS = {Purpose.SCAN: frozenset(KEY_ACTIONS), Purpose.ENRICH: frozenset(SCAN_ACTIONS)}
"""What is tried in each account, by what is wanted of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What is to be examined, as asked for."""

    accounts: tuple[str, ...]
    exclude: tuple[str, ...]
    connection: Connection
    policies: tuple[str, ...]
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One account, and what it lets us do."""

    account: Account
    checks: tuple[Check, ...] = ()
    via: Via | None = None
    """None where nobody got in."""
    role_arn: str | None = None
    trust: object = None
    """The statement of a trust policy that lets the caller in, where it was refused."""

    @property
    def reached(self) -> bool:
        """Whether anything in it answered."""
        return self.via is not None and any(
            check.state in {State.ALLOWED, State.MISSING} for check in self.checks
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found out."""

    caller: Caller | None
    refused: AuditError | None = None
    """Why nobody calls."""
    skew: timedelta | None = None
    """How far AWS's clock is ahead of this machine's; None where no answer had a date."""
    organization: tuple[Check, ...] = ()
    """Where the LISTs or the policies ask for one."""
    accounts: tuple[Examined, ...] = ()

    @property
    def clock_is_off(self) -> bool:
        """Whether the clocks differ by so much that AWS soon refuses signatures."""
        return self.skew is not None and abs(self.skew) > _SKEW

    @property
    def reached(self) -> bool:
        """Whether a scan would read anything at all."""
        return any(each.reached for each in self.accounts)

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be missing."""
        checks = [*self.organization, *(c for each in self.accounts for c in each.checks)]
        bad = any(check.state in {State.MISSING, State.FAILED} for check in checks)
        return self.caller is not None and not self.clock_is_off and not bad


class _ServerClock:
    """Compares the dates of answers with this machine's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead: timedelta | None = None

    def seen(self, date: str) -> None:
        """Note the Date of an answer that has just come; it has whole seconds."""
        try:
            at = parsedate_to_datetime(date)
        except ValueError:
            return
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        self.ahead = _whole_seconds(at - self._clock.now())


async def diagnose(options: DoctorOptions, *, clock: Clock) -> Diagnosis:
    """Try all that a scan needs, without writing anything; raise AuditError for wrong usage."""
    facts = frozenset().union(
        *(each.facts for each in tried_policies(options.policies, now=clock.now()))
    )
    include = parse_list(options.accounts, option="--accounts")
    exclude = parse_list(options.exclude, option="--exclude")
    aws = Aws(
        options.connection,
        session_name="iamaudit-doctor",
        concurrency=_AT_ONCE,
        progress=Tally(),
        clock=clock,
        attempts=_ATTEMPTS,
        transport="sdk",  # its answers have the server's date
    )
    server = _ServerClock(clock)
    aws.watch_dates(server.seen)
    async with AsyncExitStack() as stack:
        try:
            caller = await stack.enter_async_context(aws.connect())
        except AuditError as error:
            failure = error.__context__
            if isinstance(failure, ConfigurationFailure) or (
                isinstance(failure, AwsFailure) and failure.kind is FailureKind.OTHER
            ):
                raise  # it is this machine's, and nothing was asked of AWS
            return Diagnosis(caller=None, refused=error, skew=server.ahead)
        organization = await _organization(aws, [*include, *exclude], facts, caller)
        accounts = await _resolved(aws, include, exclude, organization)
        await aws.sign_in(accounts)
        examined = await _examined(aws, accounts, options)
        return Diagnosis(
            caller=caller, skew=server.ahead, organization=organization, accounts=tuple(examined)
        )


async def _resolved(
    aws: Aws, include: Sequence[Item], exclude: Sequence[Item], organization: tuple[Check, ...]
) -> list[Account]:
    """Return the accounts; where the organization can't be read, those named beside it."""
    if any(check.state is not State.ALLOWED for check in organization):
        include = [item for item in include if not isinstance(item, Below)]
        exclude = [item for item in exclude if not isinstance(item, Below)]
        if not include:
            return []
    return await resolve(
        include,
        exclude,
        caller=aws.caller,
        organizations=aws.organizations,
        facts=frozenset(),
    )


async def _organization(
    aws: Aws, items: Iterable[Item], facts: frozenset[str], caller: Caller
) -> tuple[Check, ...]:
    """Try each operation of Organizations that the LISTs and the policies need."""
    parents = {item.parent_id for item in items if isinstance(item, Below)}
    if "account.ou" in facts:
        parents.add(None)
    units = sorted(each for each in parents if each is not None and each.startswith("ou-"))
    checks: list[Check] = []

    async def attempt(name: str, **arguments: str) -> object:
        if any(_NO_ORGANIZATION in (check.detail or "") for check in checks):
            return None
        try:
            answer = await aws.organizations.ask(name, **arguments)
        except AwsFailure as failure:
            checks.append(_organization_check(failure))
            return None
        checks.append(Check(operation=f"organizations:{name}", state=State.ALLOWED))
        return answer

    parent = next(iter(units), _NO_ROOT)
    if parents - set(units):
        answer = await attempt("ListRoots")
        roots = answer.get("Roots", ()) if isinstance(answer, dict) else ()
        parent = str(roots[0]["Id"]) if roots else parent
    if parents:
        await attempt("ListAccountsForParent", ParentId=parent)
        await attempt("ListOrganizationalUnitsForParent", ParentId=parent)
    if units:
        await attempt("DescribeOrganizationalUnit", OrganizationalUnitId=units[0])
        await attempt("ListParents", ChildId=units[0])
    if "account.tags" in facts:
        await attempt("ListTagsForResource", ResourceId=caller.account_id)
    return tuple(checks)


def _organization_check(failure: AwsFailure) -> Check:
    if failure.code == _NO_ORGANIZATION:
        return Check(
            operation=failure.operation,
            state=State.FAILED,
            detail=f"{failure.code}: the caller's account is not part of an organization",
            mend="name the accounts, or use self",
        )
    check = check_of(failure)
    if check.state is State.MISSING:
        where = "to the caller, in the management account or a delegated administrator's"
        return replace(check, mend=f"{check.mend} {where}")
    return check


async def _examined(
    aws: Aws, accounts: Sequence[Account], options: DoctorOptions
) -> list[Examined]:
    """Examine every account that a scan would read; the others come with no checks."""
    done: dict[AccountId, Examined] = {}

    async def one(account: Account) -> None:
        done[account.id] = await _account(aws, account, options)

    wanted = [account for account in accounts if account.skip is None]
    await fanout.each(wanted, one, limit=_AT_ONCE)
    return [done.get(account.id, Examined(account=account)) for account in accounts]


async def _account(aws: Aws, account: Account, options: DoctorOptions) -> Examined:
    try:
        async with aws.open(account) as opened:
            if not isinstance(opened.reader, ClientReader):
                raise TypeError("the SDK's transport gives the SDK's readers")
            checks = await examine(
                opened.reader, READS[options.purpose], partition=aws.caller.partition
            )
    except AwsFailure as failure:
        return _not_entered(aws.caller, account, failure, options.connection)
    return Examined(account=account, checks=checks, via=opened.via, role_arn=opened.role_arn)


def _not_entered(
    caller: Caller, account: Account, failure: AwsFailure, connection: Connection
) -> Examined:
    check = check_of(failure)
    if failure.kind is not FailureKind.DENIED or failure.operation != "sts:AssumeRole":
        failed = replace(check, state=State.FAILED) if check.state is State.UNTOLD else check
        return Examined(account=account, checks=(failed,))
    arns = roles_to_read(account, connection, caller) or []
    named = connection.source_identity is not None
    actions = ["sts:AssumeRole", *(["sts:SetSourceIdentity"] if named else [])]
    granted = {"Effect": "Allow", "Action": actions, "Resource": arns}
    trust = trust_statement(
        [_principal(caller)],
        external_id=account.external_id or connection.external_id,
        source_identity=named,
    )
    return Examined(
        account=account,
        checks=(replace(check, mend=f"{check.mend} to the caller", statement=granted),),
        trust=trust,
    )


def _principal(caller: Caller) -> str:
    """Return what a trust policy calls the caller by: for a session, its role's ARN.

    A role of Identity Center has a path that the session does not tell: its account is named.
    """
    kind, _, rest = caller.arn.split(":", 5)[5].partition("/")
    if kind != "assumed-role":
        return caller.arn
    if rest.startswith(_SSO_ROLE):
        return caller.account_id
    return f"arn:{caller.partition}:iam::{caller.account_id}:role/{rest.split('/')[0]}"


def _whole_seconds(span: timedelta) -> timedelta:
    return timedelta(seconds=round(span.total_seconds()))
