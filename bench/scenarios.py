"""What is measured. Each scenario is one function; all numbers are of one run of this program."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.comparison import side_by_side, throughput
from bench.contenders.registry import IAMAUDIT, WORKERS
from bench.contest import contest
from bench.fake_aws.process import served
from bench.measure import Sample, measure
from bench.page import result as page_result
from bench.sizes import Size, ours
from bench.table import TIMES, Check, Result, Row

_CONCURRENCY = 60
"""iamaudit's default, and the naive loop's semaphore."""
_LATENCY = 0.040
_RATE, _BURST = 20, 20
FORMATS = ("json", "html", "csv", "markdown", "sarif", "ocsf", "asff", "junit")
"""Named here: to import the tool would add its memory to what is measured."""


def latency(size: Size) -> Result:
    """Measure how well waiting is used."""
    me = ours(size)
    found = contest(
        [me],
        runs=size.runs,
        slow_runs=size.slow_runs,
        core=size.core,
        accounts=size.accounts,
        users=size.latency_users,
        latency=_LATENCY * 1000,
    )
    rows = found.rows([me])
    checks = []
    for row in rows:
        waiting = row.sample.calls * _LATENCY / _CONCURRENCY
        bound = max(waiting, row.sample.cpu)
        name = f"{row.name}: wall, of max({waiting:.1f} s waiting, {row.sample.cpu:.1f} s CPU)"
        checks.append(Check(name=name, value=row.sample.wall / bound, target=1.25))
    title = (
        f"{_LATENCY * 1000:.0f} ms latency, {size.accounts} accounts {TIMES} {size.latency_users}"
    )
    return Result(id="b", title=f"{title} users", rows=rows, checks=checks, skipped=found.skipped)


def throttled(size: Size) -> Result:
    """Measure how close to what the buckets allow."""
    me = ours(size)
    found = contest(
        [me],
        runs=size.runs,
        slow_runs=size.slow_runs,
        core=size.core,
        accounts=size.accounts,
        users=size.throttled_users,
        rate=_RATE,
        burst=_BURST,
    )
    rows = found.rows([me])
    checks = []
    for row in rows:
        bound = (row.sample.iam_calls / size.accounts - _BURST) / _RATE
        name = f"{row.name}: wall, of the {bound:.1f} s that the buckets take"
        checks.append(Check(name=name, value=row.sample.wall / bound, target=1.15))
        checks += [
            Check(name=f"{row.name}: {name}", value=found.worst(me, fact), target=0)
            for name, fact in (("keys of unknown use", "unknown"), ("accounts failed", "failed"))
        ]
    title = f"{_RATE} calls a second and account"
    of = f"{size.accounts} accounts {TIMES} {size.throttled_users} users"
    return Result(id="c", title=f"{title}, {of}", rows=rows, checks=checks, skipped=found.skipped)


def growth(size: Size) -> Result:
    """Measure what ten times the accounts take."""
    me = ours(size)
    rows: list[Row] = []
    skipped: list[str] = []
    for accounts in size.growth:
        runs = min(size.runs, size.large_runs) if accounts == size.growth[-1] else size.runs
        found = contest([me], runs=runs, core=size.core, accounts=accounts, users=size.growth_users)
        skipped += found.skipped
        rows += [
            Row(name=f"{accounts:,} accounts", runs=row.runs, sample=row.sample)
            for row in found.rows([me])
        ]
    checks = []
    if len(rows) == len(size.growth):
        middle, large = rows[1].sample, rows[2].sample
        times = size.growth[2] / size.growth[1]
        memory = f"{me.name}: memory at {rows[2].name}, of that at {rows[1].name}"
        time = f"{me.name}: time at {rows[2].name}, of {times:g} times that at {rows[1].name}"
        checks = [
            Check(name=memory, value=large.peak / middle.peak, target=1.2),
            Check(name=time, value=large.wall / middle.wall / times, target=1.15),
        ]
    title = f"Growth: {me.name}, {size.growth_users} users in each account"
    return Result(id="d", title=title, rows=rows, checks=checks, skipped=skipped)


def start_up(size: Size) -> Result:
    """Measure what it takes to say hello."""
    samples = [measure([IAMAUDIT, "--help"]).sample for _ in range(size.runs)]
    found = Sample.median_of(samples)
    return Result(
        id="e",
        title="Start-up: iamaudit --help",
        rows=[Row(name="iamaudit --help", runs=len(samples), sample=found)],
        checks=[Check(name="CPU", value=found.cpu, target=0.4, unit="s")],
    )


def large_report(size: Size) -> Result:
    """Measure the writing of a report that no memory should hold."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        _, keys = _filled(folder, size.keys, size)
        found, runs, written = _reported(folder, "json", size)
    return Result(
        id="f",
        title=f"JSON of {keys:,} keys ({written / 1e6:,.0f} MB)",
        rows=[Row(name="iamaudit report", runs=runs, sample=found)],
        checks=[
            Check(name="time", value=found.wall, target=90, unit="s"),
            Check(name="peak memory", value=found.peak, target=200, unit="MiB"),
        ],
    )


def every_format(size: Size) -> Result:
    """Measure the writing of one run in each format, in a process of its own each."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        accounts, keys = _filled(folder, size.format_keys, size)
        for format_ in FORMATS:
            found, runs, written = _reported(folder, format_, size)
            row = Row(name=f"{format_}, {written / 1e6:,.1f} MB", runs=runs, sample=found)
            rows.append(row)
    largest = max(rows, key=lambda row: row.sample.peak)
    slowest = max(rows, key=lambda row: row.sample.wall)
    return Result(
        id="h",
        title=f"A run of {accounts} accounts and {keys:,} keys in each format",
        rows=rows,
        checks=[
            Check(name=f"slowest, {slowest.name}", value=slowest.sample.wall, target=30, unit="s"),
            Check(
                name=f"most memory, {largest.name}", value=largest.sample.peak, target=200,
                unit="MiB",
            ),
        ],
    )  # fmt: skip


def _filled(folder: Path, keys: int, size: Size) -> tuple[int, int]:
    """Make a store in the folder of accounts of 1,000 keys; return how many it has of each."""
    with served(accounts=1, users=min(667, max(8, keys // 30))) as fake:
        measure(ours(size).command(folder), fake=fake)
    store = str(folder / "iamaudit.db")
    filled = measure([sys.executable, "-m", "bench.million", store, f"--keys={keys}"])
    if filled.code:
        raise RuntimeError(filled.stderr)
    accounts, found = map(int, filled.stdout.split())
    return accounts, found


def _reported(folder: Path, format_: str, size: Size) -> tuple[Sample, int, int]:
    """Write a report some times; return the medians, the times, and its bytes."""
    command: list[str | Path] = [IAMAUDIT, "report", "--format", format_, "--fail-on", "never"]
    samples = []
    for _ in range(min(size.runs, size.large_runs)):
        ran = measure([*command, "--output", folder])
        if ran.code:
            raise RuntimeError(ran.stderr or ran.stdout)
        samples.append(ran.sample)
    report = folder / ran.stdout.splitlines()[-1].rpartition("/")[0]
    file = max(report.iterdir(), key=lambda each: each.stat().st_mtime_ns)
    return Sample.median_of(samples), len(samples), _size(file)


def page(size: Size) -> Result:
    """Measure what a person waits for who opens a report of 100,000 keys."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        _, keys = _filled(Path(name), size.format_keys, size)
        return page_result(Path(name) / "iamaudit.db", keys=keys, runs=size.runs)


def workers(size: Size) -> Result:
    """Measure what a second process takes off the first."""
    me = ours(size)
    found = contest(
        [me, WORKERS], runs=size.runs, core=size.core, accounts=size.accounts, users=size.users
    )
    rows = found.rows([me, WORKERS])
    checks = []
    if len(rows) == len([me, WORKERS]):
        alone, shared = rows[0].sample.cpu, rows[1].sample.busiest
        name = f"CPU of the busiest worker ({shared:.1f} s), of that of one process ({alone:.1f} s)"
        checks.append(Check(name=name, value=shared / alone, target=0.6))
    title = f"Two workers, {size.accounts} accounts {TIMES} {size.users} users"
    return Result(id="g", title=title, rows=rows, checks=checks, skipped=found.skipped)


SCENARIOS: dict[str, Callable[[Size], Result]] = {
    "0": throughput,
    "a": side_by_side,
    "b": latency,
    "c": throttled,
    "d": growth,
    "e": start_up,
    "f": large_report,
    "g": workers,
    "h": every_format,
    "i": page,
}


def _size(report: Path) -> int:
    """Return the bytes of a report; raise ValueError where it is empty, or JSON that is cut off."""
    with report.open("rb") as file:
        file.seek(max(0, report.stat().st_size - 64))
        end = file.read().rstrip()
    if not end or (report.suffix in {".json", ".sarif"} and end[-1:] not in {b"}", b"]"}):
        raise ValueError(f"{report} is cut off")
    return report.stat().st_size
