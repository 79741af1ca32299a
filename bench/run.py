"""Speed and memory, ours and others', on the local fake AWS, in one run.

Every number is a median and of this machine now; only ratios within a run mean something.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.fake_aws.process import ROOT
from bench.picture import svg
from bench.scenarios import SCENARIOS
from bench.sizes import Size
from bench.table import Result, markdown, plain

_RESULTS = ROOT / "bench/results"
_DOCUMENT, _PICTURE = ROOT / "docs/performance.md", ROOT / "docs/performance.svg"
_BEGIN, _END = "<!-- begin measured -->", "<!-- end measured -->"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, for the median")
    parser.add_argument("--slow-runs", type=int, default=2, help="of the SDK's and the peers'")
    parser.add_argument(
        "--large-runs", type=int, default=3, help="of 1,000 accounts, 1,000,000 keys"
    )
    parser.add_argument("--quick", action="store_true", help="one small run: does it work at all?")
    parser.add_argument("--peers", action="store_true", help="c7n-org and prowler as well")
    parser.add_argument("--only", default="".join(SCENARIOS), help="scenarios, such as ae")
    parser.add_argument("--pin", action="store_true", help="keep the fake on the last core")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/")
    return parser.parse_args()


def size_of(given: argparse.Namespace) -> Size:
    """Return the sizes that the arguments ask for."""
    core = max(os.sched_getaffinity(0)) if given.pin else None
    if given.quick:
        return Size(
            runs=1, slow_runs=1, core=core, peers=given.peers, accounts=4, users=40, part=4,
            latency_users=40, throttled_users=20, growth=(2, 4, 8), growth_users=20, keys=20_000,
            page_keys=5_000,
        )  # fmt: skip
    slow = min(given.runs, given.slow_runs)
    large = min(given.runs, given.large_runs)
    return Size(runs=given.runs, slow_runs=slow, large_runs=large, core=core, peers=given.peers)


def main() -> None:
    given = parse()
    size, start = size_of(given), time.monotonic()
    print(f"load before it starts: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    results = []
    for name, scenario in SCENARIOS.items():
        if name in given.only:
            results.append(scenario(size))
            print(plain(results[-1]), flush=True)
    missed = [check for result in results for check in result.checks if not check.ok]
    minutes = (time.monotonic() - start) / 60
    print(f"\n{len(missed)} NOT ok, in {minutes:.0f} minutes; {keep(results, given)}")
    if given.docs:
        document(results)


def keep(results: Sequence[Result], given: argparse.Namespace) -> Path:
    """Write all numbers to a file of their own."""
    _RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    path = _RESULTS / f"{at:%Y%m%dT%H%M%SZ}.json"
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    told = {"at": at.isoformat(), "machine": machine, "arguments": vars(given)}
    kept = told | {"results": [result.as_json() for result in results]}
    path.write_text(json.dumps(kept, indent=2) + "\n")
    return path


def document(results: Sequence[Result]) -> None:
    """Put the tables and the picture into the documents."""
    text = _DOCUMENT.read_text()
    head, tail = text.partition(_BEGIN)[0], text.partition(_END)[2]
    measured = "\n".join(markdown(result) for result in results)
    about = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()},"
        f" {os.cpu_count()} cores shared with the fake.\n"
    )
    _DOCUMENT.write_text(f"{head}{_BEGIN}\n{about}\n{measured}{_END}{tail}")
    for result in results:
        if result.id == "a":
            _PICTURE.write_text(svg(result.title, result.rows))


if __name__ == "__main__":
    main()
