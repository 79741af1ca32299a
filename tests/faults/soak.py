"""Many runs of the tool, each with a schedule of faults of its own, each held against the truth.

    python -m tests.faults.soak [--seeds 200] [--first 0] [--jobs 2] [--stops 20] [--docs]
    python -m tests.faults.soak --seed SEED

Prints each seed that found a mistake with its schedule; the same seed draws the same schedule.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import anyio

from tests.faults import document
from tests.faults.desk import caller_in
from tests.faults.figures import Figures
from tests.faults.stops import stopped
from tests.faults.trial import Trial


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
        sys.exit(figures.wrong.total() > 0)


if __name__ == "__main__":
    main()
