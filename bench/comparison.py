"""Everybody beside each other, and the fake alone."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.contenders.registry import (
    BARE,
    C7N,
    FAST,
    IAMAUDIT,
    NAIVE,
    PROWLER,
    REPORT,
    SDK,
    SEQUENTIAL,
    THREADS,
)
from bench.contest import contest
from bench.fake_aws.process import served
from bench.fake_aws.world import key_count
from bench.measure import Sample, measure
from bench.sizes import Size, ours
from bench.table import TIMES, Check, Result, Row


def throughput(size: Size) -> Result:
    """Measure the fake alone."""
    with served(core=size.core, accounts=1, users=10) as fake:
        samples = []
        rates = []
        for _ in range(min(size.runs, 3)):
            ran = measure([sys.executable, "-m", "bench.contenders.load"], fake=fake)
            rates.append(float(ran.stdout))
            samples.append(ran.sample)
    of_a_core = median(sample.calls / sample.fake_cpu for sample in samples)
    return Result(
        id="0",
        title="The fake itself, small calls on 60 connections",
        checks=[
            Check(name="calls a second", value=median(rates), target=5000, at_least=True),
            Check(name="calls a second of CPU", value=of_a_core, target=5000, at_least=True),
        ],
    )


def side_by_side(size: Size) -> Result:
    """Compare everybody where nothing but the machine is slow."""
    others = [each for each in (FAST, SDK) if each is not ours(size)]
    peers = [C7N] if size.peers else []
    everybody = [ours(size), REPORT, *others, BARE, NAIVE, THREADS, *peers]
    found = contest(
        everybody,
        runs=size.runs,
        slow_runs=size.slow_runs,
        core=size.core,
        accounts=size.accounts,
        users=size.users,
    )
    in_part = contest(
        [SEQUENTIAL, *([PROWLER] if size.peers else [])],
        runs=1,
        core=size.core,
        accounts=max(1, size.accounts // size.part),
        users=size.users,
    )
    rows = found.rows(everybody) + in_part.rows([SEQUENTIAL, PROWLER], part=size.part)
    return Result(
        id="a",
        title=f"{size.accounts} accounts {TIMES} {size.users} users {TIMES} 1.5 keys, no latency",
        rows=[*rows, judging_alone(size)],
        checks=[*_against_others(rows), *_calls_by_report(rows, size)],
        skipped=[*found.skipped, *in_part.skipped],
    )


def judging_alone(size: Size) -> Row:
    """Measure what a scan does after its calls: judge what is stored, and write both reports."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with served(core=size.core, accounts=size.accounts, users=size.users) as fake:
            measure(ours(size).command(Path(folder)), fake=fake)
        command: list[str | Path] = [
            IAMAUDIT,
            "report",
            "--policy",
            "baseline",
            "--fail-on",
            "never",
        ]
        command += ["--format", "html", "--format", "json", "--output", folder]
        samples = [measure(command).sample for _ in range(size.runs)]
    name = "(judging, reports alone)"
    return Row(name=name, runs=len(samples), sample=Sample.median_of(samples))


def _against_others(rows: Sequence[Row]) -> list[Check]:
    by_name = {row.name: row for row in rows}
    mine = rows[0]
    wall = mine.sample.wall
    others = [by_name[each.name] for each in (NAIVE, THREADS) if each.name in by_name]
    checks = []
    if others:
        value = min(row.sample.wall for row in others) / wall
        name = f"{mine.name}: times faster than the faster of aioboto3 and boto3 threads"
        checks.append(Check(name=name, value=value, target=5, at_least=True))
    if c7n := by_name.get(C7N.name):
        name = f"{mine.name}: times faster than c7n-org"
        value = c7n.sample.wall / wall
        checks.append(Check(name=name, value=value, target=3, at_least=True))
    if naive := by_name.get(NAIVE.name):
        name = f"{mine.name}: CPU a call, of the naive loop's"
        checks.append(Check(name=name, value=mine.cpu_per_call / naive.cpu_per_call, target=0.2))
    if bare := by_name.get(BARE.name):
        name = f"{mine.name}: speed, of the bare limit's"
        value = bare.sample.wall / wall
        checks.append(Check(name=name, value=value, target=0.5, at_least=True))
    peak = Check(name=f"{mine.name}: peak memory", value=mine.sample.peak, target=120, unit="MiB")
    return [*checks, peak]


def _calls_by_report(rows: Sequence[Row], size: Size) -> list[Check]:
    """Return how many calls the credential report spares."""
    owners = sum(key_count(user) > 0 for user in range(size.users))
    entering = 1
    return [
        Check(
            name=f"{row.name}: calls an account, of which {owners} for users with keys",
            value=row.sample.iam_calls / size.accounts + entering,
            target=owners + 6,
        )
        for row in rows
        if row.name == REPORT.name
    ]
