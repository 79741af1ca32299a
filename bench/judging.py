"""How fast a policy judges, and that memory does not grow with the number of keys.

One core. `keys` are made on the way, two a user, and thrown away; making them is timed apart and
taken off. The plain loop beside it compares the same keys with the same thresholds in Python, so
that the machine's speed cancels out of the ratio.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, NeverUsed, Used
from auditor.model.account import Account, AccountId
from auditor.model.finding import VerdictKind
from auditor.model.identity import Identity
from auditor.model.inventory import UserInventory
from auditor.policy.evaluate import judge_user
from auditor.wiring.policies import load_policies

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ACCOUNT = Account(id=AccountId("111111111111"), name="bench", ou="Root")
BUDGET = 120.0


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


def made(keys: int) -> float:
    start = time.process_time()
    for _ in users(keys):
        pass
    return time.process_time() - start


def plain(keys: int) -> float:
    start, old = time.process_time(), 0
    limit = timedelta(days=90)
    for user in users(keys):
        for key in user.keys:
            old += key.active and key.created_at is not None and NOW - key.created_at > limit
    assert old
    return time.process_time() - start


def judged(keys: int, policy: str) -> tuple[float, int]:
    [compiled] = load_policies([policy])
    start, violations = time.process_time(), 0
    for user in users(keys):
        for judgement in judge_user(ACCOUNT, "aws", user, compiled, now=NOW):
            violations += sum(v.kind is VerdictKind.VIOLATION for v in judgement.verdicts)
    return time.process_time() - start, violations


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--policy", default="baseline")
    given = parser.parse_args()
    judged(2_000, given.policy)
    few = given.keys // 100
    judged(few, given.policy)
    memory_few = peak_mib()
    making, baseline = made(given.keys), plain(given.keys)
    total, violations = judged(given.keys, given.policy)
    memory_many, seconds = peak_mib(), total - making
    each = seconds / given.keys
    used = each * 1_000_000 / BUDGET
    ratio = seconds / max(baseline - making, 1e-9)
    print(f"{given.policy}: {given.keys:,} keys, {violations:,} violations")
    print(f"judging         {seconds:8.1f} s of one core, {each * 1e6:.0f} µs a key")
    print(f"making the keys {making:8.1f} s, not counted")
    print(f"ratio to one plain comparison a key: {ratio:.0f}")
    print(f"peak memory     {memory_few:8.1f} MiB at {few:,} keys, {memory_many:.1f} MiB at all")
    print(f"ratio of memory {memory_many / memory_few:8.2f}")
    print(f"budget of {BUDGET:.0f} s for 1,000,000 keys: {used:.0%} used")


if __name__ == "__main__":
    main()
