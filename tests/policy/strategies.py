"""Hypothesis strategies: users with their keys, what may be hidden of them, and conditions."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import product
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import Account
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.evaluate import Judgement, judge_user
from auditor.policy.parameters import parse_duration
from auditor.wiring.policies import load_policies, pack_names
from tests.builders import NOW, a_key, a_user_with, an_account

SHIPPED = {name: load_policies([name])[0] for name in pack_names()}

MICROSECOND = timedelta(microseconds=1)
YOUNGEST, OLDEST = timedelta(seconds=1), timedelta(days=1000)
"""No key is created at `now` itself: that two are, and which is newest then, is no question."""

KNOWN_STATUSES = [status for status in KeyStatus if status is not KeyStatus.UNKNOWN]


@cache
def thresholds() -> tuple[timedelta, ...]:
    """Every duration that a shipped pack has as a parameter."""
    written = {text for policy in SHIPPED.values() for text in policy.stamp.params.values()}
    found = {span for text in written if (span := parse_duration(text)) is not None}
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A user with its keys in an account, seen at NOW."""

    account: Account
    user: UserInventory

    @property
    def keys(self) -> tuple[AccessKey, ...]:
        return self.user.keys

    @property
    def root(self) -> bool:
        return self.user.identity.root


def judge(scene: Scene, policy: CompiledPolicy, *, now: datetime = NOW) -> list[Judgement]:
    return list(judge_user(scene.account, "aws", scene.user, policy, now=now))


def kinds(scene: Scene, policy: CompiledPolicy, *, now: datetime = NOW) -> dict[Any, VerdictKind]:
    """By position of the key and rule."""
    return {
        (position, verdict.rule.id): verdict.kind
        for position, judgement in enumerate(judge(scene, policy, now=now))
        for verdict in judgement.verdicts
    }


# --- what there is to know ------------------------------------------------------------------

Gap: TypeAlias = tuple[str, int | None]
"""A fact that can be hidden; of a key, with its position."""

_TAGS = st.dictionaries(st.sampled_from(["team", "keep"]), st.sampled_from(["x", "yes"]))
_NAMES = st.lists(st.sampled_from(["admins", "ops", "dev"]), unique=True).map(tuple)
_DETAILS: dict[str, st.SearchStrategy[Any]] = {
    "password_enabled": st.booleans(),
    "mfa": st.booleans(),
    "tags": _TAGS,
    "groups": _NAMES,
    "policies": _NAMES,
    "admin": st.booleans(),
    "quarantined": st.booleans(),
}
_ACCOUNT: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["prod", "test"]),
    "ou": st.sampled_from(["Root", "Root/Prod", "Root/Test"]),
    "tags": _TAGS,
}
_TOLD_OF_ROOT = frozenset({"password_enabled", "mfa"})
"""The rest is no question with root: it has no tags, groups or policies, and all rights."""


def spans(shortest: timedelta = YOUNGEST, longest: timedelta = OLDEST) -> st.SearchStrategy[Any]:
    """Return durations, most at a shipped threshold or a microsecond beside it."""
    beside = [
        span
        for each in thresholds()
        for span in (each - MICROSECOND, each, each + MICROSECOND)
        if shortest <= span <= longest
    ]
    anything = st.timedeltas(min_value=shortest, max_value=longest)
    return st.one_of(st.sampled_from(beside), anything) if beside else anything


def uses(age: timedelta) -> st.SearchStrategy[LastUse]:
    """Return what the use of a key of this age can be: from its creation to now."""
    used = st.builds(
        Used,
        at=spans(timedelta(), age).map(lambda idle: NOW - idle),
        service=st.sampled_from(["s3", "iam"]),
        region=st.sampled_from(["eu-west-1", "N/A"]),
    )
    return st.one_of(st.builds(NeverUsed), used, used)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Draw a user of which everything is known."""
    root = draw(st.sampled_from([False, False, True]))
    keys = []
    for position in range(draw(st.integers(1, 2 if root else 3))):
        age = draw(spans())
        key = a_key(f"AKIA{position}{draw(st.integers(0, 9))}", last_use=draw(uses(age)))
        status = draw(st.sampled_from([KeyStatus.ACTIVE, KeyStatus.ACTIVE, *KNOWN_STATUSES]))
        slot = position + 1 if root else None
        keys.append(replace(key, slot=slot, status=status, created_at=NOW - age))
    names = _TOLD_OF_ROOT if root else _DETAILS
    facts = {name: draw(values) for name, values in _DETAILS.items() if name in names}
    if root:
        facts |= {"name": ROOT_USER_NAME, "admin": True}
    account = an_account(**{name: draw(values) for name, values in _ACCOUNT.items()})
    return Scene(account=account, user=a_user_with(*keys, **facts))


def gaps_of(scene: Scene) -> list[Gap]:
    """Return what AWS may fail to tell of this user, its keys and its account."""
    names = [name for name in _DETAILS if not scene.root or name in _TOLD_OF_ROOT]
    found: list[Gap] = [(name, None) for name in names]
    found += [(f"account.{name}", None) for name in _ACCOUNT]
    found += [("last_use", position) for position in range(len(scene.keys))]
    if scene.root:
        found += [("user.created", None), ("key.id", None)]
        found += [("key.created", position) for position in range(len(scene.keys))]
    return found


def hide(scene: Scene, gaps: Collection[Gap]) -> Scene:
    """Return the scene as it looks where these facts could not be read."""
    account: dict[str, Any] = {}
    identity: dict[str, Any] = {}
    keys = list(scene.keys)
    for name, position in gaps:
        unknown = Unknown(operation=f"iam:Tell-{name}", code="AccessDenied")
        match name.split("."):
            case ["last_use"] if position is not None:
                keys[position] = replace(keys[position], last_use=unknown)
            case ["key", "created"] if position is not None:
                keys[position] = replace(keys[position], created_at=None)
            case ["key", "id"]:
                keys = [replace(key, id=None) for key in keys]
            case ["user", "created"]:
                identity["created_at"] = None
            case ["account", "name"]:
                account["name"] = None
            case ["account", fact]:
                account |= {fact: None, f"{fact}_unknown": unknown}
            case _:
                identity[name] = unknown
    return _changed(scene, keys, account, identity)


def _changed(
    scene: Scene, keys: Sequence[AccessKey], account: dict[str, Any], identity: dict[str, Any]
) -> Scene:
    return Scene(
        account=replace(scene.account, **account),
        user=UserInventory(identity=replace(scene.user.identity, **identity), keys=tuple(keys)),
    )


@st.composite
def completions(draw: st.DrawFn, scene: Scene, gaps: Collection[Gap]) -> Scene:
    """Draw a world in which the hidden facts are others, and which looks the same without them."""
    account: dict[str, Any] = {}
    identity: dict[str, Any] = {}
    keys = [
        _drawn_key(draw, key, {name for name, at in gaps if at == position})
        for position, key in enumerate(scene.keys)
    ]
    for name in sorted(name for name, position in gaps if position is None):
        match name.split("."):
            case ["key", "id"]:
                # Of two root keys created at once the greater slot is the newest where there are
                # no ids; ids in the order of the slots say the same.
                tail = draw(st.sampled_from(["A", "Z"]))
                keys = [replace(key, id=AccessKeyId(f"AKIA{key.slot}{tail}")) for key in keys]
            case ["user", "created"]:
                identity["created_at"] = NOW - draw(spans())
            case ["account", fact]:
                account[fact] = draw(_ACCOUNT[fact])
            case _:
                identity[name] = draw(_DETAILS[name])
    return _changed(scene, keys, account, identity)


def _drawn_key(draw: st.DrawFn, key: AccessKey, hidden: Collection[str]) -> AccessKey:
    """Return the key with another date or use, never used before it was created."""
    if "key.created" in hidden:
        use = None if "last_use" in hidden else key.last_use
        ages = spans(max(NOW - use.at, YOUNGEST)) if isinstance(use, Used) else spans()
        key = replace(key, created_at=NOW - draw(ages))
    if "last_use" in hidden and key.created_at is not None:
        key = replace(key, last_use=draw(uses(NOW - key.created_at)))
    return key


def all_completions(scene: Scene, gaps: Collection[Gap]) -> Iterator[Scene]:
    """Yield worlds enough to tell apart whatever the shipped rules can: every edge of each fact.

    The keys change together, in all combinations of dates and uses near the thresholds; nothing
    else that is hidden can be more than true or false to a shipped rule.
    """
    ages = [YOUNGEST, OLDEST]
    for each in thresholds():
        ages += [each + MICROSECOND, each, each - MICROSECOND]
    undated = [position for name, position in gaps if name == "key.created"]
    unused = [position for name, position in gaps if name == "last_use"]
    flags = [name for name in ("password_enabled", "admin", "quarantined") if (name, None) in gaps]
    idle: list[timedelta | None] = [timedelta(), None, OLDEST, *ages] if unused else [None]
    for told in product((True, False), repeat=len(flags)):
        facts = dict(zip(flags, told, strict=True))
        for since in idle:
            for dates in product(ages, repeat=len(undated)):
                created = dict(zip(undated, dates, strict=True))
                keys = [
                    _completed(
                        replace(key, created_at=NOW - created[position])
                        if position in created
                        else key,
                        since,
                        hidden=position in unused,
                    )
                    for position, key in enumerate(scene.keys)
                ]
                yield _changed(scene, keys, {}, facts)


def _completed(key: AccessKey, idle: timedelta | None, *, hidden: bool) -> AccessKey:
    """Return the key last used so long ago, or never; at its creation if that was later."""
    if not hidden or key.created_at is None:
        return key
    if idle is None:
        return replace(key, last_use=NeverUsed())
    return replace(key, last_use=Used(at=max(NOW - idle, key.created_at), service="", region=""))


# --- time zones -----------------------------------------------------------------------------

_ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",  # 5:45 east
    "Pacific/Apia",  # left out a whole day in 2011
    "Etc/UTC",
)
ZONES: st.SearchStrategy[tzinfo] = st.one_of(
    st.sampled_from([ZoneInfo(name) for name in _ZONES]),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.just(UTC),
)
INSTANTS = st.one_of(
    st.just(NOW),
    # The hours that the clocks of Berlin, New York and Lord Howe show twice or not at all.
    st.builds(
        lambda hour, minutes: hour + timedelta(minutes=minutes),
        st.sampled_from(
            [
                datetime(2026, 10, 25, 0, tzinfo=UTC),
                datetime(2026, 3, 29, 0, tzinfo=UTC),
                datetime(2026, 11, 1, 5, tzinfo=UTC),
                datetime(2026, 4, 4, 14, tzinfo=UTC),
            ]
        ),
        st.integers(0, 120),
    ),
)


# --- conditions -----------------------------------------------------------------------------

_FLAGS = (
    "key.active",
    "key.newest",
    "user.root",
    "user.password_enabled",
    "user.mfa",
    "user.admin",
    "user.quarantined",
)
_TESTS = (
    'key.last_used.state == "used"',
    'key.last_used.state != "never"',
    'key.last_used.service == "s3"',
    'key.last_used.service == ""',
    'key.last_used.region == "N/A"',
    '(key.last_used.state == "used" && key.last_used.at < now - days(45))',
    'key.status == "Expired"',
    'key.id.startsWith("AKIA1")',
    "key.id == key.id",
    "key.idle < key.age",
    "user.admin == user.mfa",
    "has(user.tags.team)",
    '"keep" in user.tags',
    '(has(user.tags.team) && user.tags.team == "x")',
    "has(account.tags.keep)",
    '(has(account.tags.team) && account.tags.team != "x")',
    '"admins" in user.groups',
    "size(user.groups) > 1",
    'user.groups.all(each, each.startsWith("a"))',
    'user.policies.exists(each, each == "ops")',
    'user.name.startsWith("ali")',
    'account.ou.startsWith("Root/")',
    'account.ou == "Root/Prod"',
    'account.name == "prod"',
    'account.id == "111111111111"',
)
_CLASSES = ("root", "machine", "human", "robot")
_COMPARE = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def _comparisons() -> st.SearchStrategy[str]:
    limits = [f"days({span.days})" for span in thresholds()]
    return st.one_of(
        st.builds(
            "{} {} {}".format,
            st.sampled_from(["key.age", "key.idle"]),
            _COMPARE,
            st.sampled_from([*limits, "params.max_age"]),
        ),
        st.builds(
            "{} {} now - {}".format,
            st.sampled_from(["key.created", "user.created"]),
            _COMPARE,
            st.sampled_from(limits),
        ),
        st.builds("user.active_keys {} {}".format, _COMPARE, st.integers(0, 3)),
    )


def conditions(*, in_class: bool = False) -> st.SearchStrategy[str]:
    """Return conditions that look at one fact or several; those of a class not at user.class."""
    atoms = [st.sampled_from(_FLAGS), st.sampled_from(_TESTS), _comparisons()]
    if not in_class:
        atoms.append(st.sampled_from(_CLASSES).map(lambda name: f'user.class == "{name}"'))
    return st.recursive(
        st.one_of(atoms),
        lambda inner: st.one_of(
            st.builds("({} && {})".format, inner, inner),
            st.builds("({} || {})".format, inner, inner),
            inner.map(lambda text: f"!({text})"),
            st.builds("({} ? {} : {})".format, inner, inner, inner),
        ),
        max_leaves=6,
    )
