import time
from datetime import UTC, datetime

from auditor.demo.emulator import Emulator
from auditor.demo.organization import build

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


def test_it_is_there_in_less_than_two_seconds() -> None:
    started = time.monotonic()
    with Emulator(clock=lambda: NOW) as emulator:
        build(emulator, now=NOW)

    assert time.monotonic() - started < 2


def test_the_same_seed_gives_the_same_organization() -> None:
    seen = []
    for seed in (7, 7, 8):
        with Emulator(clock=lambda: NOW) as emulator:
            seen.append(build(emulator, now=NOW, seed=seed))

    assert seen[0] == seen[1] != seen[2]
