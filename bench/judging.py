"""How fast a policy judges, and that memory does not grow with the number of keys.

One core. `keys` are made on the way, two a user, a thousand users at a time, and thrown away;
making them is not counted. The plain loop beside it compares the age of the same keys with a
threshold in Python, so that the machine's speed cancels out of the ratio.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, NeverUsed, Used
from auditor.model.account import Account, AccountId
from auditor.model.finding import VerdictKind
from auditor.model.identity import Identity
from auditor.model.inventory import UserInventory
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.evaluate import judge_user
from auditor.wiring.policies import load_policies

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ACCOUNT = Account(id=AccountId("111111111111"), name="bench", ou="Root")
BUDGET = 120.0
_BATCH = 1000


def users(keys: int) -> Iterator[UserInventory]:
    dice = Random(7)  # noqa: S311 -- a benchmark's dice
    for number in range(keys // 2):
        name = f"user-{number}"
        yield UserInventory(
            identity=Identity(
                name=name,
                arn=f"arn:aws:iam::111111111111:user/{name}",
                path="/",
                created_at=NOW - timedelta(days=2000),
                root=False,
                password_enabled=number % 3 == 0,
                mfa=True,
                tags={"team": "a"},
                groups=("a", "b"),
                policies=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
                admin=number % 50 == 0,
                quarantined=False,
            ),
            keys=(_key(dice, 2 * number), _key(dice, 2 * number + 1)),
        )


def _key(dice: Random, number: int) -> AccessKey:
    age = timedelta(seconds=dice.randrange(400 * 86400))
    use = (
        NeverUsed()
        if dice.choice("nuuuu") == "n"
        else Used(at=NOW - age / 3, service="s3", region="x")
    )
    return AccessKey(
        id=AccessKeyId(f"AKIA{number:016}"),
        status=dice.choices((KeyStatus.ACTIVE, KeyStatus.INACTIVE), weights=(4, 1))[0],
        created_at=NOW - age,
        last_use=use,
    )


@dataclass(slots=True, kw_only=True)
class Took:
    """Seconds of CPU, of all keys, and what came of them."""

    making: float = 0.0
    plain: float = 0.0
    judging: float = 0.0
    old: int = 0
    violations: int = 0


def measured(keys: int, policy: CompiledPolicy) -> Took:
    took, clock, coming = Took(), time.process_time, users(keys)
    start = clock()
    while batch := list(islice(coming, _BATCH)):
        made = clock()
        took.old += plain(batch)
        compared = clock()
        took.violations += judged(batch, policy)
        took.judging += clock() - compared
        took.plain += compared - made
        took.making += made - start
        start = clock()
    return took


def plain(batch: Sequence[UserInventory]) -> int:
    old, limit = 0, timedelta(days=90)
    for user in batch:
        for key in user.keys:
            old += key.active and key.created_at is not None and NOW - key.created_at > limit
    return old


def judged(batch: Sequence[UserInventory], policy: CompiledPolicy) -> int:
    violations = 0
    for user in batch:
        for judgement in judge_user(ACCOUNT, "aws", user, policy, now=NOW):
            violations += sum(v.kind is VerdictKind.VIOLATION for v in judgement.verdicts)
    return violations


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--policy", default="baseline")
    given = parser.parse_args()
    [policy] = load_policies([given.policy])
    few = given.keys // 100
    measured(few, policy)
    memory_few = peak_mib()
    took = measured(given.keys, policy)
    assert took.old
    memory_many = peak_mib()
    each = took.judging / given.keys
    used = each * 1_000_000 / BUDGET
    print(f"{given.policy}: {given.keys:,} keys, {took.violations:,} violations")
    print(f"judging         {took.judging:8.1f} s of one core, {each * 1e6:.0f} µs a key")
    print(f"making the keys {took.making:8.1f} s, not counted")
    print(f"ratio to one plain comparison a key: {took.judging / took.plain:.0f}")
    print(f"peak memory     {memory_few:8.1f} MiB at {few:,} keys, {memory_many:.1f} MiB at all")
    print(f"ratio of memory {memory_many / memory_few:8.2f}")
    print(f"budget of {BUDGET:.0f} s for 1,000,000 keys: {used:.0%} used")


if __name__ == "__main__":
    main()
