"""Mutation testing of what decides and what changes keys; see docs/decisions, 0015.

Every mutant, or a share of each module's chosen by a seed, runs against the quick tests. Survivors
that can't change what anybody sees are explained in `mutation-explained.toml`; the result goes to
`tests/mutation.json`, and all others are printed. Run it in the folder of the project.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXPLAINED = Path(".ci/mutation-explained.toml")
RESULT = Path("tests/mutation.json")
FIRST = "auditor.policy.exemptions*"
"""What is run to have the mutants made: mutmut can't make them alone."""
SURVIVED = 0
NO_TESTS = {5, 33}
TIMEOUT = {24, 36, -24, 152, 255, -9}
EXAMPLES = "12"


def mutmut(*names: str, at_once: int = 1) -> None:
    variables = os.environ | {"IAMAUDIT_TEST_MOST_EXAMPLES": EXAMPLES}
    command = [str(Path(sys.executable).parent / "mutmut"), "run"]
    command += ["--max-children", str(at_once), *names]
    done = subprocess.run(command, env=variables, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}; without `>` it says why: {command[:5]}")


def codes() -> dict[str, dict[str, int | None]]:
    """Return the exit code of each mutant by module; None where it has not run."""
    return {
        str(path.relative_to("mutants"))[: -len(".py.meta")].replace("/", "."): json.loads(
            path.read_text()
        )["exit_code_by_key"]
        for path in sorted(Path("mutants").rglob("*.py.meta"))
    }


def sample(
    found: dict[str, dict[str, int | None]], share: float, seed: int
) -> dict[str, list[str]]:
    return {
        module: sorted(
            random.Random(f"{seed} {module}").sample(  # noqa: S311 -- reproducible, not secret
                sorted(mutants), max(round(len(mutants) * share), min(len(mutants), 10))
            )
        )
        for module, mutants in found.items()
        if mutants
    }


def difference(name: str) -> tuple[str, str]:
    """Return what a mutant takes away and what it puts there."""
    from mutmut.mutation.diff_apply import find_mutant, get_diff_for_mutant  # noqa: PLC0415

    lines = get_diff_for_mutant(name, path=find_mutant(name).path).splitlines()
    taken, put = (
        " ".join(
            line[1:].strip()
            for line in lines
            if line.startswith(sign) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    )
    return taken, put


def explanations() -> Iterator[dict[str, Any]]:
    if EXPLAINED.exists():
        yield from tomllib.loads(EXPLAINED.read_text())["mutant"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--share", type=float, default=1.0, help="of each module's mutants")
    options.add_argument("--seed", type=int, default=20261124)
    options.add_argument("--at-once", type=int, default=1, help="mutants that run at a time")
    options.add_argument("--again", choices=("survivors", "all"), help="run what has run before")
    options.add_argument("--only-tell", action="store_true", help="run nothing")
    wanted = options.parse_args()
    if not wanted.only_tell:
        mutmut(FIRST)
    found = codes()
    chosen = sample(found, wanted.share, wanted.seed)
    again = {None: set(), "survivors": {SURVIVED, *NO_TESTS}}.get(wanted.again)
    left = [
        name
        for module, names in chosen.items()
        for name in names
        if (code := found[module][name]) is None or again is None or code in again
    ]
    if left and not wanted.only_tell:
        mutmut(*left, at_once=wanted.at_once)
    tell(codes(), chosen, wanted)


def tell(
    found: dict[str, dict[str, int | None]], chosen: dict[str, list[str]], wanted: Any
) -> None:
    known = {(each["function"], put) for each in explanations() for put in each["becomes"]}
    modules: dict[str, dict[str, int]] = {}
    unexplained = []
    for module, names in chosen.items():
        row = modules[module] = {"mutants": 0, "killed": 0, "explained": 0, "survived": 0}
        for name in names:
            code = found[module][name]
            if code is None:
                continue
            row["mutants"] += 1
            if code not in {SURVIVED, *NO_TESTS}:
                row["killed"] += 1
                continue
            taken, put = difference(name)
            function = name.rpartition("__mutmut_")[0]
            if (function, put) in known:
                row["explained"] += 1
            else:
                row["survived"] += 1
                unexplained.append((name, code, taken, put))
    total = {
        name: sum(row[name] for row in modules.values())
        for name in ("mutants", "killed", "explained", "survived")
    }
    of_all = sum(map(len, found.values()))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 -- the one on PATH
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    result = {
        **total,
        "of_all": of_all,
        "seed": wanted.seed,
        "score": round(100 * total["killed"] / total["mutants"], 1),
        "score_with_explained": round(
            100 * (total["killed"] + total["explained"]) / total["mutants"], 1
        ),
        "commit": commit,
        "modules": modules,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, code, taken, put in unexplained:
        print(f"{name} ({code})\n  - {taken}\n  + {put}")
    print({**total, "of_all": of_all, "score": result["score"]})


if __name__ == "__main__":
    main()
