"""A small AWS in memory that changes while it is read, and remembers all it ever was.

IAM, STS, Organizations and Secrets Manager as the tool asks for them: pages smaller than asked for,
sessions that expire, keys that can be changed, made and deleted. What it says is true; lies are the
fault server's.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from bench.fake_aws.answers import (
    IAM,
    STS,
    Answer,
    RefusedError,
    json_error,
    members,
    no_such_entity,
    xml,
    xml_error,
)
from tests.faults.vault import Vault

MANAGEMENT = "100000000000"
CALLER_KEY = "AKIACALLERCALLERCALL"
CALLER_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_ROOT, _UNIT = "r-fa17", "ou-fa17-faultsou"
_SCOPE = re.compile(r"Credential=([A-Z0-9]+)/[0-9]+/[a-z0-9-]+/([a-z]+)/")
# AWS numbers them; V4 came in 2026, and the next one must need no change of the tool.
QUARANTINES = tuple(
    f"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantine{version}"
    for version in ("", "V2", "V3", "V4", "V5")
)
PROTECTED_TAG = "break-glass"
PROTECTED_PATH = "/break-glass/"
_ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
_DENIED = RefusedError(403, "AccessDenied", "not authorized to perform this")
_FULL = RefusedError(409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
EXPIRED = RefusedError(403, "ExpiredToken", "The security token included in the request is expired")
_IN_JSON = frozenset({"organizations", "secretsmanager"})
"""Services that speak JSON."""

Form: TypeAlias = Mapping[str, str]


@dataclass
class Key:
    id: str
    created: datetime
    active: bool
    used: datetime | None
    ever: set[tuple[bool, datetime | None]] = field(default_factory=set)
    """Every state that it ever had: whether active, and its last use."""

    def __post_init__(self) -> None:
        self.note()

    def note(self) -> None:
        self.ever.add((self.active, self.used))


@dataclass(frozen=True)
class Made:
    """A key that a request made."""

    account: str
    user: str
    secret: str


@dataclass
class User:
    name: str
    created: datetime
    password: bool
    admin: bool
    quarantined: bool
    keys: list[Key]
    path: str = "/"
    tags: dict[str, str] = field(default_factory=dict)
    id: str = ""  # stays the same when the user is renamed; a user made again has another
    names: set[str] = field(default_factory=set)  # every name that it ever had

    def __post_init__(self) -> None:
        self.id = self.id or f"AIDA{self.name}"
        self.names.add(self.name)

    @property
    def protected(self) -> bool:
        """Whether its tags or its path say that its keys must not be touched."""
        tagged = any(key.casefold() == PROTECTED_TAG for key in self.tags)
        return tagged or self.path == PROTECTED_PATH


@dataclass
class CloudAccount:
    id: str
    users: dict[str, User]
    root_key: bool
    has_role: bool = True
    suspended: bool = False
    page: int = 3
    unit: bool = False
    touched: set[str] = field(default_factory=set)
    """Names and key ids of whatever came, went or changed since the cloud began."""
    ever: dict[str, tuple[User, Key]] = field(default_factory=dict)
    """Every key that ever was, by id, with its user."""
    used_meanwhile: set[str] = field(default_factory=set)  # ids of keys, since the cloud began
    root_ever: set[bool] = field(default_factory=set)  # whether the root user had a key, ever
    quarantine: str = QUARANTINES[2]  # what AWS attaches to users whose key has leaked

    def __post_init__(self) -> None:
        self.root_ever.add(self.root_key)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.id}"

    def keep(self, user: User, key: Key) -> None:
        self.ever[key.id] = (user, key)

    def set_root_key(self, *, present: bool) -> None:
        self.root_key = present
        self.root_ever.add(present)


@dataclass(frozen=True)
class Asked:
    """One request, as far as a fault may look at it."""

    service: str
    operation: str
    account: str
    form: Form


class Cloud:
    """An organization of a few accounts, made by a seed."""

    def __init__(
        self, seed: int, *, accounts: int, users: int, now: datetime, least: int = 0
    ) -> None:
        self.now = now.replace(microsecond=0)
        self._dice = Random(seed)  # noqa: S311
        self._serial = 0
        self.session_calls = 10**9
        """Calls that a session lasts, whatever was said of its end."""
        self.lifetime = timedelta(hours=1)
        self._sessions: dict[str, tuple[str, int, datetime]] = {}
        self.assumed = 0
        self.calls: list[Asked] = []
        self.vault = Vault()
        self.made: dict[str, Made] = {}
        """Keys that requests made, by id."""
        self.deleted: set[str] = set()
        """Ids of the keys that requests deleted."""
        self.ended_by_others: set[str] = set()  # keys that somebody activated, used and ended again
        self.said: set[str] = {CALLER_SECRET}
        """Every secret of a key or a session that was ever said."""
        self.accounts: dict[str, CloudAccount] = {}
        for number in range(accounts):
            self._add_account(f"{int(MANAGEMENT) + number:012}", self._dice.randint(least, users))

    def _add_account(self, account_id: str, users: int) -> None:
        account = CloudAccount(
            id=account_id,
            users={},
            root_key=self._dice.random() < 0.3,
            page=self._dice.randint(2, 5),
            unit=self._dice.random() < 0.5,
            quarantine=self._dice.choice(QUARANTINES),
        )
        self.accounts[account_id] = account
        for _ in range(users):
            self.add_user(account)
        account.touched.clear()

    def add_user(self, account: CloudAccount) -> User:
        self._serial += 1
        dice = self._dice
        user = User(
            name=f"user-{self._serial:04}",
            created=self._ago(dice.randint(100, 900)),
            password=dice.random() < 0.3,
            admin=dice.random() < 0.2,
            quarantined=dice.random() < 0.15,
            keys=[],
        )
        if dice.random() < 0.1:
            user.tags = {dice.choice(["Break-Glass", "break-glass", "BREAK-GLASS"]): "yes"}
        account.users[user.name] = user
        account.touched.add(user.name)
        for _ in range(dice.choice([0, 1, 1, 1, 2])):
            self.add_key(account, user)
        return user

    def add_key(self, account: CloudAccount, user: User) -> Key:
        self._serial += 1
        dice = self._dice
        age = dice.randint(1, 600)
        key = Key(
            id=f"AKIA{account.id}{self._serial:04}",
            created=self._ago(age),
            active=dice.random() < 0.75,
            used=self._ago(dice.randint(0, age)) if dice.random() < 0.7 else None,
        )
        user.keys.append(key)
        account.touched.add(key.id)
        account.keep(user, key)
        return key

    def _ago(self, days: int) -> datetime:
        return self.now - timedelta(days=days, seconds=self._dice.randint(0, 80_000))

    def add_idle_key(self, account_id: str) -> Key:
        """Give an account a user with an active key that was never used."""
        account = self.accounts[account_id]
        user = self.add_user(account)
        user.keys.clear()
        user.quarantined = user.admin = False
        key = self.add_key(account, user)
        key.active, key.used, key.created = True, None, self._ago(400)
        return key

    def make_key(self, account: CloudAccount, user: User) -> Key:
        """Make a key as a request asks for it: active, new and with a secret of its own."""
        self._serial += 1
        now = datetime.now(UTC).replace(microsecond=0)
        key = Key(id=f"AKIA{account.id}{self._serial:04}", created=now, active=True, used=None)
        user.keys.append(key)
        account.touched |= {key.id, user.name}
        account.keep(user, key)
        secret = f"secretOf/{key.id}/bPxRfiCYEXAMPLEKEY"
        self.made[key.id] = Made(account.id, user.name, secret)
        self.said.add(secret)
        return key

    def use_new_keys(self) -> None:
        """Let every key that a request made have been used."""
        for id_, made in self.made.items():
            user = self.accounts[made.account].users.get(made.user)
            for key in user.keys if user else ():
                if key.id == id_:
                    key.used = self.now
                    key.note()

    def account_of(self, key_id: str) -> str:
        """Return the account that a key was ever in."""
        return next(account.id for account in self.accounts.values() if key_id in account.ever)

    def protected_keys(self) -> set[str]:
        """Return the ids of keys that must not be touched, by their user's tags or path."""
        return {
            key.id
            for account in self.accounts.values()
            for user in account.users.values()
            for key in user.keys
            if user.protected
        }

    def states(self) -> dict[str, bool]:
        """Return whether each key is active, by its id."""
        return {
            key.id: key.active
            for account in self.accounts.values()
            for user in account.users.values()
            for key in user.keys
        }

    def change(self, dice: Random) -> str:
        """Let something happen to the organization; return what."""
        account = dice.choice([*self.accounts.values()])
        what = dice.choice([*_HAPPENINGS])
        if what in _OF_ACCOUNT:
            _OF_ACCOUNT[what](self, account)
            return what
        if not account.users:
            return "nothing"
        user = account.users[dice.choice(sorted(account.users))]
        if what in _OF_USER:
            _OF_USER[what](self, account, user)
        elif user.keys:
            _OF_KEY[what](account, user, dice.choice(user.keys))
        return what

    def remove_user(self, account: CloudAccount, user: User) -> None:
        del account.users[user.name]
        account.touched |= {user.name, *(key.id for key in user.keys)}

    def rename(self, account: CloudAccount, user: User) -> None:
        """Give a user another name, as UpdateUser does: id, keys and dates stay."""
        del account.users[user.name]
        account.touched.add(user.name)
        user.name = f"{user.name}-x"  # after the old name, so that a listing comes to it
        user.names.add(user.name)
        account.touched.add(user.name)
        account.users[user.name] = user

    def make_again(self, account: CloudAccount, user: User) -> None:
        """Delete a user, and make another one with its name and a key."""
        self.remove_user(account, user)
        self._serial += 1
        again = User(
            name=user.name,
            created=self.now - timedelta(minutes=1),
            password=False,
            admin=False,
            quarantined=False,
            keys=[],
            id=f"AIDA{user.name}{self._serial}",
        )
        account.users[again.name] = again
        self.add_key(account, again)

    def move(self, account: CloudAccount, user: User) -> None:
        """Put a user under the path that protects it, as UpdateUser does."""
        user.path = PROTECTED_PATH
        account.touched.add(user.name)

    def use_and_end(self, account: CloudAccount, key: Key) -> None:
        """Let somebody activate an inactive key, use it and end it again."""
        account.touched.add(key.id)
        self.ended_by_others.add(key.id)
        key.active = True
        key.used = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
        key.note()
        key.active = False
        key.note()

    def add_key_to(self, account: CloudAccount, user: User) -> None:
        if len(user.keys) < 2:
            self.add_key(account, user)

    def toggle_root_key(self, account: CloudAccount) -> None:
        account.set_root_key(present=not account.root_key)

    # Answers.

    def asked(self, head: bytes, body: bytes) -> Asked:
        """Return what a request asks for."""
        text = head.decode("latin-1")
        found = _SCOPE.search(text)
        key, service = (found[1], found[2]) if found else ("", "")
        target = re.search(r"(?i)x-amz-target: *(\S+)", text)
        if target:
            form: Form = {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in json.loads(body or b"{}").items()
            }
            operation = target[1].rpartition(".")[2]
        else:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            operation = form.get("Action", "")
        account = MANAGEMENT if key == CALLER_KEY else self.owner(key)
        return Asked(service, operation, account, form)

    def answer(self, head: bytes, asked: Asked) -> Answer:
        """Answer a request truly."""
        self.calls.append(asked)
        try:
            self._check_session(head, asked)
            if asked.service == "sts":
                return 200, xml(asked.operation, STS, _STS[asked.operation](self, asked))
            if asked.service == "organizations":
                return 200, json.dumps(_ORGANIZATIONS[asked.operation](self, asked.form))
            if asked.service == "secretsmanager":
                return 200, json.dumps(
                    self.vault.answer(asked.operation, asked.account, asked.form)
                )
            account = self.accounts[asked.account]
            if account.suspended:
                raise _DENIED
            result = _IAM[asked.operation](self, account, asked.form)
            return 200, xml(asked.operation, IAM, result)
        except RefusedError as refused:
            return refusal(refused, asked)

    def _check_session(self, head: bytes, asked: Asked) -> None:
        found = _SCOPE.search(head.decode("latin-1"))
        key = found[1] if found else ""
        if key == CALLER_KEY:
            return
        if key not in self._sessions:
            raise RefusedError(403, "InvalidClientTokenId", "The security token is invalid.")
        account, left, until = self._sessions[key]
        if left <= 0 or datetime.now(UTC) > until:
            raise EXPIRED
        self._sessions[key] = account, left - 1, until

    def owner(self, key: str) -> str:
        """Return the account that a session's key acts in."""
        return self._sessions[key][0] if key in self._sessions else ""

    def assume_role(self, asked: Asked) -> str:
        account_id = asked.form["RoleArn"].split(":")[4]
        account = self.accounts.get(account_id)
        if account is None or not account.has_role:
            raise _DENIED
        self.assumed += 1
        key = f"ASIA{self.assumed:016}"
        until = datetime.now(UTC) + self.lifetime
        self._sessions[key] = account_id, self.session_calls, until
        role = asked.form["RoleArn"].rpartition("/")[2]
        self.said |= {f"s{key}", f"t{key}"}
        return (
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s{key}"
            f"</SecretAccessKey><SessionToken>t{key}</SessionToken>"
            f"<Expiration>{until.isoformat()}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>"
            f"AROA:x</AssumedRoleId><Arn>arn:aws:sts::{account_id}:assumed-role/{role}/x</Arn>"
            "</AssumedRoleUser>"
        )

    def page(self, account: CloudAccount, form: Form) -> tuple[list[User], str]:
        """Return the users after the marker, and the end of the page."""
        names = sorted(account.users)
        after = [name for name in names if name > form.get("Marker", "")]
        shown = after[: account.page]
        more = len(after) > len(shown)
        end = f"<Marker>{shown[-1]}</Marker>" if more else ""
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>{end}"
        return [account.users[name] for name in shown], truncated

    def user(self, account: CloudAccount, form: Form) -> User:
        name = form.get("UserName", "")
        if name not in account.users:
            raise no_such_entity(f"user with name {name}")
        return account.users[name]

    def key(self, account: CloudAccount, form: Form) -> Key:
        user = self.user(account, form)
        for key in user.keys:
            if key.id == form["AccessKeyId"]:
                return key
        raise no_such_entity(f"Access Key with id {form['AccessKeyId']}")


def refusal(refused: RefusedError, asked: Asked) -> Answer:
    """Return a refusal in the protocol of the service that was asked."""
    return (json_error if asked.service in _IN_JSON else xml_error)(refused)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _caller(_: Cloud, asked: Asked) -> str:
    arn = f"arn:aws:iam::{asked.account}:user/auditor"
    return f"<Arn>{arn}</Arn><UserId>AIDA</UserId><Account>{asked.account}</Account>"


def _list_users(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    users, end = cloud.page(account, form)
    return f"<Users>{members([_user(account, user) for user in users])}</Users>{end}"


def _user(account: CloudAccount, user: User) -> str:
    return (
        f"<Path>{user.path}</Path><UserName>{user.name}</UserName><UserId>{user.id}</UserId>"
        f"<Arn>{_arn(account, user)}</Arn><CreateDate>{_time(user.created)}</CreateDate>"
    )


def _arn(account: CloudAccount, user: User) -> str:
    return f"{account.arn}:user{user.path}{user.name}"


def _get_user(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    user = cloud.user(account, form)
    return f"<User>{_user(account, user)}{_tags(user)}</User>"


def _tags(user: User) -> str:
    tags = [f"<Key>{key}</Key><Value>{value}</Value>" for key, value in user.tags.items()]
    return f"<Tags>{members(tags)}</Tags>"


def _list_access_keys(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    user = cloud.user(account, form)
    keys = [
        f"<UserName>{user.name}</UserName><AccessKeyId>{key.id}</AccessKeyId>"
        f"<Status>{_status(key)}</Status><CreateDate>{_time(key.created)}</CreateDate>"
        for key in user.keys
    ]
    return f"<AccessKeyMetadata>{members(keys)}</AccessKeyMetadata><IsTruncated>false</IsTruncated>"


def _status(key: Key) -> str:
    return "Active" if key.active else "Inactive"


def _last_used(_: Cloud, account: CloudAccount, form: Form) -> str:
    user, key = account.ever.get(form["AccessKeyId"], (None, None))
    if key and user and account.users.get(user.name) is user and key in user.keys:
        at = f"<LastUsedDate>{_time(key.used)}</LastUsedDate>" if key.used else ""
        service = "s3" if key.used else "N/A"
        return (
            f"<UserName>{user.name}</UserName><AccessKeyLastUsed>{at}"
            f"<ServiceName>{service}</ServiceName><Region>{service}</Region>"
            "</AccessKeyLastUsed>"
        )
    raise _DENIED  # what IAM says of a key that it does not know


_COLUMNS = (
    "user,arn,user_creation_time,password_enabled,mfa_active,access_key_1_active,"
    "access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,"
    "access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service"
)
_NO_SLOT = "false,N/A,N/A,N/A,N/A"


def _report(_: Cloud, account: CloudAccount, __: Form) -> str:
    root = "true,2024-01-02T03:04:05Z,N/A,N/A,N/A" if account.root_key else _NO_SLOT
    rows = [
        _COLUMNS,
        f"<root_account>,{account.arn}:root,2020-01-02T03:04:05Z,not_supported,true,{root},"
        f"{_NO_SLOT}",
    ]
    for user in account.users.values():
        slots = [
            f"{str(key.active).lower()},{_time(key.created)},"
            + (f"{_time(key.used)},s3,s3" if key.used else "N/A,N/A,N/A")
            for key in user.keys
        ]
        rows.append(
            f"{user.name},{_arn(account, user)},{_time(user.created)},"
            f"{str(user.password).lower()},false,{','.join([*slots, _NO_SLOT, _NO_SLOT][:2])}"
        )
    content = b64encode("\n".join(rows).encode()).decode()
    at = _time(datetime.now(UTC))
    return f"<Content>{content}</Content><GeneratedTime>{at}</GeneratedTime>"


def _details(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    users, end = cloud.page(account, form)
    listed = [_user(account, user) + _policies(account, user) for user in users]
    return f"<UserDetailList>{members(listed)}</UserDetailList><GroupDetailList/><Policies/>{end}"


def _policies(account: CloudAccount, user: User) -> str:
    arns = [*([_ADMIN] if user.admin else []), *([account.quarantine] if user.quarantined else [])]
    attached = members([f"<PolicyArn>{arn}</PolicyArn>" for arn in arns])
    return (
        f"<UserPolicyList/><GroupList/>{_tags(user)}"
        f"<AttachedManagedPolicies>{attached}</AttachedManagedPolicies>"
    )


def _summary(_: Cloud, account: CloudAccount, __: Form) -> str:
    numbers = {"Users": len(account.users), "AccountAccessKeysPresent": int(account.root_key)}
    entries = [f"<entry><key>{n}</key><value>{v}</value></entry>" for n, v in numbers.items()]
    return f"<SummaryMap>{''.join(entries)}</SummaryMap>"


def _login_profile(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    user = cloud.user(account, form)
    if not user.password:
        raise no_such_entity(f"Login Profile for User {user.name}")
    made = _time(user.created)
    return f"<LoginProfile><UserName>{user.name}</UserName><CreateDate>{made}</CreateDate></LoginProfile>"  # noqa: E501


def _entities(_: Cloud, account: CloudAccount, form: Form) -> str:
    if form["PolicyArn"] not in QUARANTINES:
        raise no_such_entity("policy")
    users = [
        f"<UserName>{user.name}</UserName><UserId>{user.id}</UserId>"
        for user in account.users.values()
        if user.quarantined and form["PolicyArn"] == account.quarantine
    ]
    return f"<PolicyUsers>{members(users)}</PolicyUsers><IsTruncated>false</IsTruncated>"


def _attached_policies(_: Cloud, account: CloudAccount, __: Form) -> str:
    """List the AWS managed policies that are attached to something."""
    attached = [_ADMIN] if any(user.admin for user in account.users.values()) else []
    if any(user.quarantined for user in account.users.values()):
        attached.append(account.quarantine)
    listed = members([_policy(arn) for arn in attached])
    return f"<Policies>{listed}</Policies><IsTruncated>false</IsTruncated>"


def _policy(arn: str) -> str:
    name = arn.rpartition("/")[2]
    return f"<PolicyName>{name}</PolicyName><PolicyId>ANPA{name}</PolicyId><Arn>{arn}</Arn>"


def _user_tags(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    return f"{_tags(cloud.user(account, form))}<IsTruncated>false</IsTruncated>"


def _user_policies(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    quarantined = cloud.user(account, form).quarantined
    name = account.quarantine.rpartition("/")[2]
    one = f"<PolicyName>{name}</PolicyName><PolicyArn>{account.quarantine}</PolicyArn>"
    attached = members([one] if quarantined else [])
    return f"<AttachedPolicies>{attached}</AttachedPolicies><IsTruncated>false</IsTruncated>"


def _update_key(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    key = cloud.key(account, form)
    key.active = form["Status"] == "Active"
    key.note()
    return ""


def _delete_key(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    key = cloud.key(account, form)
    cloud.user(account, form).keys.remove(key)
    cloud.deleted.add(key.id)
    return ""


def _create_key(cloud: Cloud, account: CloudAccount, form: Form) -> str:
    user = cloud.user(account, form)
    if len(user.keys) >= 2:
        raise _FULL
    key = cloud.make_key(account, user)
    return (
        f"<AccessKey><UserName>{user.name}</UserName><AccessKeyId>{key.id}</AccessKeyId>"
        f"<Status>{_status(key)}</Status><SecretAccessKey>{cloud.made[key.id].secret}"
        f"</SecretAccessKey><CreateDate>{_time(key.created)}</CreateDate></AccessKey>"
    )


def _roots(_: Cloud, __: Form) -> dict[str, Any]:
    return {"Roots": [{"Id": _ROOT, "Name": "Root"}]}


def _units(_: Cloud, form: Form) -> dict[str, Any]:
    unit = {"Id": _UNIT, "Name": "workload"}
    return {"OrganizationalUnits": [unit] if form["ParentId"] == _ROOT else []}


def _unit_described(_: Cloud, form: Form) -> dict[str, Any]:
    return {"OrganizationalUnit": {"Id": form["OrganizationalUnitId"], "Name": "workload"}}


def _parents(_: Cloud, __: Form) -> dict[str, Any]:
    return {"Parents": [{"Id": _ROOT, "Type": "ROOT"}]}


def _accounts_below(cloud: Cloud, form: Form) -> dict[str, Any]:
    found = [a for a in cloud.accounts.values() if a.unit == (form["ParentId"] == _UNIT)]
    start = int(form.get("NextToken", "0"))
    more = {"NextToken": str(start + 2)} if start + 2 < len(found) else {}
    shown = [{"Id": a.id, "Name": f"n-{a.id}", "State": "ACTIVE"} for a in found[start : start + 2]]
    return {"Accounts": shown, **more}


_STS: Mapping[str, Callable[[Cloud, Asked], str]] = {
    "GetCallerIdentity": _caller,
    "AssumeRole": Cloud.assume_role,
}
_IAM: Mapping[str, Callable[[Cloud, CloudAccount, Form], str]] = {
    "ListUsers": _list_users,
    "ListAccessKeys": _list_access_keys,
    "GetAccessKeyLastUsed": _last_used,
    "GenerateCredentialReport": lambda *_: "<State>COMPLETE</State>",
    "GetCredentialReport": _report,
    "GetAccountAuthorizationDetails": _details,
    "GetAccountSummary": _summary,
    "GetLoginProfile": _login_profile,
    "GetUser": _get_user,
    "ListPolicies": _attached_policies,
    "ListEntitiesForPolicy": _entities,
    "ListUserTags": _user_tags,
    "ListAttachedUserPolicies": _user_policies,
    "UpdateAccessKey": _update_key,
    "DeleteAccessKey": _delete_key,
    "CreateAccessKey": _create_key,
}
_ORGANIZATIONS: Mapping[str, Callable[[Cloud, Form], dict[str, Any]]] = {
    "ListRoots": _roots,
    "ListOrganizationalUnitsForParent": _units,
    "DescribeOrganizationalUnit": _unit_described,
    "ListParents": _parents,
    "ListAccountsForParent": _accounts_below,
}
UNIT = _UNIT
CHANGES = frozenset({"CreateAccessKey", "DeleteAccessKey", "UpdateAccessKey"})
"""What changes keys."""


def _use(account: CloudAccount, _: User, key: Key) -> None:
    if not key.active:  # nobody can
        return
    account.touched.add(key.id)
    account.used_meanwhile.add(key.id)
    now = datetime.now(UTC).replace(microsecond=0)
    key.used = max(now, key.used or now)
    key.note()


def _remove_key(account: CloudAccount, user: User, key: Key) -> None:
    account.touched.add(key.id)
    user.keys.remove(key)


_OF_ACCOUNT: Mapping[str, Callable[[Cloud, CloudAccount], object]] = {
    "user comes": Cloud.add_user,
    "root key comes or goes": Cloud.toggle_root_key,
}
_OF_USER: Mapping[str, Callable[[Cloud, CloudAccount, User], object]] = {
    "user goes": Cloud.remove_user,
    "user is renamed": Cloud.rename,
    "user is made again": Cloud.make_again,
    "key comes": Cloud.add_key_to,
}
_OF_KEY: Mapping[str, Callable[[CloudAccount, User, Key], object]] = {
    "key goes": _remove_key,
    "key is used": _use,
}
_HAPPENINGS = (*_OF_ACCOUNT, *_OF_USER, *_OF_KEY)
