"""IamWriter over an SDK client: what only reads is retried, what changes something never is."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from auditor.aws.bounds import utc
from auditor.aws.calls import Calls
from auditor.aws.errors import failures
from auditor.aws.permissions import ForbiddenActionError
from auditor.aws.readers import ClientReader
from auditor.errors import AwsFailure
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse
from auditor.model.account import AccountId
from auditor.ports import CreatedKey, Grant

_QUARANTINE = "AWSCompromisedKeyQuarantine"


class ClientWriter:
    """Changes keys of one account, as far as is granted (port IamWriter).

    `client` is of IAM and makes one attempt a call; reading goes through `calls`. Asked for a
    change that is not granted, it raises ForbiddenActionError.
    """

    def __init__(
        self, client: Any, calls: Calls, *, partition: str, account_id: AccountId, grant: Grant
    ) -> None:
        self._client = client
        self._calls = calls
        self._reader = ClientReader(client, calls, partition)
        self._users = f"arn:{partition}:iam::{account_id}:user/"
        self._grant = grant

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        """Return all keys of a user, their last use not yet asked."""
        return await self._reader.access_keys(user_name)

    async def last_use(self, key_id: AccessKeyId) -> LastUse:
        """Return Used or NeverUsed."""
        return await self._reader.last_use(key_id)

    async def user_tags(self, user_name: str) -> Mapping[str, str]:
        """Return all tags of a user."""
        with failures("iam:ListUserTags"):
            return {
                tag["Key"]: tag["Value"]
                async for page in self._reader.pages("ListUserTags", {"UserName": user_name})
                for tag in page["Tags"]
            }

    async def quarantined(self, user_name: str) -> bool:
        """Whether any version of AWS's quarantine policy is attached to the user."""
        pages = self._reader.pages("ListAttachedUserPolicies", {"UserName": user_name})
        with failures("iam:ListAttachedUserPolicies"):
            attached = [
                policy["PolicyArn"].rpartition("/")[2]
                async for page in pages
                for policy in page["AttachedPolicies"]
            ]
        return any(name.startswith(_QUARANTINE) for name in attached)

    async def user_arn(self, user_name: str) -> str:
        """Return the ARN of a user, which has its path (GetUser)."""
        answer = await self._reader.ask("GetUser", {"UserName": user_name})
        with failures("iam:GetUser"):
            return str(answer["User"]["Arn"])

    async def set_status(self, user_name: str, key_id: AccessKeyId, status: KeyStatus) -> str:
        """Make a key Active or Inactive; return the request id."""
        operation = "iam:UpdateAccessKey"
        self._check(operation, user_name)
        change = partial(
            self._client.update_access_key,
            UserName=user_name,
            AccessKeyId=key_id,
            Status=status.value,
        )
        answer = await self._calls.once(operation, change)
        with failures(operation):
            return _request_id(answer)

    async def delete_key(self, user_name: str, key_id: AccessKeyId) -> str:
        """Delete a key; return the request id."""
        operation = "iam:DeleteAccessKey"
        self._check(operation, user_name)
        change = partial(self._client.delete_access_key, UserName=user_name, AccessKeyId=key_id)
        answer = await self._calls.once(operation, change)
        with failures(operation):
            return _request_id(answer)

    async def create_key(self, user_name: str) -> CreatedKey:
        """Create a key: once, for the answer to a repeated call would leave the first key lost."""
        operation = "iam:CreateAccessKey"
        self._check(operation, user_name)
        create = partial(self._client.create_access_key, UserName=user_name)
        try:
            answer = await self._calls.once(operation, create)
            with failures(operation):
                key = answer["AccessKey"]
                return CreatedKey(
                    id=AccessKeyId(key["AccessKeyId"]),
                    created_at=utc(key["CreateDate"]),
                    secret=str(key["SecretAccessKey"]),
                    request_id=_request_id(answer),
                )
        except AwsFailure as failure:
            failure.__context__ = None  # the SDK's own error, with an answer that it could not read
            raise

    def _check(self, action: str, user_name: str) -> None:
        """Raise ForbiddenActionError unless the action is granted on this user."""
        arns = self._grant.actions.get(action, ())
        # An ARN has the user's path before the name, which no user of the account shares.
        if not any(
            arn.startswith(self._users) and arn.rpartition("/")[2] == user_name for arn in arns
        ):
            raise ForbiddenActionError(f"{action} on the user {user_name}")


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer["ResponseMetadata"]["RequestId"])
