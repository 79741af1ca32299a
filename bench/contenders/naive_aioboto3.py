"""aioboto3 as one would write it: a session and a client for each account, and gather."""

import asyncio
from typing import Any

import aioboto3

from bench.contenders.told import role_arn, session_arguments, tell

AT_ONCE = 60


async def sessions() -> list[aioboto3.Session]:
    """Return a session in every account."""
    caller = aioboto3.Session()
    async with caller.client("sts") as sts, caller.client("organizations") as organizations:
        own = (await sts.get_caller_identity())["Account"]
        pages = organizations.get_paginator("list_accounts").paginate()
        ids = [account["Id"] async for page in pages for account in page["Accounts"]]

        async def enter(account_id: str) -> aioboto3.Session:
            if account_id == own:
                return caller
            arn = role_arn(account_id)
            answer = await sts.assume_role(RoleArn=arn, RoleSessionName="bench")
            return aioboto3.Session(**session_arguments(answer["Credentials"]))

        return list(await asyncio.gather(*map(enter, ids)))


async def last_uses(iam: Any, user: str, semaphore: asyncio.Semaphore) -> list[Any]:
    """Return when each key of a user was last used."""
    found = []
    async with semaphore:
        pages = iam.get_paginator("list_access_keys").paginate(UserName=user)
        keys = [key["AccessKeyId"] async for page in pages for key in page["AccessKeyMetadata"]]
    for key in keys:
        async with semaphore:
            answer = await iam.get_access_key_last_used(AccessKeyId=key)
        found.append(answer["AccessKeyLastUsed"].get("LastUsedDate"))
    return found


async def read(session: aioboto3.Session, semaphore: asyncio.Semaphore) -> tuple[int, list[Any]]:
    """Return the number of users of an account, and when each of its keys was last used."""
    async with session.client("iam") as iam:
        async with semaphore:
            pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1000})
            users = [user["UserName"] async for page in pages for user in page["Users"]]
        found = await asyncio.gather(*(last_uses(iam, user, semaphore) for user in users))
    return len(users), [use for each in found for use in each]


async def main() -> None:
    semaphore = asyncio.Semaphore(AT_ONCE)
    opened = await sessions()
    found = await asyncio.gather(*(read(session, semaphore) for session in opened))
    uses = [use for _, each in found for use in each]
    tell(accounts=len(opened), users=sum(users for users, _ in found), last_uses=uses)


if __name__ == "__main__":
    asyncio.run(main())
