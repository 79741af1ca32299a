"""IamReader over the answers of IAM, whoever fetches them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from botocore import xform_name

from auditor import fanout
from auditor.aws import authorization_details, credential_report
from auditor.aws.bounds import named, utc
from auditor.aws.calls import Calls
from auditor.aws.errors import failures
from auditor.aws.paging import Pages
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.identity import IamUser
from auditor.model.unknown import NOT_IN_ANSWER, Known, Unknown
from auditor.ports import CredentialReport, UserDetails

_PAGE = 1000
_NOT_ASKED = Unknown(operation="iam:GetAccessKeyLastUsed", code=NOT_IN_ANSWER)

Answer: TypeAlias = Mapping[str, Any]
Arguments: TypeAlias = Mapping[str, str | int | list[str]]  # a bool is an int
Send: TypeAlias = Callable[[str, Arguments], Awaitable[Answer]]
"""Makes one request for an operation (`ListUsers`), and returns the members of its answer."""


class AnswerReader:
    """Reads one account; what is fetched by `send` goes through `calls`, page by page."""

    def __init__(self, send: Send, calls: Calls, partition: str) -> None:
        self._send = send
        self._calls = calls
        self.partition = partition

    async def users(self) -> AsyncIterator[Sequence[IamUser]]:
        """Yield ListUsers page by page, each user once: pages may overlap."""
        names: set[str] = set()
        async for page in self.pages("ListUsers", {}):
            with failures("iam:ListUsers"):
                users = [
                    IamUser(
                        name=named(user["UserName"]),
                        arn=named(user["Arn"]),
                        path=named(user["Path"]),
                        created_at=utc(user["CreateDate"]),
                        id=named(user.get("UserId") or ""),
                    )
                    for user in page["Users"]
                    if user["UserName"] not in names
                ]
                names.update(user.name for user in users)
            yield users

    async def access_keys(self, user_name: str) -> Sequence[AccessKey]:
        """Return all keys of a user, whatever their number, each once."""
        keys: dict[str, AccessKey] = {}
        pages = _Listing(self.ask, "ListAccessKeys", {"UserName": user_name})
        while (page := await pages.next()) is not None:
            with failures("iam:ListAccessKeys"):
                for key in page["AccessKeyMetadata"]:
                    _same_user("iam:ListAccessKeys", user_name, key)
                    keys[key["AccessKeyId"]] = AccessKey(
                        id=AccessKeyId(named(key["AccessKeyId"])),
                        status=_status(key.get("Status")),
                        created_at=utc(key["CreateDate"]),
                        last_use=_NOT_ASKED,
                    )
        return list(keys.values())

    async def last_use(self, key_id: AccessKeyId, *, user_name: str | None = None) -> LastUse:
        """Return the last use; only a missing date in a good answer means never.

        Raises AwsFailure where the answer is about a key of another user than `user_name`.
        """
        answer = await self.ask("GetAccessKeyLastUsed", {"AccessKeyId": key_id})
        with failures("iam:GetAccessKeyLastUsed"):
            if user_name is not None:
                _same_user("iam:GetAccessKeyLastUsed", user_name, answer)
            return _last_use(answer["AccessKeyLastUsed"])

    async def generate_credential_report(self) -> bool:
        """Ask for a credential report; whether one is complete."""
        answer = await self.ask("GenerateCredentialReport", {})
        with failures("iam:GenerateCredentialReport"):
            return bool(answer["State"] == "COMPLETE")

    async def credential_report(self, *, slots: bool) -> CredentialReport:
        """Return the complete credential report; the keys of IAM users only with `slots`."""
        answer = await self.ask("GetCredentialReport", {})
        with failures(credential_report.OPERATION):
            content, at = answer["Content"], utc(answer["GeneratedTime"])
            return await fanout.aside(partial(credential_report.parse, content, at, slots=slots))

    async def user_details(self) -> Mapping[str, Known[UserDetails]]:
        """Return tags, groups, policies, rights and quarantine of all users."""
        details = authorization_details.Digest()
        asked: Arguments = {"Filter": authorization_details.FILTERS}
        async for page in self.pages("GetAccountAuthorizationDetails", asked):
            with failures(authorization_details.OPERATION):
                await fanout.aside(partial(details.add, page))
        return await fanout.aside(details.users)

    async def has_password(self, user_name: str) -> bool:
        """Whether the user has a console password."""
        try:
            answer = await self.ask("GetLoginProfile", {"UserName": user_name})
            with failures("iam:GetLoginProfile"):
                _same_user("iam:GetLoginProfile", user_name, answer.get("LoginProfile") or {})
        except AwsFailure as failure:
            if failure.kind is FailureKind.GONE:
                return False
            raise
        return True

    async def root_keys_present(self) -> bool:
        """Whether the root user has any access key."""
        answer = await self.ask("GetAccountSummary", {})
        with failures("iam:GetAccountSummary"):
            return bool(answer["SummaryMap"]["AccountAccessKeysPresent"])

    async def user_count(self) -> int:
        """Return how many users there are."""
        answer = await self.ask("GetAccountSummary", {})
        with failures("iam:GetAccountSummary"):
            return int(answer["SummaryMap"]["Users"])

    async def quarantined_users(self) -> frozenset[str]:
        """Return the names of users with a quarantine policy, whatever its version.

        The policies are taken from those of AWS's that are attached, since AWS adds versions.
        """
        names: set[str] = set()
        for arn in await self._quarantine_policies():
            asked: Arguments = {"PolicyArn": arn, "EntityFilter": "User"}
            try:
                async for page in self.pages("ListEntitiesForPolicy", asked):
                    with failures("iam:ListEntitiesForPolicy"):
                        names.update(user["UserName"] for user in page["PolicyUsers"])
            except AwsFailure as failure:
                if failure.kind is not FailureKind.GONE:
                    raise
        return frozenset(names)

    async def _quarantine_policies(self) -> list[str]:
        found: list[str] = []
        asked: Arguments = {"Scope": "AWS", "OnlyAttached": True}
        async for page in self.pages("ListPolicies", asked):
            with failures("iam:ListPolicies"):
                found += [
                    each["Arn"]
                    for each in page["Policies"]
                    if authorization_details.is_quarantine(named(each["Arn"]))
                ]
        return found

    async def ask(self, operation: str, arguments: Arguments) -> Answer:
        """Make one call; raise AwsFailure."""
        return await self._calls.call(f"iam:{operation}", partial(self._send, operation, arguments))

    async def pages(self, operation: str, arguments: Arguments) -> AsyncIterator[Answer]:
        """Yield the pages of an operation, up to 1000 items each; raise AwsFailure.

        A page that fails is asked for again by itself.
        """
        pages = _Listing(self.ask, operation, arguments)
        while (page := await pages.next()) is not None:
            yield page


class _Listing:
    """Asks for the pages of an operation; for the one that most users' keys fill, at little cost.

    A generator is known to the event loop, and costs ten times as much.
    """

    def __init__(self, ask: Send, operation: str, arguments: Arguments) -> None:
        self._ask = ask
        self._operation = operation
        self._asked = {**arguments, "MaxItems": _PAGE}
        self._pages: Pages | None = None
        self._last: Answer | None = None

    async def next(self) -> Answer | None:
        """Return the next page, None after the last; raise AwsFailure."""
        if self._last is not None:
            # A marker is proof of more, whatever the flag says; no marker is a failure below.
            if not self._last.get("IsTruncated") and not self._last.get("Marker"):
                return None
            if self._pages is None:
                self._pages = Pages(f"iam:{self._operation}")
            lists = (value for value in self._last.values() if isinstance(value, list))
            items: Sequence[Any] = next(filter(None, lists), ())
            self._asked["Marker"] = self._pages.follow(self._last.get("Marker"), items)
        self._last = await self._ask(self._operation, self._asked)
        return self._last


class ClientReader(AnswerReader):
    """Reads one account through its SDK client, which makes one attempt a call."""

    def __init__(self, client: Any, calls: Calls, partition: str) -> None:
        async def send(operation: str, arguments: Arguments) -> Answer:
            answer: Answer = await getattr(client, xform_name(operation))(**arguments)
            return answer

        super().__init__(send, calls, partition)


def _status(text: object) -> KeyStatus:
    """Return the status; UNKNOWN for one that AWS added since, or left out."""
    return KeyStatus(text) if isinstance(text, str) and text in _STATUSES else KeyStatus.UNKNOWN


_STATUSES = frozenset(map(str, KeyStatus))
_NO_SERVICE = frozenset({"", "N/A"})


def _last_use(used: Answer) -> LastUse:
    """Return the last use; raise LookupError or ValueError for what says neither used nor never."""
    if "LastUsedDate" in used:
        service, region = used.get("ServiceName") or "N/A", used.get("Region") or "N/A"
        return Used(at=utc(used["LastUsedDate"]), service=named(service), region=named(region))
    if used["ServiceName"] not in _NO_SERVICE or used["Region"] not in _NO_SERVICE:
        raise ValueError("a service, and no date of its use")
    return NeverUsed()


def _same_user(operation: str, asked: str, part: Answer) -> None:
    """Raise AwsFailure where a part of an answer is about another user than was asked for."""
    name = part.get("UserName")
    if name is None or name == asked or str(name).casefold() == asked.casefold():
        return
    raise AwsFailure(
        operation=operation,
        code="AnotherUser",
        message="the answer is about another user than was asked for",
        kind=FailureKind.OTHER,
    )
