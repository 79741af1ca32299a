"""What the packs that we ship say, once more in plain Python.

Written from the design's tables alone: no CEL, nothing of `auditor.policy`. True is a violation,
False a pass, None indeterminate.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from auditor.model.access_key import AccessKey, Used
from auditor.model.inventory import UserInventory
from auditor.model.unknown import Known, Unknown

Answer: TypeAlias = bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One key; None is unknown."""

    active: bool
    root: bool
    age: timedelta | None
    idle: timedelta | None
    used: Answer
    newest: Answer
    """Whether no other active key of the user was created later."""
    active_keys: int
    person: Answer
    admin: Answer
    quarantined: Answer


Rule: TypeAlias = Callable[[Plain], Answer]


def verdicts(pack: str, user: UserInventory, now: datetime) -> Iterator[dict[str, Answer]]:
    """Yield for each key of the user what each rule of the pack says."""
    for key in user.keys:
        plain = _plain(user, key, now)
        yield {name: rule(plain) for name, rule in RULES[pack].items()}


def _plain(user: UserInventory, key: AccessKey, now: datetime) -> Plain:
    identity = user.identity
    active = [each for each in user.keys if each.status == "Active"]
    age = None if key.created_at is None else _since(key.created_at, now)
    used: Answer = None
    idle: timedelta | None = None
    if isinstance(key.last_use, Used):
        used, idle = True, _since(key.last_use.at, now)
    elif not isinstance(key.last_use, Unknown):
        used, idle = False, age
    return Plain(
        active=key.status == "Active",
        root=identity.root,
        age=age,
        idle=idle,
        used=used,
        newest=_newest(key, active),
        active_keys=len(active),
        # The root user is a class of its own, whatever the report says of its password.
        person=False if identity.root else _known(identity.password_enabled),
        admin=_known(identity.admin),
        quarantined=_known(identity.quarantined),
    )


def _newest(key: AccessKey, active: list[AccessKey]) -> Answer:
    if key not in active:
        return False
    for other in active:
        if other is not key:
            if key.created_at is None or other.created_at is None:
                return None
            if (other.created_at, _name(other)) > (key.created_at, _name(key)):
                return False
    return True


def _name(key: AccessKey) -> str:
    return key.id or str(key.slot)


def _since(then: datetime, now: datetime) -> timedelta:
    passed = now.astimezone(UTC) - then.astimezone(UTC)
    return passed if passed > timedelta() else timedelta()


def _known(value: Known[bool]) -> Answer:
    return None if isinstance(value, Unknown) else value


def _all(*answers: Answer) -> Answer:
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def _not(answer: Answer) -> Answer:
    return None if answer is None else not answer


def _more(span: timedelta | None, days: int) -> Answer:
    return None if span is None else span > timedelta(days=days)


def _at_least(span: timedelta | None, days: int) -> Answer:
    return None if span is None else span >= timedelta(days=days)


def _older_than(days: int) -> Rule:
    return lambda key: _all(key.active, _more(key.age, days))


def _not_rotated(key: Plain) -> Answer:
    return _all(key.active, not key.root, _more(key.age, 90))


def _unused_for_more_than(days: int) -> Rule:
    """Idle counts from creation if never used, so a young key passes whatever its use."""
    return lambda key: _all(key.active, not key.root, _more(key.age, days), _more(key.idle, days))


def _unused_for(days: int) -> Rule:
    return lambda key: _all(
        key.active, not key.root, _at_least(key.age, days), _at_least(key.idle, days)
    )


def _second(key: Plain) -> Answer:
    return _all(key.active, key.active_keys > 1, _not(key.newest))


def _second_of_a_user(key: Plain) -> Answer:
    return _all(not key.root, _second(key))


def _active_root(key: Plain) -> Answer:
    return _all(key.active, key.root)


def _root(key: Plain) -> Answer:
    return key.root


def _house_rules(*, old: int, idle: int, grace: int, lingering: int) -> dict[str, Rule]:
    """Return the rules of the baseline, with its thresholds or others, in days."""
    return {
        "key-too-old": _older_than(old),
        "key-unused": lambda key: _all(
            key.active, _more(key.age, idle), key.used, _more(key.idle, idle)
        ),
        "key-never-used": lambda key: _all(key.active, _more(key.age, grace), _not(key.used)),
        "second-active-key": _second,
        "inactive-key-lingering": lambda key: _all(
            not key.active, _more(key.age, lingering), _more(key.idle, lingering)
        ),
        "root-access-key": _active_root,
        "key-quarantined": lambda key: _all(key.active, key.quarantined),
        "admin-access-key": lambda key: _all(key.active, key.admin),
        "human-access-key": lambda key: _all(key.active, key.person),
    }


def _cis(version: str) -> dict[str, Rule]:
    rules: dict[str, Rule] = {
        "key-not-rotated": _not_rotated,
        "key-unused": _unused_for(90 if version == "1.2.0" else 45),
        "root-access-key": _active_root,
    }
    if version not in {"1.2.0", "7.0.0"}:
        rules["second-active-key"] = _second_of_a_user
    return {f"cis-aws-{version}-{name}": rule for name, rule in rules.items()}


_CIS = ("1.2.0", "1.4.0", "1.5.0", "2.0.0", "3.0.0", "4.0.1", "5.0.0", "6.0.0", "7.0.0")

RULES: dict[str, dict[str, Rule]] = {
    "baseline": _house_rules(old=90, idle=45, grace=30, lingering=90),
    "strict": {
        **_house_rules(old=30, idle=14, grace=7, lingering=30),
        "long-lived-key": lambda key: _all(key.active, not key.root),
    },
    **{f"cis-aws-{version}": _cis(version) for version in _CIS},
    "aws-fsbp": {
        "aws-fsbp-key-not-rotated": _not_rotated,
        "aws-fsbp-root-access-key": _root,
        "aws-fsbp-key-unused-90": _unused_for_more_than(90),
        "aws-fsbp-key-unused-45": _unused_for_more_than(45),
    },
    "pci-dss-4.0.1": {
        "pci-dss-4.0.1-key-not-rotated": _not_rotated,
        "pci-dss-4.0.1-key-unused": _unused_for_more_than(90),
    },
    "nist-800-53-r5": {
        "nist-800-53-r5-key-not-rotated": _not_rotated,
        "nist-800-53-r5-root-access-key": _root,
        "nist-800-53-r5-key-unused": _unused_for_more_than(90),
    },
}
"""By pack and rule."""


def can_be_indeterminate(rule_id: str) -> bool:
    """Whether something that the rule looks at can be unknown.

    The framework packs ask for the age and the newest key of IAM users only, and IAM always tells
    those; the root user's may be unknown, and that only the house rules look at.
    """
    house = rule_id in {**RULES["baseline"], **RULES["strict"]}
    if house:
        return rule_id not in {"root-access-key", "long-lived-key"}
    return "-key-unused" in rule_id
