"""How large everything is."""

from dataclasses import dataclass

from bench.contenders.registry import FAST, SDK, Contender


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is asked of a run of the benchmark."""

    runs: int
    slow_runs: int
    core: int | None
    peers: bool
    accounts: int = 20
    users: int = 500
    part: int = 10
    latency_users: int = 500
    throttled_users: int = 400
    growth: tuple[int, int, int] = (10, 100, 1000)
    growth_users: int = 100
    large_runs: int = 3
    keys: int = 1_000_000
    page_keys: int = 100_000


def ours(size: Size) -> Contender:
    """Return iamaudit as it is by default: fast, once there is such a thing."""
    return SDK if FAST.missing() else FAST
