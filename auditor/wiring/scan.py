"""`scan`: read, store, judge, report."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from auditor import __version__, fanout
from auditor.aws.session import Aws
from auditor.config import ScanOptions, get_ready
from auditor.engine.ahead import JudgesAhead
from auditor.engine.in_process import InProcess
from auditor.engine.judgement import RunJudge
from auditor.engine.refresh import last_uses
from auditor.engine.scan import Ended, Scan
from auditor.engine.sizes import Measure, users_in
from auditor.engine.tally import Tally
from auditor.errors import AuditError, InterruptedAuditError
from auditor.formats.masked import MaskedReport
from auditor.formats.stream import ReportStream
from auditor.model.access_key import AccessKeyId
from auditor.model.account import Account
from auditor.model.plan import Plan
from auditor.model.run import Run
from auditor.policy.compiled import CompiledPolicy
from auditor.ports import Auditing, Caller, Clock
from auditor.remediation.planner import Planning
from auditor.store.journal import SqliteJournal
from auditor.store.output import Output
from auditor.store.proposals import proposals
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.store.sizes import keys_read, user_counts
from auditor.store.trusted import check_store
from auditor.targets.literal import parse_list
from auditor.targets.resolve import resolve
from auditor.wiring.changes import changes_since, find_baseline
from auditor.wiring.cluster import on_cluster
from auditor.wiring.judging import judge_of, kept_unjudged
from auditor.wiring.policies import stamps, tried_policies
from auditor.wiring.remediation import check_rules, planned, write_plan
from auditor.wiring.report import write_reports
from auditor.wiring.resume import left_to_read, unfinished

_ACCOUNTS_AT_ONCE = 15
_MOST_TOLD_AT_ONCE = 2500
"""Keys that are judged and reported after Ctrl-C: who stops a scan waits for no more than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """A finished or interrupted scan; its document reads the store, so close it last."""

    document: ReportStream
    folder: Path
    """Where the reports are: the link to the latest run where there could be one."""
    ended: Ended
    plan: Plan | None
    """Where one was asked for."""
    run_id: str
    output: Output
    store: SqliteRunStore

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()


def new_run_id(now: datetime) -> str:
    """Return a new run's id: its start in UTC and four random bytes."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


async def scan(
    options: ScanOptions,
    *,
    run_id: str,
    tally: Tally,
    clock: Clock,
    shown: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> ScanResult:
    """Scan, judge and report; raise AuditError where that can't be done.

    `shown` shows the tally: from when there is nobody to be asked any more, for an MFA code.

    Policies, LISTs, the runs to go on with or to compare with, credentials and the output folder
    are tried before anything is written. What was read is kept and reported where the scan is
    interrupted, and where the caller's credentials end.
    """
    policies = tried_policies(options.policies, now=options.now or clock.now())
    include = parse_list(options.accounts, option="--accounts")
    exclude = parse_list(options.exclude, option="--exclude")
    output = Output(options.output)
    output.check()
    if options.planning is not None:
        known = [rule.id for rule in stamps(policies)]
        check_rules(options.planning, known, "this scan")
        check_store(output.store)
    begun = None
    if options.resume is not None:
        begun = unfinished(output.store, options.resume, options, policies)
        run_id = begun.id
    earlier = None if options.baseline is None else find_baseline(output.store, options.baseline)
    aws = Aws(
        options.connection,
        session_name=f"iamaudit-{run_id}",
        concurrency=options.concurrency,
        progress=tally,
        clock=clock,
        transport=options.transport.value,
    )
    async with (
        aws.connect() as caller,
        _auditing(options, aws, run_id=run_id, tally=tally, clock=clock) as auditing,
        fanout.meanwhile(partial(get_ready, options.formats)),  # AWS is waited for anyway
    ):
        accounts = await resolve(
            include,
            exclude,
            caller=caller,
            organizations=aws.organizations,
            facts=frozenset().union(*(policy.facts for policy in policies)),
        )
        await aws.sign_in(accounts)
        output.prepare()
        store = SqliteRunStore(output.store)
        try:
            with shown(), store.lease(run_id, now=clock.now()):
                if begun is None:
                    run = _new_run(run_id, options, policies, caller, clock.now())
                    store.begin(run, accounts)
                    left: Sequence[Account] = accounts
                else:
                    run, left = begun, left_to_read(store, begun, accounts, caller)
                judge = judge_of(store, run, policies)
                # What is gone on with is judged as it is kept, not as it is found by now.
                ahead = JudgesAhead(judge, store, run_id, clock) if begun is None else None
                reading = Scan(
                    auditing,
                    store=store,
                    run_id=run_id,
                    tally=tally,
                    sizes=user_counts(store.connection),
                    measure=_measure(options, aws),
                    ahead=ahead,
                )
                ended = await reading.read(left)
                store.finish(_ended(run, tally, None if ended.early else clock.now()))
                scanned = _Scanned(
                    options=options,
                    aws=aws,
                    store=store,
                    output=output,
                    run=run,
                    policies=policies,
                    accounts=accounts,
                    earlier=earlier,
                )
                return await scanned.result(ended, judge, now=clock.now())
        except BaseException:
            store.close()
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    """A run whose accounts were read, to be judged, planned for and reported."""

    options: ScanOptions
    aws: Aws
    store: SqliteRunStore
    output: Output
    run: Run
    policies: Sequence[CompiledPolicy]
    accounts: Sequence[Account]
    earlier: str | None

    async def result(self, ended: Ended, judge: RunJudge, *, now: datetime) -> ScanResult:
        """Return the result; raise AuditError where it can't be told.

        `judge` is for what was not judged while it was read.
        """
        if ended.interrupted:
            self._check_soon_told()
        try:
            document = self._judged(judge)
            plan = None
            if self.options.planning is not None and not ended.early:
                if self.options.from_report:
                    await _ask_again(self.aws, self.store, self.run, self.accounts)
                    document = self._judged(judge_of(self.store, self.run, self.policies))
                plan = _plan(
                    self.store,
                    self.output,
                    self.run,
                    self.options.planning,
                    own_key_ids=self.aws.known_key_ids(),
                    now=now,
                )
            formats, templates = self.options.formats, self.options.templates
            told: ReportStream = MaskedReport(document) if self.options.mask_keys else document
            write_reports(self.output, told, self.run.id, formats, templates)
            folder = self.output.link_latest(self.run.id)
        except AuditError as error:
            if not ended.early:
                raise
            raise InterruptedAuditError(
                f"interrupted, and not reported: {error}",
                hint=f"what was read is kept in {self.output.store}",
            ) from None
        return ScanResult(
            document=told,
            folder=folder,
            ended=ended,
            plan=plan,
            output=self.output,
            store=self.store,
            run_id=self.run.id,
        )

    def _check_soon_told(self) -> None:
        """Raise InterruptedAuditError where so much was read that the telling would take long."""
        keys = keys_read(self.store.connection, self.run.id)
        if keys > _MOST_TOLD_AT_ONCE:
            raise InterruptedAuditError(
                f"interrupted; the {keys:,} keys that were read are kept in {self.output.store}",
                hint=f"the same command with --resume {self.run.id} goes on;"
                f" iamaudit report --run {self.run.id} tells what there is",
            )

    def _judged(self, judge: RunJudge) -> StoredReport:
        with kept_unjudged(self.run.id):
            self.store.record(self.run.id, judge.judged(), judge.results)
        changes = changes_since(self.store, self.earlier, self.run.id)
        return StoredReport(
            self.store.connection, self.run.id, version=__version__, changes=changes
        )


def _ended(run: Run, tally: Tally, finished_at: datetime | None) -> Run:
    """Return the run with what it took, before it was cut off as well."""
    return replace(
        run,
        finished_at=finished_at,
        api_calls=Counter(run.api_calls) + tally.calls,
        throttled=run.throttled + tally.throttles,
    )


def _measure(options: ScanOptions, aws: Aws) -> Measure | None:
    """Return what asks for sizes: where reports are read that is most of what an account takes.

    Workers elsewhere may enter accounts that this machine may not.
    """
    if options.from_report or options.scheduler is not None:
        return None
    return partial(users_in, aws)


@asynccontextmanager
async def _auditing(
    options: ScanOptions, aws: Aws, *, run_id: str, tally: Tally, clock: Clock
) -> AsyncIterator[Auditing]:
    """Give what reads accounts: this process, or workers; raise AuditError."""
    if options.workers is None and options.scheduler is None:
        yield InProcess(
            aws,
            concurrency=options.concurrency,
            tally=tally,
            clock=clock,
            prepared=aws.prepared,
            from_report=options.from_report,
        )
        return
    partition = aws.caller.partition
    async with on_cluster(options, run_id=run_id, partition=partition, tally=tally) as cluster:
        yield cluster


async def _ask_again(
    aws: Aws, store: SqliteRunStore, run: Run, accounts: Sequence[Account]
) -> None:
    """Read the last use of every key that may be planned for, live: reports are hours old."""
    by_id = {account.id: account for account in accounts}
    keys: dict[Account, list[AccessKeyId]] = {}
    for proposal in proposals(store.connection, run.id):
        if proposal.key.id is not None:
            keys.setdefault(by_id[proposal.account_id], []).append(proposal.key.id)
    store.set_last_uses(run.id, await last_uses(aws, keys, concurrency=_ACCOUNTS_AT_ONCE))


def _plan(
    store: SqliteRunStore,
    output: Output,
    run: Run,
    planning: Planning,
    *,
    own_key_ids: frozenset[str],
    now: datetime,
) -> Plan:
    journal = SqliteJournal(output.store)
    try:
        made = planned(store, journal, run, planning, own_key_ids=own_key_ids, now=now)
    finally:
        journal.close()
    write_plan(output, made)
    return made


def _new_run(
    run_id: str,
    options: ScanOptions,
    policies: Sequence[CompiledPolicy],
    caller: Caller,
    started_at: datetime,
) -> Run:
    return Run(
        id=run_id,
        started_at=started_at,
        finished_at=None,
        now=options.now or started_at,
        source=options.source,
        partition=caller.partition,
        caller_arn=caller.arn,
        policies=tuple(policy.stamp for policy in policies),
        sources=tuple(policy.source for policy in policies),
        rules=stamps(policies),
        api_calls={},
        throttled=0,
    )
