"""`plan`, `apply` and `undo`: a run's findings, a reviewed plan, its outcomes."""

import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import TextIO, TypeAlias

from auditor.aws.connection import Connection
from auditor.aws.permissions import fits
from auditor.aws.session import Aws
from auditor.config import Source
from auditor.engine.tally import Tally
from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId
from auditor.model.account import Account
from auditor.model.outcome import JournalLine, Outcome, Result
from auditor.model.plan import Action, ActionKind, Held, Plan, Protection
from auditor.model.run import Run
from auditor.ports import Caller, Clock, Grant
from auditor.remediation import journal as written
from auditor.remediation import rails
from auditor.remediation.apply import Apply, Rails, grant
from auditor.remediation.planner import Planning, Rotation, plan
from auditor.remediation.undo import held_of, undo_plan
from auditor.remediation.window import Window
from auditor.store import plan_file
from auditor.store.journal import SqliteJournal
from auditor.store.output import STORE, Output
from auditor.store.proposals import active_keys, proposals
from auditor.store.runs import SqliteRunStore
from auditor.store.trusted import check_store
from auditor.wiring.judging import judge_if_needed
from auditor.wiring.partition import check_partition
from auditor.wiring.sinks import SinkChoice, open_sink, sink_name

_CONCURRENCY = 10
_PREFIX = "plan-"
_PLAN_ID = re.compile(_PREFIX + r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_REVERSE = {
    ActionKind.DEACTIVATE: ActionKind.ACTIVATE,
    ActionKind.ACTIVATE: ActionKind.DEACTIVATE,
}
_SETTLED = "it was cut off before it was carried out"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How an apply or undo is to be done, as asked for."""

    connection: Connection
    limits: rails.Limits
    sink: SinkChoice | None = None
    window: Window | None = None
    resume: bool = False
    protection: Protection = field(default_factory=Protection)
    """What is protected now: it counts besides what the plan protects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """As whom a plan is carried out, and where: what a person confirms besides the plan."""

    caller_arn: str
    scanned_by: str
    """The ARN of who scanned."""
    accounts: Mapping[str, str | None] = field(hash=False)
    """The names of the plan's accounts, by id."""


Confirm: TypeAlias = Callable[[Plan, Standing], None]
"""Asks whether to carry the plan out; raises AuditError where not."""


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
        """Whether every action was applied, and an undo held none back."""
        return not (self.plan.undoes and self.plan.held) and all(
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
        check_rules(planning, [rule.id for rule in run.rules], f"run {run.id}")
        judge_if_needed(store, run)
        own = _aws(connection, run, clock).known_key_ids()
        return planned(store, journal, run, planning, own_key_ids=own, now=clock.now())


def check_rules(planning: Planning, known: Sequence[str], judged: str) -> None:
    """Raise AuditError where --only names none of the rules; `judged` says what they judge."""
    for name in planning.only:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise AuditError(f"--only: no rule {name!r} judges {judged}", hint=hint)


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
    made = replace(made, run_digest=store.digest(run.id))
    journal.record_plan(made)
    return made


def write_plan(output: Output, made: Plan) -> Path:
    """Write plan.json beside the run's reports; raise AuditError."""
    text = plan_file.render(made)

    def write(out: TextIO) -> None:
        out.write(text)

    return output.write(made.run_id, plan_file.NAME, write)


def read_plan(name: str, store_file: Path | None, folder: Path) -> tuple[Plan, Path]:
    """Return a plan, by its file or its id, and the store that vouches for it; raise AuditError.

    Where no store is named it is the one in `folder`, wherever the file lies: a store beside a
    plan came with it, and says nothing of where both are from.
    """
    file = store_file or folder / STORE
    with _opened(file) as (_, journal):
        if _PLAN_ID.fullmatch(name):
            return journal.plan(name), file
        read, sha256 = plan_file.read(Path(name))
        journal.check_known(read, sha256)
    return read, file


def sessions(chosen: Plan) -> list[tuple[str, Grant]]:
    """Return what the sessions of an apply may do, by account: more where one is too small."""
    by_account = groupby(chosen.actions, key=lambda action: action.account_id)
    return [
        (account_id, granted)
        for account_id, actions in by_account
        for granted in _fitting(list(actions))
    ]


def _fitting(actions: list[Action]) -> list[Grant]:
    granted = grant(actions)
    users = sorted({action.user_name for action in actions})
    if len(users) == 1 or fits(granted):
        return [granted]
    half = set(users[: len(users) // 2])
    return [
        *_fitting([each for each in actions if each.user_name in half]),
        *_fitting([each for each in actions if each.user_name not in half]),
    ]


def check_limits(chosen: Plan, store_file: Path, limits: rails.Limits) -> None:
    """Raise AuditError where the plan goes beyond the limits."""
    with _opened(store_file) as (store, _):
        rails.check(chosen, limits, active_keys=active_keys(store.connection, chosen.run_id))


def agreed(_plan: Plan, _standing: Standing) -> None:
    """Confirm without asking anybody."""


async def apply(
    chosen: Plan,
    store_file: Path,
    options: ApplyOptions,
    *,
    clock: Clock,
    confirm: Confirm = agreed,
) -> Applied:
    """Apply a plan of this store; raise AuditError where it is not to be, before any change.

    What can be told without AWS is told before the first call. It is told again after the
    question, which may have been answered late.
    """
    with _opened(store_file) as (store, journal):
        if journal.plan(chosen.id) != chosen:
            raise AuditError(
                f"plan {chosen.id} is not the one that {store_file} has by now",
                hint="plan again, and find out who replaced the store",
            )
        books = _books(store, journal, chosen.run_id)
        _check(chosen, books, options, clock)
        async with _connected(options.connection, books, [chosen], clock) as aws:
            confirm(chosen, _standing(chosen, books, aws.caller))
            with journal.lease(chosen, now=clock.now()):
                settle_only = _check(chosen, books, options, clock)
                return await _carry_out(chosen, books, aws, options, clock, settle_only=settle_only)


async def undo(
    store_file: Path,
    run_name: str,
    options: ApplyOptions,
    *,
    keys: Sequence[str],
    clock: Clock,
    confirm: Confirm = agreed,
    show: Callable[[Applied], None] = lambda _: None,
) -> list[Applied]:
    """Take back what the run's plans took away; raise AuditError where there is nothing.

    What was cut off is settled first, and shown. What a plan of another run changed since is that
    plan's to undo.
    """
    with _opened(store_file) as (store, journal):
        books = _books(store, journal, run_name)
        plans = journal.plans(books.run.id)
        begun = [each for each in plans if _begun(each, journal, without_rotations=True)]
        made = [] if begun else _undo_plans(books, keys, clock.now())
        async with _connected(options.connection, books, plans, clock) as aws:
            for each in begun:
                with journal.lease(each, now=clock.now()):
                    show(await _carry_out(each, books, aws, options, clock, settle_only=_SETTLED))
            made = made or _undo_plans(books, keys, clock.now())
            for each in made:
                confirm(each, _standing(each, books, aws.caller))
            named = frozenset(AccessKeyId(key) for key in keys)
            done = []
            for each in made:
                journal.record_plan(each)
                with journal.lease(each, now=clock.now()):
                    done.append(await _carry_out(each, books, aws, options, clock, named=named))
            return done


def _undo_plans(books: _Books, keys: Sequence[str], now: datetime) -> list[Plan]:
    """Return the plans that take back what the run's plans took away; raise AuditError if none."""
    named = frozenset(AccessKeyId(key) for key in keys)
    run_id = books.run.id
    plans = [each for each in books.journal.plans(run_id) if each.undoes is None]
    known = {action.access_key_id for each in plans for action in each.actions}
    if named - known:
        raise AuditError(
            f"the plans of run {run_id} have no key {', '.join(sorted(named - known))}",
            hint=f"iamaudit history {run_id} shows what was done",
        )
    made = [_undo_of(each, books, named, now) for each in plans]
    made = [each for each in made if each.actions or each.held]
    if not made:
        raise AuditError(
            f"run {run_id} has nothing left to undo",
            hint=f"iamaudit history {run_id} shows what was done",
        )
    return made


@asynccontextmanager
async def _connected(
    connection: Connection, books: _Books, plans: Sequence[Plan], clock: Clock
) -> AsyncIterator[Aws]:
    """Give the way to AWS for these plans of a run, with every MFA code asked for."""
    aws = _aws(connection, books.run, clock, writes=True)
    accounts = {id_: one for plan in plans for id_, one in _accounts(plan, books).items()}
    async with aws.connect() as caller:
        check_partition("the plan", books.run.partition, caller)
        await aws.sign_in(accounts.values())
        yield aws


def _standing(chosen: Plan, books: _Books, caller: Caller) -> Standing:
    accounts = _accounts(chosen, books)
    return Standing(
        caller_arn=caller.arn,
        scanned_by=books.run.caller_arn,
        accounts={action.account_id: accounts[action.account_id].name for action in chosen.actions},
    )


def _begun(made: Plan, journal: SqliteJournal, *, without_rotations: bool = False) -> bool:
    """Whether some action was cut off."""
    return any(
        written.is_open(lines)
        for lines in written.by_action(journal.lines(made.id)).values()
        if not (without_rotations and lines[0].kind is ActionKind.ROTATE)
    )


def _undo_of(applied: Plan, books: _Books, keys: frozenset[AccessKeyId], now: datetime) -> Plan:
    lines = written.by_action(books.journal.lines(applied.id))
    mine: dict[str, Sequence[JournalLine]] = {}
    others: list[Held] = []
    restored: set[AccessKeyId] = set()
    for action in applied.actions:
        last = books.journal.last_change(action.account_id, action.access_key_id)
        if last is None or last.kind is ActionKind.ACTIVATE or action.id not in lines:
            continue
        if last.plan_id == applied.id:
            mine[action.id] = lines[action.id]
            if _seen_active_since(action, last, books.journal):
                restored.add(action.access_key_id)
        elif last.run_id != books.run.id and (not keys or action.access_key_id in keys):
            others.append(
                held_of(action, f"{last.plan_id} of run {last.run_id} took it away: undo that")
            )
    rotated = [action.id for action in applied.actions if action.kind is ActionKind.ROTATE]
    mine |= {each: lines[each] for each in rotated if each in lines}
    quarantine = frozenset(rule.id for rule in books.run.rules if "user.quarantined" in rule.facts)
    made = undo_plan(
        applied,
        mine,
        id_=_plan_id(now),
        keys=keys,
        quarantine_rules=quarantine,
        restored=frozenset(restored),
        now=now,
    )
    sealed = books.store.digest(books.run.id)
    return replace(made, held=(*made.held, *others), run_digest=sealed)


def _seen_active_since(action: Action, ended: JournalLine, journal: SqliteJournal) -> bool:
    """Whether a scan saw the key active after it was deactivated here: somebody restored it."""
    since = journal.history(action.account_id, action.access_key_id).inactive_since
    return since is None or since > ended.at


def _check(chosen: Plan, books: _Books, options: ApplyOptions, clock: Clock) -> str | None:
    """Raise AuditError where the plan must not be applied; return why it is only to be settled."""
    lines = written.by_action(books.journal.lines(chosen.id))
    if chosen.undoes is not None and not options.resume:
        raise AuditError(
            f"plan {chosen.id} is an undo's",
            hint=f"iamaudit undo {chosen.run_id} plans anew, by how the keys are now",
        )
    if lines and not options.resume:
        raise AuditError(
            f"plan {chosen.id} was applied already, or begun",
            hint="--resume goes on where it ended;"
            f" iamaudit history {chosen.run_id} shows what was done",
        )
    keys = active_keys(books.store.connection, chosen.run_id)
    rails.check(chosen, options.limits, active_keys=keys)
    _check_sinks(lines, options)
    if options.window is not None and not options.window.open_at(clock.now()):
        raise AuditError(
            f"it is outside the window {options.window}", hint="wait for it, or change --window"
        )
    if _taken_back(chosen, books.journal):
        return "the plan was undone since: plan again"
    try:
        rails.check_time(chosen, clock.now())
    except AuditError:
        if not _begun(chosen, books.journal):
            raise
        return "the plan has expired"
    if chosen.run_digest not in {None, books.store.digest(chosen.run_id)}:
        if not _begun(chosen, books.journal):
            raise AuditError(
                f"run {chosen.run_id} is not as it was when plan {chosen.id} was made from it",
                hint="plan again, unless you went on with the scan find out who wrote to the store",
            )
        return "the run is not as it was when the plan was made"
    return None


def _check_sinks(lines: Mapping[str, Sequence[JournalLine]], options: ApplyOptions) -> None:
    """Raise AuditError where a rotation was cut off and its secret went to another sink."""
    chosen = "" if options.sink is None else sink_name(options.sink, options.connection)
    for each in lines.values():
        if each[0].kind is not ActionKind.ROTATE or not written.is_open(each):
            continue
        used = str(written.since_intent(each)[0].detail.get("sink", chosen))
        if used != chosen:
            raise AuditError(
                f"a rotation of the plan was cut off while its secret went to {used}",
                hint="resume with the same --sink, region and folder: the secret may be there",
            )


def _taken_back(chosen: Plan, journal: SqliteJournal) -> dict[str, JournalLine]:
    """Return the lines of other plans that reversed what this one did, by action."""
    lines = written.by_action(journal.lines(chosen.id))
    found = {}
    for action in chosen.actions:
        mine = written.outcome(lines.get(action.id, ()))
        if mine is None or mine.result is not Result.APPLIED:
            continue
        last = journal.last_change(action.account_id, action.access_key_id)
        if (
            last is not None
            and last.plan_id != chosen.id
            and last.kind is _REVERSE.get(action.kind)
        ):
            found[action.id] = last
    return found


async def _carry_out(
    chosen: Plan,
    books: _Books,
    aws: Aws,
    options: ApplyOptions,
    clock: Clock,
    *,
    settle_only: str | None = None,
    named: frozenset[AccessKeyId] = frozenset(),
) -> Applied:
    """Apply the plan; return what came of it. The caller has its lease."""
    journal, run = books.journal, books.run
    interrupted = await Apply(
        chosen,
        accounts=_accounts(chosen, books),
        sessions=aws,
        journal=journal,
        sink=None if options.sink is None else open_sink(options.sink, aws),
        rails=Rails(
            caller_arn=aws.caller.arn,
            own_key_ids=aws.known_key_ids(),
            use_matters=frozenset(rule.id for rule in run.rules if rule.looks_at_use),
            window=options.window,
            settle_only=settle_only,
            rotations=_rotations(chosen, journal),
            sink_name="" if options.sink is None else sink_name(options.sink, options.connection),
            named=named,
            protection=options.protection,
            ended_at=_ended_at(chosen, journal),
        ),
        clock=clock,
    ).run()
    return Applied(plan=chosen, outcomes=_outcomes(chosen, journal), interrupted=interrupted)


def _outcomes(chosen: Plan, journal: SqliteJournal) -> dict[str, Outcome]:
    """Return how the plan's actions stand now, by action: what was undone since is not applied."""
    states = {
        action_id: written.state(lines)
        for action_id, lines in written.by_action(journal.lines(chosen.id)).items()
    }
    found = {name: outcome for name, outcome in states.items() if outcome is not None}
    for action_id, undone in _taken_back(chosen, journal).items():
        reason = f"undone since, by {undone.plan_id}"
        found[action_id] = Outcome(result=Result.SKIPPED, reason=reason)
    return found


def _ended_at(chosen: Plan, journal: SqliteJournal) -> dict[str, datetime]:
    """Return when this tool began to deactivate the keys that an undo restores, by action."""
    found = {}
    for action in chosen.actions:
        if action.kind is not ActionKind.ACTIVATE:
            continue
        last = journal.last_change(action.account_id, action.access_key_id)
        if last is not None and last.kind is ActionKind.DEACTIVATE:
            lines = written.by_action(journal.lines(last.plan_id))[last.action_id]
            found[action.id] = written.since_intent(lines)[0].at
    return found


def _rotations(chosen: Plan, journal: SqliteJournal) -> dict[str, Rotation]:
    """Return the finished rotations whose old key the plan retires, by action."""
    found = {
        action.id: journal.history(action.account_id, action.access_key_id).rotation
        for action in chosen.actions
        if action.kind is ActionKind.DEACTIVATE
    }
    return {name: each for name, each in found.items() if each is not None and each.finished}


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
    return f"{_PREFIX}{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def _books(store: SqliteRunStore, journal: SqliteJournal, run_name: str) -> _Books:
    """Return the run to act by; raise AuditError where the file is not whole, or there is none."""
    store.check_whole()
    return _Books(store=store, journal=journal, run=store.run(run_name))


def _accounts(chosen: Plan, books: _Books) -> dict[str, Account]:
    """Return the accounts of the run, by id; raise AuditError where one of the plan's is not."""
    found: dict[str, Account] = {
        each.account.id: each.account for each in books.store.accounts(books.run.id)
    }
    for action in chosen.actions:
        if action.account_id not in found:
            raise AuditError(
                f"the store is damaged: run {books.run.id} has no account {action.account_id},"
                f" in which plan {chosen.id} acts",
                hint="restore it, or name another with --store",
            )
    return found


@contextmanager
def _opened(file: Path) -> Iterator[tuple[SqliteRunStore, SqliteJournal]]:
    """Open a store that only this user can have written; raise AuditError for another's."""
    check_store(file)
    store = SqliteRunStore(file, create=False)
    try:
        journal = SqliteJournal(file)
        try:
            check_store(file)  # nothing was put in its place meanwhile
            yield store, journal
        finally:
            journal.close()
    finally:
        store.close()
