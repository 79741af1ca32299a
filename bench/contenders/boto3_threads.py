"""boto3: a session and a client for each account, users on 32 threads (--threads 1: in a row)."""

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from bench.contenders.told import role_arn, session_arguments, tell


def accounts() -> Iterator[tuple[str, Any]]:
    """Yield a session in every account."""
    caller, sts = boto3.Session(), boto3.client("sts")
    own = sts.get_caller_identity()["Account"]
    pages = caller.client("organizations").get_paginator("list_accounts").paginate()
    for account in (account for page in pages for account in page["Accounts"]):
        if account["Id"] == own:
            yield own, caller
            continue
        answer = sts.assume_role(RoleArn=role_arn(account["Id"]), RoleSessionName="bench")
        yield account["Id"], boto3.Session(**session_arguments(answer["Credentials"]))


def last_uses(iam: Any, user: str) -> list[Any]:
    """Return when each key of a user was last used."""
    found = []
    for page in iam.get_paginator("list_access_keys").paginate(UserName=user):
        for key in page["AccessKeyMetadata"]:
            answer = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
            found.append(answer["AccessKeyLastUsed"].get("LastUsedDate"))
    return found


def read(account: tuple[str, Any], threads: int) -> tuple[Any, list[str]]:
    """Return the client of an account, and its users."""
    iam = account[1].client("iam", config=Config(max_pool_connections=threads))
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1000})
    return iam, [user["UserName"] for page in pages for user in page["Users"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=32)
    threads = parser.parse_args().threads
    with ThreadPoolExecutor(threads) as pool:
        opened = list(pool.map(lambda account: read(account, threads), accounts()))
        asked = [(iam, user) for iam, users in opened for user in users]
        found = list(pool.map(lambda each: last_uses(*each), asked))
    uses = [use for each in found for use in each]
    tell(accounts=len(opened), users=len(asked), last_uses=uses)


if __name__ == "__main__":
    main()
