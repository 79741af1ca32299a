"""Contenders on the same fake, in turn, as often as asked for."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders.registry import Contender
from bench.fake_aws.process import Served, served
from bench.measure import Ran, Sample, measure
from bench.table import Row


@dataclass(slots=True, kw_only=True)
class Contest:
    """What came of the runs on one fake."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    facts: dict[str, list[dict[str, int]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def row(self, contender: Contender, *, part: int = 1) -> Row | None:
        """Return the medians of a contender, scaled up from a part of the accounts."""
        samples = self.samples.get(contender.name)
        if not samples:
            return None
        found = Sample.median_of(samples)
        if part > 1:
            numbers = {name: value * part for name, value in found.as_json().items()}
            found = Sample(**numbers | {"peak": found.peak})
        return Row(name=contender.name, runs=len(samples), sample=found, part=part)

    def rows(self, contenders: Sequence[Contender], *, part: int = 1) -> list[Row]:
        """Return the medians of those that ran, in order."""
        rows = [self.row(each, part=part) for each in contenders]
        return [row for row in rows if row is not None]

    def worst(self, contender: Contender, fact: str) -> int:
        """Return the largest of what the contender told of one thing."""
        return max(facts[fact] for facts in self.facts[contender.name])


def contest(
    contenders: Sequence[Contender],
    *,
    runs: int,
    core: int | None,
    slow_runs: int = 1,
    **options: float,
) -> Contest:
    """Let them run in turn, so that a slow minute of the machine is everybody's.

    Whoever read other than what there is, or failed, is left out with the reason.
    """
    found = Contest()
    running = []
    for each in contenders:
        reason = each.missing()
        if reason:
            found.skipped.append(f"{each.name}: {reason}")
        else:
            running.append(each)
    with served(core=core, **options) as fake:
        for number in range(runs):
            for each in list(running):
                if each.slow and number >= slow_runs:
                    continue
                problem = _once(each, fake, found)
                if problem:
                    running.remove(each)
                    found.samples.pop(each.name, None)
                    found.skipped.append(f"{each.name}: {problem}")
    return found


def _once(contender: Contender, fake: Served, found: Contest) -> str | None:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        ran = measure(contender.command(folder), fake=fake, together=contender.together)
        problem = _failure(ran)
        if problem is None:
            facts = dict(contender.facts(ran, folder))
            problem = _wrong(facts, fake)
    if problem is None:
        found.samples.setdefault(contender.name, []).append(ran.sample)
        found.facts.setdefault(contender.name, []).append(facts)
    print(_progress(contender, ran, problem), file=sys.stderr, flush=True)
    return problem


def _failure(ran: Ran) -> str | None:
    if ran.code == 0:
        return None
    last = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
    return f"exit code {ran.code}: {''.join(last)[:200]}"


def _wrong(facts: dict[str, int], fake: Served) -> str | None:
    world = fake.stats()["world"]
    differing = {
        name: (value, world[name])
        for name, value in facts.items()
        if name in world and value != world[name]
    }
    if not differing:
        return None
    return ", ".join(f"{value} {name} of {true}" for name, (value, true) in differing.items())


def _progress(contender: Contender, ran: Ran, problem: str | None) -> str:
    sample = ran.sample
    told = problem or f"{sample.calls:,.0f} calls"
    return (
        f"    {contender.name}: {sample.wall:.1f} s, {sample.cpu:.1f} s CPU, "
        f"{sample.peak:.0f} MiB; {told}"
    )
