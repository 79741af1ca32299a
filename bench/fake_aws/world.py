"""What the accounts hold, computed from their numbers whenever it is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FIRST_ACCOUNT = 111_000_000_000
MANAGEMENT = 0
"""The number of the caller's own account."""
ROOT_ID, UNIT_ID = "r-fake", "ou-fake-workload"

_KEYS = (1, 2, 2, 0, 2, 1, 2, 2)
"""Of eight users in a row: 1.5 keys a user."""
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_ID_DIGITS, _USER_BITS = 16, 24
_OLDEST = 1500
_ADMIN, _QUARANTINED = 7, 101
"""Of fifty and of two hundred users in a row."""
_ROOT = 3
"""Of twenty accounts in a row, the one whose root user has a key."""
_SERVICES = ("s3", "ec2", "sts", "dynamodb", "iam")
_REGIONS = ("us-east-1", "eu-central-1", "eu-west-1")
_TIMES = tuple(f"T{n % 24:02}:{n * 7 % 60:02}:{n * 11 % 60:02}Z" for n in range(97))


@dataclass(frozen=True, slots=True)
class Key:
    """One access key; dates as AWS writes them."""

    id: str
    active: bool
    created: str
    last_used: str | None
    service: str
    region: str


@dataclass(frozen=True, slots=True)
class Person:
    """What GetAccountAuthorizationDetails and the credential report tell of a user."""

    name: str
    created: str
    password: bool
    admin: bool
    quarantined: bool


class World:
    """Accounts and users by number; ages are measured from `today`."""

    def __init__(self, *, accounts: int, users: int, today: datetime | None = None) -> None:
        self.accounts = accounts
        self.users = users
        self.today = today or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._dates = [
            (self.today - timedelta(days=days)).strftime("%Y-%m-%d") for days in range(_OLDEST + 1)
        ]

    def totals(self) -> dict[str, int]:
        """Return how many accounts, users and keys there are; the root users' keys apart."""
        numbers = range(self.accounts)
        keys = (
            key for account in numbers for user in range(self.users)
            for key in self.keys(account, user)
        )  # fmt: skip
        return {
            "accounts": self.accounts,
            "users": self.accounts * self.users,
            "users_with_keys": self.accounts * sum(map(bool, map(key_count, range(self.users)))),
            "keys": self.accounts * sum(map(key_count, range(self.users))),
            "used": sum(key.last_used is not None for key in keys),
            "root_keys": sum(map(root_has_key, numbers)),
        }

    def keys(self, account: int, user: int) -> list[Key]:
        """Return the keys of a user."""
        return [self.key(account, user, slot) for slot in range(key_count(user))]

    def key(self, account: int, user: int, slot: int) -> Key:
        """Return a key, whether or not its user has so many."""
        dice = _dice(account, user, slot + 1)
        age = 1 + dice % 89 if dice >> 8 & 3 == 0 else 90 + dice % 800
        used = dice >> 12 & 7 != 0
        idle = (dice >> 16) % age
        return Key(
            id=_key_id(account, user, slot),
            active=dice >> 10 & 3 != 0,
            created=self._date(age, dice),
            last_used=self._date(idle, dice >> 3) if used else None,
            service=_SERVICES[dice % 5] if used else "N/A",
            region=_REGIONS[dice % 3] if used else "N/A",
        )

    def person(self, account: int, user: int) -> Person:
        """Return a user."""
        dice = _dice(account, user, 0)
        return Person(
            name=user_name(user),
            created=self.user_created(account, user),
            password=dice % 3 == 0,
            admin=user % 50 == _ADMIN,
            quarantined=user % 200 == _QUARANTINED,
        )

    def user_created(self, account: int, user: int) -> str:
        """Return when a user was made: before any of its keys."""
        return self._date(900 + (account + user) % 500, user)

    def _date(self, days: int, dice: int) -> str:
        """Return an instant that many days ago or up to a day more."""
        return self._dates[days + 1] + _TIMES[dice % 97]


def accounts_of(world: World) -> Iterator[str]:
    """Yield the ids of all accounts."""
    return (account_id(number) for number in range(world.accounts))


def account_id(number: int) -> str:
    """Return the 12 digits of an account."""
    return str(FIRST_ACCOUNT + number)


def user_name(number: int) -> str:
    """Return a user's name; names sort as their numbers do."""
    return f"user-{number:06}"


def user_number(name: str) -> int | None:
    """Return the number of a user, None for a name that is none of ours."""
    digits = name.removeprefix("user-")
    return int(digits) if digits.isdecimal() else None


def key_count(user: int) -> int:
    """Return how many keys a user has."""
    return _KEYS[user % 8]


def root_has_key(account: int) -> bool:
    """Whether the root user of an account has an access key."""
    return account % 20 == _ROOT


def key_owner(key_id: str) -> tuple[int, int, int] | None:
    """Return account, user and slot of a key's id, None for an id that is none of ours."""
    number = 0
    for digit in key_id[4:]:
        value = _VALUES.get(digit)
        if value is None:
            return None
        number = number << 5 | value
    user_and_slot = number & (1 << _USER_BITS + 1) - 1
    return number >> _USER_BITS + 1, user_and_slot >> 1, user_and_slot & 1


def session_key_id(account: int) -> str:
    """Return an id for temporary credentials that says whose they are."""
    return f"ASIAFAKE{FIRST_ACCOUNT + account}"


def session_account(key_id: str) -> int:
    """Return the account whose credentials these are; any other id is the caller's own."""
    if key_id.startswith("ASIAFAKE"):
        return int(key_id[8:]) - FIRST_ACCOUNT
    return MANAGEMENT


def _key_id(account: int, user: int, slot: int) -> str:
    number = (account << _USER_BITS | user) << 1 | slot
    digits = []
    for _ in range(_ID_DIGITS):
        digits.append(_DIGITS[number & 31])
        number >>= 5
    return "AKIA" + "".join(reversed(digits))


def _dice(account: int, user: int, slot: int) -> int:
    """Return 32 well-mixed bits, the same for the same numbers."""
    mixed = (account * 0x9E3779B1 ^ user * 0x85EBCA77 ^ slot * 0xC2B2AE3D) & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 12) * 0x297A2D39 & 0xFFFFFFFF
    return mixed ^ mixed >> 15
