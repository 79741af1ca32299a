"""`publish securityhub`: a stored run's findings, account by account."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from auditor import __version__
from auditor.aws.connection import Connection
from auditor.aws.region import region_of
from auditor.aws.session import Aws
from auditor.engine.tally import Tally
from auditor.errors import AwsFailure
from auditor.fanout import each, until_interrupted
from auditor.formats import asff
from auditor.model.account import Account, OutcomeKind
from auditor.model.finding import Severity
from auditor.model.run import Run
from auditor.ports import Clock, PublishedFinding
from auditor.publish.security_hub import COVERAGE_RULE, Publication, Published
from auditor.store.looked import Looked
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.judging import judge_if_needed
from auditor.wiring.partition import check_partition

_ACCOUNTS_AT_ONCE = 8
_ESCAPE = "\\"
"""No user's name has one: there was something in it that is not shown as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """What is to be published, and where."""

    run: str
    connection: Connection
    regions: tuple[str, ...] = ()
    """Of Security Hub; none: the region that the connection has."""
    least: Severity = Severity.INFO
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came of one account in one region."""

    account: Account
    region: str
    published: Published
    failure: AwsFailure | None = None
    """What ended it, where something did; `published` is what was done before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """What came of a run's findings."""

    run_id: str
    deliveries: Sequence[Delivery] = field(hash=False)
    """In order of region, as given, and account; those that were not come to are missing."""
    expected: int
    interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """The findings of one account for one region."""

    place: int
    account: Account
    region: str
    findings: Sequence[Mapping[str, Any]]


async def publish_to_security_hub(
    store_file: Path, options: PublishOptions, *, clock: Clock
) -> Deliveries:
    """Publish a run's findings; raise AuditError.

    Each account is entered as a scan enters it, for Security Hub takes its findings from nobody
    else. Memory holds the findings of a few accounts.
    """
    with closing(SqliteRunStore(store_file, create=False)) as store:
        run = store.run(options.run)
        judge_if_needed(store, run)
        aws = Aws(
            options.connection,
            session_name=f"iamaudit-{run.id}",
            concurrency=_ACCOUNTS_AT_ONCE,
            progress=Tally(),
            clock=clock,
            publishes=True,
        )
        async with aws.connect() as caller:
            check_partition("the run", run.partition, caller)
            await aws.sign_in(each.account for each in store.accounts(run.id))
            return await _publish(store, run, aws, options, clock=clock)


async def _publish(
    store: SqliteRunStore, run: Run, aws: Aws, options: PublishOptions, *, clock: Clock
) -> Deliveries:
    regions = options.regions or (region_of(options.connection),)
    accounts = [
        inventory.account
        for inventory in store.accounts(run.id)
        if inventory.outcome is not OutcomeKind.SKIPPED
    ]
    looked = Looked.of(store.connection, run.id)
    publication = Publication(
        observed_at=run.finished_at or run.started_at,
        now=clock.now(),
        least=options.least,
        dry_run=options.dry_run,
    )
    done: dict[int, Delivery] = {}

    async def deliver(parcel: _Parcel) -> None:
        account, region, published = parcel.account, parcel.region, Published()
        failure = None
        try:
            async with aws.open_security_hub(account, region=region) as hub:
                why_silent = partial(_why_silent, looked, account)
                await publication.publish(parcel.findings, hub, why_silent, published)
        except AwsFailure as refused:
            failure = refused
        done[parcel.place] = Delivery(
            account=account, region=region, published=published, failure=failure
        )

    report = StoredReport(store.connection, run.id, version=__version__)
    with closing(_parcels(report, accounts, regions)) as parcels:  # it reads the store
        work = partial(each, parcels, deliver, limit=_ACCOUNTS_AT_ONCE)
        interrupted = await until_interrupted(work)
    return Deliveries(
        run_id=run.id,
        deliveries=[done[place] for place in sorted(done)],
        expected=len(accounts) * len(regions),
        interrupted=interrupted,
    )


def _parcels(
    report: StoredReport, accounts: Sequence[Account], regions: Sequence[str]
) -> Generator[_Parcel, None, None]:
    """Yield a parcel for every account, those without findings too, in each region."""
    place = 0
    for region in regions:
        findings = groupby(asff.findings(report, region=region), key=itemgetter("AwsAccountId"))
        group = next(findings, None)
        for account in accounts:
            while group is not None and group[0] < account.id:  # an account that was skipped
                group = next(findings, None)
            mine: list[Mapping[str, Any]] = []
            if group is not None and group[0] == account.id:
                mine, group = list(group[1]), next(findings, None)
            yield _Parcel(place=place, account=account, region=region, findings=mine)
            place += 1


def _why_silent(looked: Looked, account: Account, known: PublishedFinding) -> str | None:
    """Return why the run could not have found it again; None where it could."""
    outcome = looked.accounts[account.id].outcome
    if known.rule_id == COVERAGE_RULE or outcome not in {OutcomeKind.AUDITED, OutcomeKind.PARTIAL}:
        return None if outcome == OutcomeKind.AUDITED else "the account was not read whole"
    if known.user_name is None:
        return "it does not say whose key it is about"
    if _ESCAPE in known.user_name and outcome != OutcomeKind.AUDITED:
        return "the account was not read whole"
    return looked.why_silent(account.id, known.user_name, known.rule_id)
