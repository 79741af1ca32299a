"""Many runs of the tool, each with a schedule of faults of its own, each held against the truth.

    python -m tests.faults.soak [--seeds 200] [--first 0] [--jobs 2] [--stops 20] [--docs]
    python -m tests.faults.soak --seed SEED

Prints each seed that found a mistake with its schedule; the same seed draws the same schedule.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio

from auditor.config import Source, TransportName
from auditor.errors import AuditError
from auditor.model.outcome import JournalLine, Result
from auditor.model.plan import ActionKind, Plan
from auditor.remediation import journal as written
from auditor.remediation.planner import Planning
from auditor.remediation.rails import Limits
from auditor.store.journal import SqliteJournal
from auditor.wiring.remediation import ApplyOptions, apply, make_plan, undo, undo_plans
from tests.faults import document
from tests.faults.cloud import UNIT, Cloud
from tests.faults.desk import Desk, QuickClock, Ran, caller_in, open_files, others
from tests.faults.oracle import mistakes
from tests.faults.schedule import Happening, Schedule, drawn, drawn_for_changes
from tests.faults.server import FaultServer
from tests.faults.stops import Stops, stopped

LONGEST = 60.0
"""Seconds in which each run must have ended."""


@dataclass
class Figures:
    """What a soak comes to."""

    runs: Counter[str] = field(default_factory=Counter)
    """By what was run: `scan`, `apply`, `resume`, `undo`."""
    codes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Requests that were struck, by fault."""
    changes: int = 0
    """Of the organization, while it was read or changed."""
    schedules: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that the longest run took."""
    interrupted: int = 0
    killed: int = 0
    longest_stop: float = 0.0
    """Seconds from Ctrl-C to the end of the process, at most."""
    told: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        for name in ("runs", "codes", "faults", "wrong"):
            getattr(self, name).update(getattr(other, name))
        self.schedules += other.schedules
        self.changes += other.changes
        self.longest = max(self.longest, other.longest)
        self.told += other.told

    def add_stops(self, stops: Stops) -> None:
        self.interrupted += stops.interrupted
        self.killed += stops.killed
        self.longest_stop = max(self.longest_stop, stops.longest)
        self.wrong["wrong"] += len(stops.wrong)
        self.told += stops.wrong

    def dump(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def load(cls, text: str) -> "Figures":
        kept: dict[str, Any] = json.loads(text)
        for name in ("runs", "codes", "faults", "wrong"):
            kept[name] = Counter(kept[name])
        return cls(**kept)


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
        self._schedule = Schedule(rules=(), changes={})

    def found(self, kind: str, what: str) -> None:
        self.figures.wrong[kind] += 1
        self.figures.told.append(f"seed {self.seed}: {kind}: {what} [{self._schedule}]")

    async def run(self) -> Figures:
        """Scan, and if there is something to take away, apply, resume and undo."""
        dice, cloud = self._dice, self._cloud
        self.figures.schedules = 1
        server = FaultServer(cloud)
        files, tasks = open_files(), others()
        async with server.serving():
            desk = Desk(
                self.folder,
                server.url,
                accounts=(dice.choice(["org", "org", "org", f"{UNIT},self"]),),
                transport=dice.choice([TransportName.FAST, TransportName.FAST, TransportName.SDK]),
                more={"source": dice.choice([Source.LIVE, Source.LIVE, Source.REPORT])},
            )
            self._schedule = drawn(dice, cloud)
            cloud.session_calls = dice.choice([10**9, 10**9, 40])  # more than are in flight
            await self._bounded("scan", partial(self._scan, desk, server))
            self._strike(server, Schedule(rules=(), changes={}))
            planned = await self._planned(desk)
            if planned is not None:
                await self._changes(desk, server, planned)
        await asyncio.sleep(0)
        self._leaks(files, tasks)
        self.figures.faults.update({str(name): n for name, n in server.struck.items()})
        return self.figures

    def _strike(self, server: FaultServer, schedule: Schedule) -> None:
        self._schedule = schedule
        server.rules = list(schedule.rules)
        server.before = Happening(schedule, self._cloud)
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
            self.found("wrong", f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 -- what the tool raises besides is the finding
            self.found("traceback", f"{name}: {error!r}")
        self.figures.longest = max(self.figures.longest, time.monotonic() - began)

    async def _scan(self, desk: Desk, server: FaultServer) -> None:
        self._strike(server, self._schedule)
        ran = await desk.scan()
        self.figures.codes[f"{int(ran.code)}"] += 1
        if ran.report is None:
            self._not_scanned(ran, server)
            return
        out = set() if desk.accounts == ("org",) else self._not_in_scope()
        for kind, what in mistakes(self._cloud, ran.report, ran.code):
            if not any(each in what for each in out):
                self.found(kind, what)
        complete = ran.report["coverage"]["complete"]
        if self._schedule.harmless and not self._schedule.changes and not complete:
            self.found("wrong", "incomplete, for what should have cost nothing")

    def _not_in_scope(self) -> set[str]:
        _, *rest = self._cloud.accounts.values()
        return {f"account {account.id}" for account in rest if not account.unit}

    def _not_scanned(self, ran: Ran, server: FaultServer) -> None:
        assert ran.error is not None
        if not server.struck:
            self.found("wrong", f"undisturbed, and {ran.error}")
        if ran.code not in {2, 4} or "\n" in str(ran.error) or not ran.error.hint:
            self.found("wrong", f"exit code {ran.code} for {ran.error}")

    async def _planned(self, desk: Desk) -> Plan | None:
        """Return a plan by a scan of its own, without faults, as it would be reviewed."""
        if self._dice.random() < 0.4:
            return None
        clock = QuickClock()
        await desk.scan(source=Source.LIVE)
        self.figures.runs["scan"] += 1
        made = make_plan(desk.store, "latest", Planning(), connection=desk.connection, clock=clock)
        return made if made.actions else None

    async def _changes(self, desk: Desk, server: FaultServer, made: Plan) -> None:
        before = self._states()
        options = ApplyOptions(connection=desk.connection, limits=Limits())
        self._strike(server, drawn_for_changes(self._dice, self._cloud))
        await self._bounded("apply", partial(self._apply, desk, made, options))
        self._check_changes(desk, made, before)
        self._strike(server, Schedule(rules=(), changes={}))
        again = ApplyOptions(connection=desk.connection, limits=Limits(), resume=True)
        await self._bounded("resume", partial(self._apply, desk, made, again))
        self._check_changes(desk, made, before, settled=True)
        applied = self._applied(desk, made)
        if not applied:
            return
        self._strike(server, drawn_for_changes(self._dice, self._cloud))
        between = self._states()
        await self._bounded("undo", partial(self._undo, desk, options))
        self._check_undone(desk, made, applied, before, between, tried=True)
        self._strike(server, Schedule(rules=(), changes={}))
        await self._bounded("undo", partial(self._undo, desk, options))
        self._check_undone(desk, made, applied, before, between)

    async def _apply(self, desk: Desk, made: Plan, options: ApplyOptions) -> None:
        try:
            await apply(made, desk.store, options, clock=QuickClock())
        except AuditError as error:
            if not self._schedule.rules:
                self.found("wrong", f"apply, undisturbed: {error}")

    async def _undo(self, desk: Desk, options: ApplyOptions) -> None:
        clock = QuickClock()
        try:
            plans = undo_plans(desk.store, "latest", keys=(), clock=clock)
        except AuditError as error:
            if "left to be undone" not in str(error):
                raise
            return
        await undo(plans, desk.store, options, keys=(), clock=clock)

    def _states(self) -> dict[str, bool]:
        return {
            key.id: key.active
            for account in self._cloud.accounts.values()
            for user in account.users.values()
            for key in user.keys
        }

    def _results(self, desk: Desk, made: Plan) -> dict[str, Result | None]:
        """Return what the journal says of each key of a plan; None of one cut off."""
        journal = SqliteJournal(desk.store)
        try:
            lines = written.by_action(journal.lines(made.id))
        finally:
            journal.close()
        outcomes = {
            each.access_key_id: written.outcome(lines.get(each.id, ())) for each in made.actions
        }
        return {key: None if each is None else each.result for key, each in outcomes.items()}

    def _applied(self, desk: Desk, made: Plan) -> set[str]:
        return {
            key for key, result in self._results(desk, made).items() if result is Result.APPLIED
        }

    def _check_changes(
        self, desk: Desk, made: Plan, before: dict[str, bool], *, settled: bool = False
    ) -> None:
        """Hold the journal against the server."""
        now, results = self._states(), self._results(desk, made)
        for key, active in now.items():
            result = results.get(key)
            if key not in results and before.get(key, active) != active:
                self.found("wrong", f"{key} was changed and is in no plan")
            if result is Result.APPLIED and active:
                self.found("claim", f"{key}: the journal says applied, the server active")
            untouched = {Result.REFUSED, Result.DRIFTED, Result.SKIPPED}
            if result in untouched and not active and before.get(key):
                self.found("wrong", f"{key}: the journal says {result}, the server inactive")
            if settled and key in results and result in {None, Result.UNCLEAR}:
                self.found("wrong", f"{key}: {result} after a resume without faults")

    def _last_lines(self, desk: Desk, made: Plan) -> dict[str, JournalLine]:
        """Return what the journal says last of each key."""
        journal = SqliteJournal(desk.store)
        try:
            return {line.access_key_id: line for line in journal.lines_of_run(made.run_id)}
        finally:
            journal.close()

    def _check_undone(
        self,
        desk: Desk,
        made: Plan,
        applied: set[str],
        before: dict[str, bool],
        between: dict[str, bool],
        *,
        tried: bool = False,
    ) -> None:
        """Hold what came back against what was taken away: no less at last, and never more."""
        quarantined = {
            key.id
            for account in self._cloud.accounts.values()
            for user in account.users.values()
            for key in user.keys
            if user.quarantined
        }
        last = self._last_lines(desk, made)
        for key, active in self._states().items():
            if key not in applied and active != between.get(key, active):
                self.found("wrong", f"{key} was changed by an undo that it has no part in")
            back = active or tried or key in quarantined
            said = last[key].detail if key in last else {}
            if key in applied and not back:
                self.found("wrong", f"{key} was not restored: {said}")
            restored = key in last and last[key].kind is ActionKind.ACTIVATE
            if restored and said.get("result") == Result.APPLIED and not active:
                self.found("claim", f"{key}: the journal says restored, the server inactive")

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


async def trial(seed: int) -> Figures:
    """Run one seed in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return await Trial(seed, Path(folder)).run()


def soak(seeds: range, *, watch: bool = False) -> Figures:
    """Run seeds one after the other."""
    figures = Figures()

    async def all_of_them() -> None:
        for seed in seeds:
            one = await trial(seed)
            figures.add(one)
            if watch or one.told:
                for line in one.told or [f"seed {seed}: right"]:
                    print(line, file=sys.stderr, flush=True)  # noqa: T201

    with caller_in():
        anyio.run(all_of_them, backend="asyncio")
    return figures


def in_processes(seeds: range, jobs: int) -> Figures:
    """Run seeds in several processes at the same time."""
    parts = [seeds[number::jobs] for number in range(jobs)]
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.soak", "--json"),
                *("--first", str(part.start)),
                *("--seeds", str(len(part))),
                *("--step", str(part.step)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in parts
        if len(part)
    ]
    figures = Figures()
    for process in processes:
        told, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"a soak ended with {process.returncode}")
        figures.add(Figures.load(told))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many schedules")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, help="this schedule alone")
    parser.add_argument("--stops", type=int, default=0, help="processes to interrupt or kill")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/")
    parser.add_argument("--watch", action="store_true", help="name each seed")
    parser.add_argument("--json", action="store_true", help="print the figures")
    given = parser.parse_args()
    if given.seed is not None:
        seeds = range(given.seed, given.seed + 1)
    else:
        seeds = range(given.first, given.first + given.seeds * given.step, given.step)
    alone = given.jobs == 1
    figures = soak(seeds, watch=given.watch) if alone else in_processes(seeds, given.jobs)
    figures.add_stops(stopped(given.stops, seed=given.first))
    if given.docs:
        document.write(figures)
    if given.json:
        print(figures.dump())  # noqa: T201
    else:
        for name, value in vars(figures).items():
            print(name, dict(value) if isinstance(value, Counter) else value)  # noqa: T201
        sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
