"""IamReader over an SDK client."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from auditor.aws import authorization_details, credential_report
from auditor.aws.errors import failures
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.identity import IamUser
from auditor.model.unknown import NOT_IN_ANSWER, Unknown
from auditor.ports import CredentialReport, UserDetails

_PAGE = 1000
_NOT_ASKED = Unknown(operation="iam:GetAccessKeyLastUsed", code=NOT_IN_ANSWER)


class ClientReader:
    """Reads one account through its IAM client."""

    def __init__(self, client: Any, partition: str) -> None:
        self._client = client
        self._partition = partition

    async def users(self) -> AsyncIterator[Sequence[IamUser]]:
        """Yield ListUsers page by page."""
        async for page in pages(self._client, "list_users", "iam:ListUsers"):
            with failures("iam:ListUsers"):
                users = [
                    IamUser(
                        name=user["UserName"],
                        arn=user["Arn"],
                        path=user["Path"],
                        created_at=utc(user["CreateDate"]),
                    )
                    for user in page["Users"]
                ]
            yield users

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        """Return all keys of a user, whatever their number."""
        with failures("iam:ListAccessKeys"):
            return [
                AccessKey(
                    id=AccessKeyId(key["AccessKeyId"]),
                    status=KeyStatus(key["Status"]),
                    created_at=utc(key["CreateDate"]),
                    last_use=_NOT_ASKED,
                )
                async for page in pages(
                    self._client, "list_access_keys", "iam:ListAccessKeys", UserName=user_name
                )
                for key in page["AccessKeyMetadata"]
            ]

    async def last_use(self, key_id: AccessKeyId) -> LastUse:
        """Return the last use; only a missing date in a good answer means never."""
        with failures("iam:GetAccessKeyLastUsed"):
            answer = await self._client.get_access_key_last_used(AccessKeyId=key_id)
            used = answer["AccessKeyLastUsed"]
            service, region = used["ServiceName"], used["Region"]
            if "LastUsedDate" not in used:
                return NeverUsed()
            return Used(at=utc(used["LastUsedDate"]), service=service, region=region)

    async def generate_credential_report(self) -> bool:
        """Ask for a credential report; whether one is complete."""
        with failures("iam:GenerateCredentialReport"):
            answer = await self._client.generate_credential_report()
            return bool(answer["State"] == "COMPLETE")

    async def credential_report(self) -> CredentialReport:
        """Return the complete credential report."""
        with failures(credential_report.OPERATION):
            answer = await self._client.get_credential_report()
            return credential_report.parse(answer["Content"], utc(answer["GeneratedTime"]))

    async def user_details(self) -> Mapping[str, UserDetails]:
        """Return tags, groups, policies, rights and quarantine of all users."""
        found = pages(
            self._client,
            "get_account_authorization_details",
            authorization_details.OPERATION,
            Filter=authorization_details.FILTERS,
        )
        with failures(authorization_details.OPERATION):
            return authorization_details.digest([page async for page in found])

    async def has_password(self, user_name: str) -> bool:
        """Whether the user has a console password."""
        try:
            with failures("iam:GetLoginProfile"):
                await self._client.get_login_profile(UserName=user_name)
        except AwsFailure as failure:
            if failure.kind is FailureKind.GONE:
                return False
            raise
        return True

    async def root_keys_present(self) -> bool:
        """Whether the root user has any access key."""
        with failures("iam:GetAccountSummary"):
            answer = await self._client.get_account_summary()
            return bool(answer["SummaryMap"]["AccountAccessKeysPresent"])

    async def quarantined_users(self) -> frozenset[str]:
        """Return the names of users with a quarantine policy, asked policy by policy."""
        names: set[str] = set()
        for arn in authorization_details.quarantine_policies(self._partition):
            try:
                async for page in pages(
                    self._client,
                    "list_entities_for_policy",
                    "iam:ListEntitiesForPolicy",
                    PolicyArn=arn,
                    EntityFilter="User",
                ):
                    names.update(user["UserName"] for user in page["PolicyUsers"])
            except AwsFailure as failure:
                if failure.kind is not FailureKind.GONE:
                    raise
        return frozenset(names)


async def pages(client: Any, method: str, operation: str, **arguments: Any) -> AsyncIterator[Any]:
    """Yield the pages of an IAM operation, 1000 items each; raise AwsFailure."""
    paginator = client.get_paginator(method)
    iterator = aiter(paginator.paginate(**arguments, PaginationConfig={"PageSize": _PAGE}))
    while True:
        with failures(operation):
            page = await anext(iterator, None)
        if page is None:
            return
        yield page


def utc(at: datetime) -> datetime:
    """Return the instant in UTC."""
    return at.astimezone(UTC)
