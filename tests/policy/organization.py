"""One organization that every pack judges, and the verdicts that were agreed on.

`python -m tests.policy.organization` writes the verdicts of today to `golden/`; review the
difference before it is kept.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from auditor.model.access_key import AccessKey, KeyStatus, LastUse
from auditor.model.finding import VerdictKind
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.evaluate import judge_user
from auditor.wiring.policies import load_policies, pack_names
from tests.builders import DENIED, NOW, a_key, a_user_with, an_account, an_inventory, used

GOLDEN = Path(__file__).parent / "golden"
MICROSECOND = 1e-6 / 86400
"""In days."""

NO_REPORT = Unknown(operation="iam:GetCredentialReport", code="AccessDenied")
NO_DETAILS = Unknown(operation="iam:GetAccountAuthorizationDetails", code="AccessDenied")


def a_root_key(
    *,
    slot: int = 1,
    active: bool = True,
    days_old: float | None = 500,
    last_use: LastUse | None = None,
) -> AccessKey:
    key = a_key("", active=active, days_old=days_old or 0, last_use=last_use)
    created_at = None if days_old is None else key.created_at
    return replace(key, id=None, slot=slot, created_at=created_at)


def the_root(*keys: AccessKey) -> UserInventory:
    return a_user_with(*keys, name=ROOT_USER_NAME, admin=True)


def _one(name: str, days_old: float, last_use: LastUse | None = None) -> UserInventory:
    return a_user_with(a_key("AKIA1", days_old=days_old, last_use=last_use), name=name)


PRODUCTION = an_inventory(
    _one("young-used", 10, used()),
    _one("old-used", 400, used()),
    _one("old-never-used", 400),
    _one("exactly-90-days-old", 90, used()),
    _one("past-90-days-old", 90 + MICROSECOND, used()),
    _one("just-under-45-days-idle", 80, used(days=45 - MICROSECOND)),
    _one("exactly-45-days-idle", 80, used(days=45)),
    _one("past-45-days-idle", 80, used(days=45 + MICROSECOND)),
    _one("exactly-90-days-idle", 200, used(days=90)),
    _one("past-90-days-idle", 200, used(days=90 + MICROSECOND)),
    _one("never-used-for-10-days", 10),
    _one("never-used-for-exactly-45-days", 45),
    _one("never-used-for-exactly-90-days", 90),
    the_root(a_root_key(last_use=used(days=100)), a_root_key(slot=2, days_old=20, last_use=used())),
    account=an_account("1" * 12, name="production"),
)

DEVELOPMENT = an_inventory(
    a_user_with(
        a_key("AKIA1", days_old=80, last_use=used()),
        a_key("AKIA2", days_old=5, last_use=used()),
        name="two-active-keys",
    ),
    a_user_with(
        a_key("AKIA1", active=False, days_old=80, last_use=used()),
        a_key("AKIA2", days_old=5, last_use=used()),
        name="inactive-and-active",
    ),
    a_user_with(
        a_key("AKIA1", days_old=400), a_key("AKIA2", days_old=60), name="two-never-used-keys"
    ),
    a_user_with(a_key("AKIA1", active=False, days_old=400), name="inactive-old"),
    a_user_with(
        a_key("AKIA1", active=False, days_old=400, last_use=DENIED), name="inactive-unknown-use"
    ),
    a_user_with(
        replace(a_key("AKIA1", days_old=400, last_use=used(days=200)), status=KeyStatus.EXPIRED),
        name="expired-old",
    ),
    _one("created-tomorrow", -1),
    the_root(a_root_key(active=False)),
    account=an_account("2" * 12, name="development"),
)

SANDBOX = an_inventory(
    a_user_with(a_key("AKIA1", last_use=used()), name="person", password_enabled=True),
    a_user_with(a_key("AKIA1", last_use=used()), name="administrator", admin=True),
    a_user_with(a_key("AKIA1", last_use=used()), name="quarantined", quarantined=True),
    a_user_with(
        a_key("AKIA1", last_use=used()), name="unknown-password", password_enabled=NO_REPORT
    ),
    a_user_with(
        a_key("AKIA1", last_use=used()),
        name="unknown-rights",
        admin=NO_DETAILS,
        quarantined=NO_DETAILS,
    ),
    _one("unknown-use-old", 100, DENIED),
    _one("unknown-use-middling", 60, DENIED),
    _one("unknown-use-for-exactly-45-days", 45, DENIED),
    _one("unknown-use-young", 5, DENIED),
    the_root(a_root_key(days_old=None, last_use=DENIED)),
    account=an_account("3" * 12, name="sandbox"),
)

ORGANIZATION: tuple[AccountInventory, ...] = (PRODUCTION, DEVELOPMENT, SANDBOX)


def verdicts(pack: str) -> dict[str, dict[str, str]]:
    """What is not a pass, by `account/user/key` and rule."""
    return dict(_verdicts(pack))


def _verdicts(pack: str) -> Iterator[tuple[str, dict[str, str]]]:
    [policy] = load_policies([pack])
    for inventory in ORGANIZATION:
        for user in inventory.users:
            for judgement in judge_user(inventory.account, "aws", user, policy, now=NOW):
                key = judgement.case.key
                name = f"{inventory.account.name}/{user.identity.name}/{key.id or key.slot}"
                yield (
                    name,
                    {
                        verdict.rule.id: verdict.kind.value
                        for verdict in judgement.verdicts
                        if verdict.kind is not VerdictKind.PASS
                    },
                )


def agreed(pack: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((GOLDEN / f"{pack}.json").read_text("utf-8"))
    return found


def write() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for pack in pack_names():
        text = json.dumps(verdicts(pack), indent=2)
        (GOLDEN / f"{pack}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
