"""The pages' example ids, and what they stand for in the organization that is served."""

import json
import re
from pathlib import Path
from typing import Any

from auditor.demo.blueprint import STORIES
from auditor.demo.policies import READ_ROLE_POLICY, WRITE_ROLE_POLICY, trust
from tests.command import World

CALLER = "iamaudit"
"""The user that calls; the demo's management account has the id that AWS's documents use."""


def open_the_last_account(world: World) -> None:
    """Roll the roles out to the account that nobody rolled them out to."""
    organization = world.organization
    iam = world.emulator.backend("iam", organization.unreachable_account_id)
    trusting = trust(organization.management_account_id)
    for name, policy in (("read", READ_ROLE_POLICY), ("write", WRITE_ROLE_POLICY)):
        iam.create_role(f"iamaudit-{name}", trusting, "/", None, "", [], "3600")
        iam.put_role_policy(f"iamaudit-{name}", name, policy)
    hubs = world.emulator.security_hubs
    hubs.update((organization.unreachable_account_id, region) for _, region in set(hubs))


def dismiss(world: World, *, left: int) -> None:
    """Leave a small organization without OUs, which is scanned three times as quickly.

    Each account keeps its users with a story, and so many of the others.
    """
    told = {user.name for users in STORIES.values() for user in users}
    organization = world.organization
    for account_id in (organization.management_account_id, *organization.member_account_ids):
        users = world.emulator.backend("iam", account_id).users
        others = [name for name in users if name not in told and name != CALLER]
        for name in others[left:]:
            del users[name]
    organizations = world.emulator.backend("organizations", organization.management_account_id)
    for account in organizations.accounts:
        account.parent_id = organizations.org.root_id
    organizations.ou[:] = [each for each in organizations.ou if each.type == "ROOT"]


def here(text: str, world: World, folder: Path) -> str:
    """Return the text with what its example ids stand for."""
    return re.sub(
        "|".join(map(re.escape, _WORDS)), lambda found: _WORDS[found[0]](world, folder), text
    )


def _account(name: str) -> Any:
    def named(world: World, folder: Path) -> str:
        organization = world.emulator.backend(
            "organizations", world.organization.management_account_id
        )
        [found] = (each.id for each in organization.accounts if each.name == name)
        return str(found)

    return named


def _key(account: str, user: str) -> Any:
    def named(world: World, folder: Path) -> str:
        iam = world.emulator.backend("iam", _account(account)(world, folder))
        return str(iam.users[user].access_keys[0].access_key_id)

    return named


def _second_key(world: World, folder: Path) -> str:
    """The caller's second key: one that a command of the page made."""
    iam = world.emulator.backend("iam", world.organization.management_account_id)
    return str(iam.users[CALLER].access_keys[-1].access_key_id)


def _first_run(world: World, folder: Path) -> str:
    return min(path.name for path in (folder / "reports").glob("2*Z-*"))


def _last_plan(world: World, folder: Path) -> str:
    return str(json.loads((folder / "reports/latest/plan.json").read_text())["id"])


_WORDS: dict[str, Any] = {
    "111122223333": _account("shared-services"),
    "444455556666": _account("payments-prod"),
    "AKIAIOSFODNN7EXAMPLE": _key("payments-prod", "svc-settlement-export"),
    "AKIAI44QH8DHBEXAMPLE": _second_key,
    "20261101T060000Z-4f2a91c3": _first_run,
    "plan-20261124T120000Z-0123abcd": _last_plan,
}
