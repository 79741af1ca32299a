import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from auditor.demo.emulator import Emulator
from auditor.demo.organization import DemoOrganization, build

NOW = datetime(2027, 1, 15, 12, 0, 0, 987_654, tzinfo=UTC)
NAIVE_NOW = NOW.replace(tzinfo=None, microsecond=0)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Demo:
    emulator: Emulator
    organization: DemoOrganization
    session: Any

    def client(self, service: str) -> Any:
        return self.session.client(
            service,
            endpoint_url=self.emulator.url,
            aws_access_key_id=self.organization.access_key_id,
            aws_secret_access_key=self.organization.secret_access_key,
        )

    @property
    def accounts(self) -> tuple[str, ...]:
        organization = self.organization
        return (organization.management_account_id, *organization.member_account_ids)

    def iam(self, account_id: str) -> Any:
        return self.emulator.backend("iam", account_id)

    @property
    def entries(self) -> dict[str, Any]:
        backend = self.emulator.backend("organizations", self.accounts[0])
        return {entry.name: entry for entry in backend.accounts}

    @property
    def users(self) -> list[Any]:
        return [user for account in self.accounts for user in self.iam(account).users.values()]

    @property
    def keys(self) -> list[Any]:
        return [key for user in self.users for key in user.access_keys]

    def documents(self, user: Any) -> list[str]:
        """Every policy document of the user itself."""
        managed = [policy.versions[0].document for policy in user.managed_policies.values()]
        return [*managed, *user.policies.values()]


@pytest.fixture(scope="module")
def demo(session: Any) -> Iterator[Demo]:
    with Emulator(clock=lambda: NOW) as emulator:
        yield Demo(emulator, build(emulator, now=NOW), session)


def test_the_credentials_are_the_management_accounts(demo: Demo) -> None:
    with closing(demo.client("sts")) as sts:
        identity = sts.get_caller_identity()

    assert identity["Account"] == demo.organization.management_account_id
    assert identity["Arn"].endswith(":user/iamaudit")
    assert demo.organization.environment["AWS_ACCESS_KEY_ID"] == demo.organization.access_key_id


def test_the_secret_is_not_shown(demo: Demo) -> None:
    assert demo.organization.secret_access_key not in repr(demo.organization)


def test_every_other_member_lets_the_role_be_assumed(demo: Demo) -> None:
    organization, denied = demo.organization, []
    with closing(demo.client("sts")) as sts:
        for account_id in organization.member_account_ids:
            arn = f"arn:aws:iam::{account_id}:role/{organization.role_name}"
            try:
                sts.assume_role(RoleArn=arn, RoleSessionName="audit")
            except ClientError:
                denied.append(account_id)

    assert set(denied) == {organization.suspended_account_id, organization.unreachable_account_id}


def test_the_management_account_has_no_such_role(demo: Demo) -> None:
    roles = demo.iam(demo.organization.management_account_id).roles.values()

    assert demo.organization.role_name not in {role.name for role in roles}


def test_one_member_is_suspended_and_at_least_twelve_are_active(demo: Demo) -> None:
    states = [entry.state for entry in demo.entries.values()]

    assert states.count("SUSPENDED") == 1
    assert states.count("ACTIVE") >= 13


def test_ous_are_nested_three_deep(demo: Demo) -> None:
    with closing(demo.client("organizations")) as organizations:
        child, depth = demo.entries["payments-prod"].id, 0
        while parents := organizations.list_parents(ChildId=child)["Parents"]:
            child, depth = parents[0]["Id"], depth + 1

    assert depth == 4
    assert child.startswith("r-")


def test_there_are_at_least_250_users_with_different_arns(demo: Demo) -> None:
    assert len({user.arn for user in demo.users}) == len(demo.users) >= 250


def test_names_are_such_as_iam_allows(demo: Demo) -> None:
    assert all(re.fullmatch(r"[\w+=,.@-]{1,64}", user.name) for user in demo.users)


def test_key_ids_look_like_those_of_aws(demo: Demo) -> None:
    ids = [key.access_key_id for key in demo.keys]

    assert all(re.fullmatch(r"AKIA[A-Z2-7]{16}", key_id) for key_id in ids)
    assert len(set(ids)) == len(ids)


def test_dates_are_whole_seconds_in_a_possible_order(demo: Demo) -> None:
    for user in demo.users:
        for key in user.access_keys:
            used = key.last_used.timestamp if key.last_used else NAIVE_NOW
            dates = [user.create_date, key.create_date, used, NAIVE_NOW]
            assert dates == sorted(dates)
            assert not any(date.microsecond for date in dates)


def test_most_keys_are_young_and_in_use(demo: Demo) -> None:
    healthy = [key for key in demo.keys if _age(key) < 90 * DAY and _idle(key) < 45 * DAY]

    assert len(healthy) > len(demo.keys) / 2


@pytest.mark.parametrize(
    ("least", "most"), [(timedelta(), DAY), (DAY, 30 * DAY), (30 * DAY, 999 * DAY)]
)
def test_keys_of_several_ages_were_never_used(
    demo: Demo, least: timedelta, most: timedelta
) -> None:
    ages = [_age(key) for key in demo.keys if key.last_used is None and key.status == "Active"]

    assert any(least < age < most for age in ages)


def test_some_active_keys_are_too_old_though_in_use(demo: Demo) -> None:
    assert any(_age(key) > 90 * DAY and _idle(key) < DAY for key in _active(demo))


def test_some_active_keys_have_not_been_used_for_long(demo: Demo) -> None:
    assert any(key.last_used and _idle(key) > 45 * DAY for key in _active(demo))


def test_some_keys_have_been_inactive_for_long(demo: Demo) -> None:
    inactive = [key for key in demo.keys if key.status == "Inactive"]

    assert any(_idle(key) > 90 * DAY for key in inactive)


def test_some_users_have_two_active_keys(demo: Demo) -> None:
    active = [[key for key in user.access_keys if key.status == "Active"] for user in demo.users]

    assert any(len(keys) == 2 for keys in active)


def test_some_users_have_no_key(demo: Demo) -> None:
    assert any(not user.access_keys for user in demo.users)


def test_some_people_have_both_a_password_and_a_key(demo: Demo) -> None:
    assert any(user.password and user.access_keys for user in demo.users)


def test_some_users_are_tagged_and_some_are_not(demo: Demo) -> None:
    tags = [{tag["Key"] for tag in user.tags or []} for user in demo.users]

    assert any({"Owner", "Service"} <= keys for keys in tags)
    assert not all(tags)


def test_some_user_has_a_path(demo: Demo) -> None:
    assert any(user.path != "/" and user.access_keys for user in demo.users)


def test_s3_is_used_without_a_region(demo: Demo) -> None:
    uses = [(key.last_used.service, key.last_used.region) for key in demo.keys if key.last_used]

    assert ("s3", "N/A") in uses
    assert any(region != "N/A" for _, region in uses)


def test_a_user_is_quarantined(demo: Demo) -> None:
    arn = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"

    assert any(arn in user.managed_policies and user.access_keys for user in demo.users)


@pytest.mark.parametrize("action", ["*", "*:*"])
def test_users_with_keys_may_do_everything_by_themselves(demo: Demo, action: str) -> None:
    keyed = [user for user in demo.users if user.access_keys]
    statements = [_statement(text) for user in keyed for text in demo.documents(user)]

    assert {"Effect": "Allow", "Action": action, "Resource": "*"} in statements


def test_a_user_with_a_key_may_do_everything_by_an_aws_policy(demo: Demo) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"

    assert any(arn in user.managed_policies and user.access_keys for user in demo.users)


def test_a_user_with_a_key_may_do_everything_through_a_group(demo: Demo) -> None:
    groups = [demo.iam(account).groups["administrators"] for account in demo.accounts]

    assert any(user.access_keys for group in groups for user in group.users)


def test_a_condition_makes_a_near_miss(demo: Demo) -> None:
    keyed = [user for user in demo.users if user.access_keys]
    statements = [_statement(text) for user in keyed for text in demo.documents(user)]

    assert any(one["Action"] == "*" and "Condition" in one for one in statements)


def test_one_root_user_has_an_active_key_and_one_an_inactive_one(demo: Demo) -> None:
    keys = [key.active for keys in demo.emulator.root_keys.values() for key in keys]

    assert sorted(keys) == [False, True]


def test_some_names_and_tags_are_hostile(demo: Demo) -> None:
    tags = [tag["Value"] for user in demo.users for tag in user.tags or []]

    assert "R&D <b>lab</b>" in demo.entries
    assert "<script>alert(1)</script>" in tags
    assert any(user.name.startswith("=") for user in demo.users)


def _active(demo: Demo) -> list[Any]:
    return [key for key in demo.keys if key.status == "Active"]


def _age(key: Any) -> timedelta:
    return NAIVE_NOW - key.create_date  # type: ignore[no-any-return]


def _idle(key: Any) -> timedelta:
    since = key.last_used.timestamp if key.last_used else key.create_date
    return NAIVE_NOW - since  # type: ignore[no-any-return]


def _statement(text: str) -> dict[str, Any]:
    statements = json.loads(text)["Statement"]
    return dict(statements[0] if isinstance(statements, list) else statements)
