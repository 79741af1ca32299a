"""Whether a report is true of the cloud that was read: by the cloud's own memory, not by the tool.

What was there all the time must be in the report with its dates, or its account must say that it
was not read whole; whatever is in the report must have been true at some time.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.faults.cloud import Cloud, CloudAccount, Key, User

_DAY = timedelta(days=1)
_ROOT = "<root_account>"
UNKNOWN_STATUS = "Unknown"  # of a key whose status is none that the tool knows

Wrong = tuple[str, str]
"""What kind of mistake it is (`wrong`, `lost` or `claim`), and what exactly."""


def mistakes(
    cloud: Cloud,
    report: Mapping[str, Any],
    code: int,
    *,
    misled: Collection[str] = (),
) -> Iterator[Wrong]:
    """Yield what is not true in a report, or in the exit code of the scan that wrote it.

    `misled` are accounts whose report was older than their root key, with nothing else to go by.
    """
    accounts = {each["id"]: each for each in report["accounts"]}
    for account in cloud.accounts.values():
        if account.id not in accounts:
            yield "lost", f"account {account.id}"
            continue
        misled_here = account.id in misled
        yield from mistakes_of_account(account, accounts[account.id], report, misled=misled_here)
    yield from _summed_up(accounts, report, code)


def _summed_up(
    accounts: Mapping[str, Mapping[str, Any]], report: Mapping[str, Any], code: int
) -> Iterator[Wrong]:
    outcomes = Counter(each["outcome"] for each in accounts.values())
    complete = not (
        outcomes["partial"]
        or outcomes["unreachable"]
        or any(key["last_used"]["state"] == "unknown" for key in report["keys"])
        or any(each["status"] == "indeterminate" for each in report["findings"])
    )
    if report["coverage"]["complete"] is not complete:
        yield "wrong", f"coverage says complete: {not complete}"
    opened = any(each["status"] == "open" for each in report["findings"])
    expected = int(opened)
    if not complete:
        expected = 3
    if not outcomes["audited"] + outcomes["partial"]:
        expected = 4
    if code != expected:
        yield "wrong", f"exit code {code}, expected {expected}"


def mistakes_of_account(
    account: CloudAccount,
    told: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    misled: bool = False,
) -> Iterator[Wrong]:
    """Yield what is not true of one account, `told` being what the report says of it itself."""
    keys = [each for each in report["keys"] if each["account_id"] == account.id]
    of_users = [each for each in keys if each["user_name"] != _ROOT]
    for key_id, number in Counter(each["access_key_id"] for each in of_users).items():
        if number > 1:
            yield "claim", f"{key_id} is there {number} times"
    for each in of_users:
        yield from _key_mistakes(account, each)
    whole = told["outcome"] == "audited"
    shown = {each["access_key_id"] for each in of_users}
    stable = [user for user in account.users.values() if user.name not in account.touched]
    if whole:
        yield from _losses(account, stable, shown, users=told["users"])
    findings = _findings(report, account)
    now = datetime.fromisoformat(report["run"]["now"])
    for user in stable:
        here = [key for key in user.keys if key.id in shown and key.id not in account.touched]
        settled = not any(
            key.id in account.touched for owner, key in account.ever.values() if owner is user
        )
        for key in here:
            yield from _verdict_mistakes(user, key, findings, now, settled=settled)
    if not misled:
        yield from _root_mistakes(account, told, report)


def _losses(
    account: CloudAccount, stable: list[User], shown: set[str], *, users: int
) -> Iterator[Wrong]:
    """Yield what is not told of an account that says that it was read whole.

    A user that was renamed on the way is another name; its keys were there all the time.
    """
    for user in account.users.values():
        for key in user.keys:
            if key.id not in account.touched and key.id not in shown:
                yield "lost", f"{key.id} of {user.name} in an account that says audited"
    if users < len(stable):
        yield "lost", f"{users} users of at least {len(stable)}"


def _key_mistakes(account: CloudAccount, told: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield what was never true of a key."""
    known = account.ever.get(told["access_key_id"])
    if known is None or told["user_name"] not in known[0].names:
        yield "claim", f"{told['access_key_id']} of {told['user_name']} was never there"
        return
    key = known[1]
    if datetime.fromisoformat(told["created_at"]) != key.created:
        yield "wrong", f"{key.id} was created at {key.created}, not {told['created_at']}"
    status = {"Active" if active else "Inactive" for active, _ in key.ever}
    if told["status"] not in status | {UNKNOWN_STATUS}:
        yield "wrong", f"{key.id} was never {told['status']}"
    used = told["last_used"]
    if used["state"] == "never" and None not in {at for _, at in key.ever}:
        yield "claim", f"{key.id} was used, and reads never"
    at = used["at"] and datetime.fromisoformat(used["at"])
    if used["state"] == "used" and at not in {each for _, each in key.ever}:
        yield "wrong", f"{key.id} was never used at {used['at']}"
    if used["state"] == "unknown" and not used["reason"]:
        yield "wrong", f"{key.id} has no reason for its unknown last use"


Findings = Mapping[tuple[str, str], Mapping[str, str]]


def _findings(report: Mapping[str, Any], account: CloudAccount) -> Findings:
    """Return the status of each finding, by user and key, and by rule."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for each in report["findings"]:
        if each["account_id"] == account.id:
            place = (each["user_name"], each["access_key_id"])
            found.setdefault(place, {})[each["rule_id"]] = each["status"]
    return found


def _verdict_mistakes(
    user: User, key: Key, findings: Findings, now: datetime, *, settled: bool
) -> Iterator[Wrong]:
    """Yield where the verdict on a key that did not change is another than ours."""
    found = findings.get((user.name, key.id), {})
    age, idle = now - key.created, now - (key.used or key.created)
    active = [each for each in user.keys if each.active]
    newest = max(active, key=lambda each: (each.created, each.id), default=None)
    expected = {
        "key-too-old": key.active and age > 90 * _DAY,
        "key-unused": key.active and key.used is not None and min(age, idle) > 45 * _DAY,
        "key-never-used": key.active and key.used is None and age > 30 * _DAY,
        "key-quarantined": key.active and user.quarantined,
        "admin-access-key": key.active and user.admin,
    }
    if settled:
        expected["second-active-key"] = key.active and len(active) > 1 and key is not newest
    for rule, broken in expected.items():
        said = found.get(rule)
        if broken and said is None:
            yield "lost", f"{rule} of {key.id}, which passes"
        if not broken and said == "open":
            yield "claim", f"{rule} of {key.id}"


def _root_mistakes(
    account: CloudAccount, told: Mapping[str, Any], report: Mapping[str, Any]
) -> Iterator[Wrong]:
    """Yield where a root key passes, or one is claimed; where sources differ neither is right."""
    found = _findings(report, account).items()
    said = [of_rules.get("root-access-key") for (user, _), of_rules in found if user == _ROOT]
    shown = any(
        each["account_id"] == account.id
        and each["user_name"] == _ROOT
        and each["status"] == "Active"
        for each in report["keys"]
    )
    if account.root_ever == {True} and told["outcome"] == "audited" and not any(said):
        yield "lost", f"the root key of {account.id}"
    if account.root_ever == {False} and (shown or "open" in said):
        yield "claim", f"a root key of {account.id}"
