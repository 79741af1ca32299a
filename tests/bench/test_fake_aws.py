"""The fast fake AWS of the benchmark: what is measured on it must be worth measuring."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.fake_aws.buckets import Buckets
from bench.fake_aws.process import Served, served
from bench.fake_aws.world import World, account_id, key_count, key_owner
from tests.command import Run

ACCOUNTS, USERS = 12, 23


@pytest.fixture(scope="module")
def fake() -> Iterator[Served]:
    with served(accounts=ACCOUNTS, users=USERS) as running:
        yield running


def session(fake: Served, number: int) -> boto3.Session:
    """Return a session in an account, by the role or as the caller."""
    variables = fake.variables
    own = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    if number == 0:
        return own
    arn = f"arn:aws:iam::{account_id(number)}:role/iamaudit-read"
    sts = own.client("sts", endpoint_url=fake.url)
    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name="us-east-1",
    )


def test_iamaudit_reads_every_key_of_it(fake: Served, run: Run) -> None:
    ran = run("scan", "--accounts", "org", "--fail-on", "never", variables=fake.variables)

    coverage = ran.report["coverage"]
    world = fake.stats()["world"]
    assert ran.code == 0, ran.stderr
    assert coverage["complete"]
    assert coverage["accounts"]["audited"] == world["accounts"] == ACCOUNTS
    assert coverage["users"] == world["users"] == ACCOUNTS * USERS
    assert coverage["keys"] == world["keys"] + world["root_keys"]
    assert coverage["unknown_last_use"] == 0
    with closing(sqlite3.connect(ran.folder / "iamaudit.db")) as store:
        query = "SELECT count(*) FROM access_key WHERE id IS NOT NULL AND last_used_state = 'used'"
        assert store.execute(query).fetchone() == (world["used"],)


def test_the_sdk_reads_what_the_numbers_say(fake: Served) -> None:
    iam = session(fake, 7).client("iam", endpoint_url=fake.url)
    world = World(accounts=ACCOUNTS, users=USERS)

    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 10})
    names = [user["UserName"] for page in pages for user in page["Users"]]
    keys = iam.list_access_keys(UserName=names[4])["AccessKeyMetadata"]
    first, second = world.keys(7, 4)
    used = iam.get_access_key_last_used(AccessKeyId=first.id)

    assert len(names) == USERS
    assert [key["AccessKeyId"] for key in keys] == [first.id, second.id]
    assert [key["Status"] == "Active" for key in keys] == [first.active, second.active]
    assert used["UserName"] == names[4]
    assert ("LastUsedDate" in used["AccessKeyLastUsed"]) == (first.last_used is not None)


def test_the_credential_report_says_the_same_as_the_live_calls(fake: Served) -> None:
    iam = session(fake, 3).client("iam", endpoint_url=fake.url)
    world = World(accounts=ACCOUNTS, users=USERS)

    assert iam.generate_credential_report()["State"] == "COMPLETE"
    content = iam.get_credential_report()["Content"].decode()
    root, *rows = csv.DictReader(io.StringIO(content))

    assert len(root) == 22
    assert root["user"] == "<root_account>"
    assert root["access_key_1_active"] == "true"
    assert len(rows) == USERS
    for number, row in enumerate(rows):
        for slot, key in enumerate(world.keys(3, number), start=1):
            assert row[f"access_key_{slot}_last_rotated"] == key.created
            assert row[f"access_key_{slot}_last_used_date"] == (key.last_used or "N/A")


def test_the_details_come_in_pages_with_tags_groups_and_policies(fake: Served) -> None:
    iam = session(fake, 0).client("iam", endpoint_url=fake.url)
    pager = iam.get_paginator("get_account_authorization_details")

    pages = list(pager.paginate(Filter=["User", "Group"], PaginationConfig={"PageSize": 10}))

    assert [len(page["UserDetailList"]) for page in pages] == [10, 10, 3]
    assert [len(page["GroupDetailList"]) for page in pages] == [2, 0, 0]
    assert not any(page["Policies"] for page in pages)
    assert pages[0]["UserDetailList"][0]["Tags"] == [{"Key": "team", "Value": "payments"}]


def test_a_key_of_another_account_is_denied(fake: Served) -> None:
    iam = session(fake, 1).client("iam", endpoint_url=fake.url)
    [key, *_] = World(accounts=ACCOUNTS, users=USERS).keys(2, 0)

    with pytest.raises(ClientError, match="AccessDenied"):
        iam.get_access_key_last_used(AccessKeyId=key.id)


def test_a_key_id_names_its_owner() -> None:
    world = World(accounts=5000, users=3)
    key = world.key(4999, 2, 1)

    assert len(key.id) == 20
    assert key_owner(key.id) == (4999, 2, 1)
    assert key_owner("AKIAIOSFODNN7EXAMPL0") is None


def test_there_are_one_and_a_half_keys_a_user() -> None:
    assert sum(map(key_count, range(800))) == 1200


def test_no_key_is_younger_than_its_use_or_older_than_its_user() -> None:
    world = World(accounts=2, users=400)

    for user in range(400):
        for key in world.keys(1, user):
            assert world.user_created(1, user) < key.created
            assert key.last_used is None or key.created[:10] <= key.last_used[:10]


def test_calls_are_counted_until_the_count_is_reset(fake: Served) -> None:
    fake.reset()
    session(fake, 0).client("sts", endpoint_url=fake.url).get_caller_identity()

    counted = fake.stats()["calls"]
    fake.reset()

    assert counted == {"GetCallerIdentity": 1}
    assert fake.stats()["calls"] == {}


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    now = 0.0
    buckets = Buckets(rate=20, burst=3, now=lambda: now)

    at_once = [buckets.take(1) for _ in range(4)]
    elsewhere = buckets.take(2)
    now = 0.05
    later = [buckets.take(1) for _ in range(2)]

    assert at_once == [True, True, True, False]
    assert elsewhere
    assert later == [True, False]


def test_what_is_too_much_for_an_account_is_refused_as_aws_does_and_counted() -> None:
    with served(accounts=2, users=5, rate=0.001, burst=1) as fake:
        once = Config(retries={"total_max_attempts": 1})
        iam = session(fake, 1).client("iam", endpoint_url=fake.url, config=once)
        iam.list_users()

        with pytest.raises(ClientError) as refused:
            iam.list_users()
        session(fake, 0).client("iam", endpoint_url=fake.url, config=once).list_users()

        assert refused.value.response["Error"]["Code"] == "Throttling"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert fake.stats()["throttled"] == 1
        assert fake.stats()["calls"]["ListUsers"] == 2
