"""`plan`, `apply` and `undo`: a run's findings, a reviewed plan, its outcomes."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TextIO

from auditor.aws.connection import Connection
from auditor.aws.session import Aws
from auditor.config import Source
from auditor.engine.tally import Tally
from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId
from auditor.model.outcome import Outcome, Result
from auditor.model.plan import ActionKind, Plan
from auditor.model.run import Run
from auditor.ports import Clock, Grant
from auditor.remediation import journal as written
from auditor.remediation import rails
from auditor.remediation.apply import Apply, Rails, grant
from auditor.remediation.planner import Planning, plan
from auditor.remediation.undo import undo_plan
from auditor.remediation.window import Window
from auditor.store import plan_file
from auditor.store.journal import SqliteJournal
from auditor.store.output import STORE, Output
from auditor.store.proposals import active_keys, proposals
from auditor.store.runs import SqliteRunStore
from auditor.wiring.report import judge_if_needed
from auditor.wiring.sinks import SinkChoice, open_sink

_CONCURRENCY = 10
Confirm = Callable[[Plan], None]
"""Shows a plan and asks; raises AuditError where the answer is no, or nobody can answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How an apply or undo is to be done, as asked for."""

    connection: Connection
    limits: rails.Limits
    sink: SinkChoice | None = None
    window: Window | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """One run in its store."""

    store: SqliteRunStore
    journal: SqliteJournal
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of a plan."""

    plan: Plan
    outcomes: dict[str, Outcome] = field(hash=False)
    """By action; one that was not come to has none."""
    interrupted: bool

    @property
    def complete(self) -> bool:
        """Whether every action was applied."""
        return all(
            action.id in self.outcomes and self.outcomes[action.id].result is Result.APPLIED
            for action in self.plan.actions
        )


def make_plan(
    store_file: Path, run_name: str, planning: Planning, *, connection: Connection, clock: Clock
) -> Plan:
    """Plan by a stored run's findings, and keep the plan in the store; raise AuditError."""
    with _opened(store_file) as (store, journal):
        run = store.run(run_name)
        if run.source == Source.REPORT:
            raise AuditError(
                f"run {run.id} took last uses from credential reports, which are hours old",
                hint="scan with --remediate dry-run, which asks for them again, or scan live",
            )
        judge_if_needed(store, run)
        own = _aws(connection, run, clock).known_key_ids()
        return planned(store, journal, run, planning, own_key_ids=own, now=clock.now())


def planned(
    store: SqliteRunStore,
    journal: SqliteJournal,
    run: Run,
    planning: Planning,
    *,
    own_key_ids: frozenset[str],
    now: datetime,
) -> Plan:
    """Plan by the findings of a judged run, and keep the plan in the store."""
    made = plan(
        proposals(store.connection, run.id),
        id_=_plan_id(now),
        run=run,
        planning=planning,
        history=journal.history,
        own_key_ids=own_key_ids,
        now=now,
    )
    journal.record_plan(made)
    return made


def write_plan(output: Output, made: Plan) -> Path:
    """Write plan.json beside the run's reports; raise AuditError."""
    text = plan_file.render(made)

    def write(out: TextIO) -> None:
        out.write(text)

    return output.write(made.run_id, plan_file.NAME, write)


def read_plan(path: Path, store_file: Path | None) -> tuple[Plan, Path]:
    """Return a plan and the store that it was made in; raise AuditError for any other.

    Where no store is named it is the one of the output folder that the plan lies in.
    """
    read, sha256 = plan_file.read(path)
    file = store_file or path.resolve().parent.parent / STORE
    with _opened(file) as (_, journal):
        journal.check_known(read, sha256)
    return read, file


def grants(chosen: Plan) -> list[tuple[str, Grant]]:
    """Return what each account's session may do, where one is enough for the account."""
    by_account = groupby(chosen.actions, key=lambda action: action.account_id)
    return [(account_id, grant(list(actions))) for account_id, actions in by_account]


async def apply(
    chosen: Plan, store_file: Path, options: ApplyOptions, *, clock: Clock, confirm: Confirm
) -> Applied:
    """Apply a plan of this store; raise AuditError where it is not to be, before any call."""
    with _opened(store_file) as (store, journal):
        books = _Books(store=store, journal=journal, run=store.run(chosen.run_id))
        settle_only = _check(chosen, books, options, clock)
        confirm(chosen)
        return await _carry_out(chosen, books, options, clock, settle_only=settle_only)


async def undo(
    store_file: Path,
    run_name: str,
    options: ApplyOptions,
    *,
    keys: Sequence[str],
    clock: Clock,
    confirm: Confirm,
) -> list[Applied]:
    """Take back what the plans of a run deactivated; raise AuditError where there is nothing.

    An undo that was cut off is settled first.
    """
    with _opened(store_file) as (store, journal):
        books = _Books(store=store, journal=journal, run=store.run(run_name))
        named = frozenset(AccessKeyId(key) for key in keys)
        plans = journal.plans(books.run.id)
        unfinished = [each for each in plans if each.undoes is not None and _begun(each, journal)]
        done = [await _carry_out(each, books, options, clock, named=named) for each in unfinished]
        fresh = [_undo_of(each, books, named, clock.now()) for each in plans if each.undoes is None]
        fresh = [each for each in fresh if each.actions or each.held]
        if not done and not fresh:
            raise AuditError(
                f"nothing that run {books.run.id} led to can be undone",
                hint="iamaudit history RUN shows what was done",
            )
        for each in fresh:
            confirm(each)
        for each in fresh:
            journal.record_plan(each)
            done.append(await _carry_out(each, books, options, clock, named=named))
    return done


def _begun(made: Plan, journal: SqliteJournal) -> bool:
    """Whether some action was cut off."""
    return any(map(written.is_open, written.by_action(journal.lines(made.id)).values()))


def _undo_of(applied: Plan, books: _Books, keys: frozenset[AccessKeyId], now: datetime) -> Plan:
    lines = written.by_action(books.journal.lines(applied.id))
    restored = {
        line.access_key_id: line.sequence
        for line in books.journal.lines_of_run(books.run.id)
        if line.kind is ActionKind.ACTIVATE and line.detail.get("result") == Result.APPLIED
    }
    left = {
        action_id: each
        for action_id, each in lines.items()
        if restored.get(each[-1].access_key_id, -1) < each[-1].sequence
    }
    quarantine = frozenset(rule.id for rule in books.run.rules if "user.quarantined" in rule.facts)
    return undo_plan(
        applied, left, id_=_plan_id(now), keys=keys, quarantine_rules=quarantine, now=now
    )


def _check(chosen: Plan, books: _Books, options: ApplyOptions, clock: Clock) -> bool:
    """Raise AuditError where the plan must not be applied; return whether only to settle it."""
    if books.journal.lines(chosen.id) and not options.resume:
        raise AuditError(
            f"plan {chosen.id} was applied already, or begun",
            hint="--resume goes on where it ended; iamaudit history RUN shows what was done",
        )
    keys = active_keys(books.store.connection, chosen.run_id)
    rails.check(chosen, options.limits, active_keys=keys)
    if options.window is not None and not options.window.open_at(clock.now()):
        raise AuditError(
            f"it is outside the window {options.window}", hint="wait for it, or change --window"
        )
    if clock.now() >= chosen.expires_at and _begun(chosen, books.journal):
        return True
    rails.check_time(chosen, clock.now())
    return False


async def _carry_out(
    chosen: Plan,
    books: _Books,
    options: ApplyOptions,
    clock: Clock,
    *,
    settle_only: bool = False,
    named: frozenset[AccessKeyId] = frozenset(),
) -> Applied:
    """Apply the plan under its lease; return what came of it."""
    journal, run = books.journal, books.run
    aws = _aws(options.connection, run, clock, writes=True)
    with journal.lease(chosen, now=clock.now()):
        async with aws.connect() as caller:
            if caller.partition != chosen.partition:
                raise AuditError(
                    f"the plan is of partition {chosen.partition}, the caller of"
                    f" {caller.partition}",
                    hint="choose the credentials that scanned, with --profile",
                )
            interrupted = await Apply(
                chosen,
                accounts={each.account.id: each.account for each in books.store.accounts(run.id)},
                sessions=aws,
                journal=journal,
                sink=None if options.sink is None else open_sink(options.sink, aws),
                rails=Rails(
                    caller_arn=caller.arn,
                    own_key_ids=aws.known_key_ids(),
                    use_matters=frozenset(rule.id for rule in run.rules if rule.looks_at_use),
                    window=options.window,
                    settle_only=settle_only,
                    named=named,
                ),
                clock=clock,
            ).run()
    found = {
        action_id: written.outcome(lines)
        for action_id, lines in written.by_action(journal.lines(chosen.id)).items()
    }
    return Applied(
        plan=chosen,
        outcomes={name: outcome for name, outcome in found.items() if outcome is not None},
        interrupted=interrupted,
    )


def _aws(connection: Connection, run: Run, clock: Clock, *, writes: bool = False) -> Aws:
    return Aws(
        connection,
        session_name=f"iamaudit-{run.id}",
        concurrency=_CONCURRENCY,
        progress=Tally(),
        clock=clock,
        writes=writes,
    )


def _plan_id(now: datetime) -> str:
    return f"plan-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


@contextmanager
def _opened(file: Path) -> Iterator[tuple[SqliteRunStore, SqliteJournal]]:
    store = SqliteRunStore(file, create=False)
    try:
        journal = SqliteJournal(file)
        try:
            yield store, journal
        finally:
            journal.close()
    finally:
        store.close()
