"""What the contenders have in common."""

import json
import os
import urllib.request
from collections.abc import Iterable

_ROLE = "iamaudit-read"


def tell(*, accounts: int, users: int, last_uses: Iterable[object]) -> None:
    """Print what was read: of each key when it was last used, None for never."""
    uses = list(last_uses)
    used = sum(use is not None for use in uses)
    print(json.dumps({"accounts": accounts, "users": users, "keys": len(uses), "used": used}))


def role_arn(account_id: str) -> str:
    """Return the role that leads into an account."""
    return f"arn:aws:iam::{account_id}:role/{_ROLE}"


def session_arguments(credentials: dict[str, str]) -> dict[str, str]:
    """Return the answer of AssumeRole as arguments of a session."""
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def account_ids() -> list[str]:
    """Return the accounts there are, for tools that must be told; no signature is needed."""
    target = "AWSOrganizationsV20161128.ListAccounts"
    ids, token = [], ""
    while True:
        question = json.dumps({"NextToken": token} if token else {}).encode()
        request = urllib.request.Request(  # noqa: S310 -- the fake's URL
            os.environ["AWS_ENDPOINT_URL"], data=question, headers={"X-Amz-Target": target}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            page = json.load(answer)
        ids += [account["Id"] for account in page["Accounts"]]
        token = page.get("NextToken")
        if not token:
            return ids
