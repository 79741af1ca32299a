"""The fake as a process of its own, for whoever wants to call it."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Served:
    """A fake that runs."""

    url: str

    @property
    def variables(self) -> Mapping[str, str]:
        """Return the environment that points an AWS SDK, and nothing else, at it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEFAKEFAKE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def stats(self) -> dict[str, Any]:
        """Return the calls by operation, how many were throttled, its CPU, and what there is."""
        with urllib.request.urlopen(f"{self.url}/stats") as answer:  # noqa: S310 -- our own URL
            stats: dict[str, Any] = json.load(answer)
        return stats

    def reset(self) -> None:
        """Forget the calls, and fill the buckets."""
        request = urllib.request.Request(f"{self.url}/reset", method="POST")  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            answer.read()


@contextmanager
def served(*, core: int | None = None, **options: float) -> Iterator[Served]:
    """Serve while the context lasts; `options` are those of the command line, without dashes."""
    arguments = [f"--{name}={value:g}" for name, value in options.items()]
    process = subprocess.Popen(  # noqa: S603 -- this file's neighbour
        [sys.executable, "-m", "bench.fake_aws", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        assert process.stdout
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the fake did not start")
        yield Served(url)
    finally:
        process.terminate()
        process.wait()
        assert process.stdout
        process.stdout.close()
