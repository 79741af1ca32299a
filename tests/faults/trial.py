"""One seed: an organization, what goes wrong with it, and all that a person would run on it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio

from auditor.aws.permissions import SECRET_PREFIX
from auditor.config import Source, TransportName
from auditor.errors import AuditError
from auditor.model.outcome import JournalLine, Result
from auditor.model.plan import ActionKind, Plan, Protection
from auditor.remediation.planner import Planning
from auditor.remediation.rails import Limits
from auditor.store.journal import SqliteJournal
from auditor.wiring.remediation import (
    Applied,
    ApplyOptions,
    apply,
    make_plan,
    undo,
)
from auditor.wiring.sinks import SinkChoice
from tests.faults.cloud import PROTECTED_PATH, PROTECTED_TAG, UNIT, Cloud
from tests.faults.desk import Desk, Ran, open_files, others
from tests.faults.figures import Figures
from tests.faults.oracle import mistakes
from tests.faults.oracle_of_changes import (
    ROTATES,
    Moment,
    mistakes_of_apply,
    mistakes_of_retirement,
    mistakes_of_undo,
    outcomes,
)
from tests.faults.schedule import Happening, Schedule, drawn, drawn_for_changes
from tests.faults.server import FaultServer
from tests.faults.spills import Ear, secrets_in
from tests.faults.vault import key_and_secret

LONGEST = 60.0
"""Seconds in which each run must have ended."""
_LONG_AGO = timedelta(days=40)
"""A key that a scan saw inactive then may be deleted now."""
_FOR_GOOD = (ROTATES, "inactive-key-lingering")
"""Rules whose remedies can't be undone: rotation and deletion."""
_NOTHING = Schedule(rules=(), changes={})


@dataclass(frozen=True, kw_only=True)
class Leave:
    """What a plan may do besides deactivating, and where the secrets of new keys go."""

    delete: bool
    rotate: bool
    only: tuple[str, ...]
    folder: Path | None
    """None: to Secrets Manager."""

    @property
    def planning(self) -> Planning:
        return Planning(
            only=self.only,
            allow_delete=self.delete,
            allow_rotate=self.rotate,
            protection=Protection(patterns=(f"*{PROTECTED_PATH}*",), tag=PROTECTED_TAG),
        )

    @property
    def limits(self) -> Limits:
        return Limits(allow_delete=self.delete, allow_rotate=self.rotate)

    @property
    def sink(self) -> SinkChoice:
        return SinkChoice(folder=self.folder)

    def kept(self, cloud: Cloud) -> dict[str, str]:
        """Return the secrets that the sink has, by the id of their key."""
        texts = [*cloud.vault.texts()]
        if self.folder is not None:
            texts = [each.read_text() for each in self.folder.rglob("*.json")]
        return dict(key_and_secret(text) for text in texts)


@dataclass
class Trial:
    """One seed: a cloud, a schedule, and what came of it."""

    seed: int
    folder: Path
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        self._dice = Random(self.seed)  # noqa: S311
        self._cloud = Cloud(
            self.seed,
            accounts=self._dice.randint(1, 4),
            users=self._dice.choice([0, 3, 8]),
            now=datetime.now(UTC),
        )
        self._schedule = _NOTHING
        self._server = FaultServer(self._cloud)
        self._ear = Ear()
        self._desk = Desk(self.folder / "desk", "")
        self._leave = Leave(
            delete=self._dice.random() < 0.7,
            rotate=self._dice.random() < 0.7,
            only=self._dice.choice([(), _FOR_GOOD]),
            folder=self._dice.choice([self.folder / "sink", None]),
        )

    def found(self, kind: str, what: str) -> None:
        self.figures.wrong[kind] += 1
        self.figures.told.append(f"seed {self.seed}: {kind}: {what} [{self._schedule}]")

    async def run(self) -> Figures:
        """Scan, and if there is something to change, apply, resume and undo."""
        dice, cloud, server = self._dice, self._cloud, self._server
        self.figures.schedules = 1
        files, tasks = open_files(), others()
        with self._ear.listening():
            async with server.serving():
                self._desk = Desk(
                    self.folder / "desk",
                    server.url,
                    accounts=(dice.choice(["org", "org", "org", f"{UNIT},self"]),),
                    transport=dice.choice(
                        [TransportName.FAST, TransportName.FAST, TransportName.SDK]
                    ),
                    more={"source": dice.choice([Source.LIVE, Source.LIVE, Source.REPORT])},
                )
                cloud.session_calls = dice.choice([10**9, 10**9, 40])  # more than are in flight
                await self._all_of_it()
        await asyncio.sleep(0)
        self._leaks(files, tasks)
        self.figures.faults.update({str(name): n for name, n in server.struck.items()})
        return self.figures

    async def _all_of_it(self) -> None:
        self._strike(drawn(self._dice, self._cloud))
        await self._bounded("scan", self._scan)
        self._strike(_NOTHING)
        planned = None if self._dice.random() < 0.4 else await self._planned()
        if planned is not None:
            applied = await self._changes(planned)
            if applied:
                await self._taken_back(planned, applied)
            self._check_report(planned)
            if ActionKind.ROTATE in applied.values():
                await self._retired()
        for arn in self._cloud.vault.spoilt:
            self.found("wrong", f"a secret of others was changed: {arn}")
        for place in secrets_in(self._desk.folder, self._cloud.said, self._ear.heard):
            self.found("wrong", f"a secret is in {place}")

    def _strike(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._server.rules = list(schedule.rules)
        self._server.before = Happening(schedule, self._cloud)
        self._desk.patient = not schedule.hangs
        self.figures.changes += len(schedule.changes)
        for account in self._cloud.accounts.values():
            account.suspended = False

    async def _bounded(self, name: str, work: Any) -> None:
        self.figures.runs[name] += 1
        began = time.monotonic()
        try:
            with anyio.fail_after(LONGEST):
                await work()
        except TimeoutError:
            self.found("wrong", f"{name} did not end in {LONGEST} s")
        except AuditError as error:
            self._ear.heard.append(f"{error} {error.hint}")
            self.found("wrong", f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 -- what the tool raises besides is the finding
            self.found("traceback", f"{name}: {error!r}")
        self.figures.longest = max(self.figures.longest, time.monotonic() - began)

    # Scans.

    async def _scan(self) -> None:
        ago = self._dice.choice([timedelta(), _LONG_AGO])
        ran = await self._desk.scan(ago=ago)
        self.figures.codes[f"{int(ran.code)}"] += 1
        if ran.report is None:
            self._not_scanned(ran)
            return
        out = set() if self._desk.accounts == ("org",) else self._not_in_scope()
        for kind, what in mistakes(self._cloud, ran.report, ran.code, misled=self._misled()):
            if not any(each in what for each in out):
                self.found(kind, what)
        complete = ran.report["coverage"]["complete"]
        quiet = self._schedule.harmless and not self._schedule.changes
        # A clock that is behind has keys that were made after it: these can't be judged.
        if quiet and not ago and not complete:
            self.found("wrong", "incomplete, for what should have cost nothing")

    def _misled(self) -> set[str]:
        """Accounts that gave an old report, and nothing that says that it is old."""
        struck = self._server.struck_answers
        return {
            account
            for account in self._server.stale_accounts
            if (account, "GetAccountSummary") in struck
        }

    def _not_in_scope(self) -> set[str]:
        _, *rest = self._cloud.accounts.values()
        return {f"account {account.id}" for account in rest if not account.unit}

    def _not_scanned(self, ran: Ran) -> None:
        assert ran.error is not None
        self._ear.heard.append(f"{ran.error} {ran.error.hint}")
        if not self._server.struck:
            self.found("wrong", f"undisturbed, and {ran.error}")
        if ran.code not in {2, 4} or "\n" in str(ran.error) or not ran.error.hint:
            self.found("wrong", f"exit code {ran.code} for {ran.error}")

    async def _planned(self) -> Plan | None:
        """Return a plan by a scan of its own, without faults, as it would be reviewed."""
        desk = self._desk
        await desk.scan(source=Source.LIVE)
        self.figures.runs["scan"] += 1
        made = make_plan(
            desk.store,
            "latest",
            self._leave.planning,
            connection=desk.connection,
            clock=self._desk.clock(),
        )
        return made if made.actions else None

    # Changes.

    async def _changes(self, made: Plan) -> dict[str, ActionKind]:
        """Apply and resume, at last without faults; return what was changed, and how."""
        self._meanwhile(made)
        before = Moment.of(self._cloud)
        kinds = sorted({action.kind for action in made.actions})
        self._strike(drawn_for_changes(self._dice, kinds))
        await self._bounded("apply", partial(self._apply, made, resume=False))
        self._check_applied(made, before)
        if self._dice.random() < 0.3:
            self._strike(drawn_for_changes(self._dice, kinds))
            await self._bounded("resume", partial(self._apply, made, resume=True))
            self._check_applied(made, before)
        self._strike(_NOTHING)
        await self._bounded("resume", partial(self._apply, made, resume=True))
        self._check_applied(made, before, settled=True)
        return self._applied(made)

    def _meanwhile(self, made: Plan) -> None:
        """Let something happen between the plan and its apply that must hold back an action."""
        cloud, dice = self._cloud, self._dice
        action = dice.choice(made.actions)
        account = cloud.accounts[action.account_id]
        user = account.users.get(action.user_name)
        what = dice.choice(["nothing", "nothing", "moved", "a secret of others"])
        self.figures.meanwhile[what] += 1
        if what == "moved" and user is not None:
            cloud.move(account, user)
        elif what == "a secret of others":
            for each in made.actions:
                if each.kind is ActionKind.ROTATE:
                    cloud.vault.make_foreign(
                        each.account_id, f"{SECRET_PREFIX}{each.account_id}/{each.user_name}"
                    )
                    break

    def _ended_by_others(self, applied: Mapping[str, ActionKind]) -> None:
        """Let somebody activate a key that the plan deactivated, use it and end it again."""
        for key_id, kind in applied.items():
            if kind is ActionKind.DEACTIVATE and self._dice.random() < 0.3:
                account = self._cloud.accounts[self._cloud.account_of(key_id)]
                _, key = account.ever[key_id]
                self._cloud.use_and_end(account, key)
                self.figures.meanwhile["used and ended by others"] += 1

    async def _taken_back(self, made: Plan, applied: Mapping[str, ActionKind]) -> None:
        self._ended_by_others(applied)
        self._strike(drawn_for_changes(self._dice, [ActionKind.DEACTIVATE]))
        between = Moment.of(self._cloud)
        check = partial(self._check_undone, made, applied, between)
        await self._bounded("undo", partial(self._undo, applied, check, tried=True))
        self._strike(_NOTHING)
        await self._bounded("undo", partial(self._undo, applied, check, tried=False))

    async def _retired(self) -> None:
        """Plan again once the new keys are in use: now the old ones may go."""
        self._cloud.use_new_keys()
        later = await self._planned()
        if later is not None:
            kept = self._leave.kept(self._cloud)
            for kind, what in mistakes_of_retirement(self._cloud, later, kept):
                self.found(kind, what)
            await self._changes(later)

    def _options(self, *, resume: bool = False) -> ApplyOptions:
        return ApplyOptions(
            connection=self._desk.connection,
            limits=self._leave.limits,
            sink=self._leave.sink if self._leave.rotate else None,
            resume=resume,
        )

    async def _apply(self, made: Plan, *, resume: bool) -> None:
        try:
            await apply(
                made, self._desk.store, self._options(resume=resume), clock=self._desk.clock()
            )
        except AuditError as error:
            self._ear.heard.append(f"{error} {error.hint}")
            if not self._schedule.rules:
                self.found("wrong", f"apply, undisturbed: {error}")

    async def _undo(self, applied: Mapping[str, ActionKind], check: Any, *, tried: bool) -> None:
        """Do what the command does: settle, plan, take back."""
        clock, store = self._desk.clock(), self._desk.store
        options = ApplyOptions(connection=self._desk.connection, limits=Limits())
        done: list[Applied] = []
        try:
            done = await undo(store, "latest", options, keys=(), clock=clock)
        except AuditError as error:
            if "nothing left to undo" not in str(error):
                raise
        check(None if tried else [each for one in done for each in one.plan.held])
        for_good = {ActionKind.DELETE, ActionKind.ROTATE}.intersection(applied.values())
        if for_good and all(each.complete for each in done):
            self.found("claim", f"an undo is called complete, in spite of {for_good}")

    def _lines(self, made: Plan, *, of_run: bool = False) -> Sequence[JournalLine]:
        journal = SqliteJournal(self._desk.store)
        try:
            return journal.lines_of_run(made.run_id) if of_run else journal.lines(made.id)
        finally:
            journal.close()

    def _applied(self, made: Plan) -> dict[str, ActionKind]:
        """Return the keys that were changed, and how; count how all ended."""
        said = outcomes(made, self._lines(made))
        for action in made.actions:
            outcome = said[action.access_key_id]
            ended = "not begun" if outcome is None else outcome.result
            retires = action.because == (ROTATES,) and action.kind is ActionKind.DEACTIVATE
            name = "retire" if retires else action.kind
            self.figures.actions[f"{name}: {ended}"] += 1
        return {
            action.access_key_id: action.kind
            for action in made.actions
            if (outcome := said[action.access_key_id]) and outcome.result is Result.APPLIED
        }

    def _check_applied(self, made: Plan, before: Moment, *, settled: bool = False) -> None:
        for kind, what in mistakes_of_apply(
            self._cloud,
            made,
            self._lines(made),
            before=before,
            kept=self._leave.kept(self._cloud),
            settled=settled,
        ):
            self.found(kind, what)

    def _check_undone(
        self, made: Plan, applied: Mapping[str, ActionKind], between: Moment, held: Any
    ) -> None:
        for kind, what in mistakes_of_undo(
            self._cloud,
            self._lines(made, of_run=True),
            applied=applied,
            between=between,
            held=held,
        ):
            self.found(kind, what)

    def _check_report(self, made: Plan) -> None:
        """Hold what a report says at last against the journal: what is gone is never undone."""
        said = outcomes(made, self._lines(made))
        for action in self._desk.report(made.run_id)["plan"]["actions"]:
            key, told = action["access_key_id"], action["outcome"]
            outcome = said[key]
            if (told and told["result"]) != (outcome and outcome.result):
                self.found("wrong", f"{key}: the report says {told}, the journal {outcome}")
            if told and told["undone"] and action["kind"] != ActionKind.DEACTIVATE:
                self.found("claim", f"{key}: the report says undone, of a {action['kind']}")

    def _leaks(self, files: set[str], tasks: set[asyncio.Task[Any]]) -> None:
        left = {each for each in open_files() - files if "aiodns" not in each}
        if left:
            self.found("leak", f"open: {sorted(left)}")
        stray = [each for each in others() - tasks if not each.done()]
        if stray:
            self.found("leak", f"tasks: {stray}")
        partial_files = list(self.folder.rglob("*.partial"))
        if partial_files:
            self.found("leak", f"files: {partial_files}")
