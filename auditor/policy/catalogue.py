"""The catalogue of facts: what a condition may look at, and where each comes from."""

from dataclasses import dataclass

from auditor.policy.cel import FactType

_KEYS = "iam:ListAccessKeys"
_USE = "iam:GetAccessKeyLastUsed"
_USERS = "iam:ListUsers"
_REPORT = "iam:GetCredentialReport"
_DETAILS = "iam:GetAccountAuthorizationDetails"
_ACCOUNTS = "organizations:ListAccountsForParent"
_NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One name that conditions may use."""

    type: FactType
    meaning: str
    source: str
    """The AWS action that tells it, or `iamaudit` for what the tool works out or is told."""
    unknown_when: str = _NEVER


_USE_UNKNOWN = "the last use could not be read"
_DETAILS_UNKNOWN = "the authorization details could not be read, or lack the user"
_ROOT_DATE = "the credential report has no date for a root key"

_NO_STATUS = (
    "AWS gives a status that this version does not know,"
    " or only the account summary tells of a root key"
)

FACTS: dict[str, Fact] = {
    "key.id": Fact(
        type=FactType.STRING,
        meaning="access key id",
        source=_KEYS,
        unknown_when="it is a root key: the credential report has no ids",
    ),
    "key.active": Fact(
        type=FactType.BOOL,
        meaning="the status is Active",
        source=_KEYS,
        unknown_when=_NO_STATUS,
    ),
    "key.status": Fact(
        type=FactType.STRING,
        meaning='"Active", "Inactive" or "Expired"',
        source=_KEYS,
        unknown_when=_NO_STATUS,
    ),
    "key.created": Fact(
        type=FactType.TIMESTAMP, meaning="creation", source=_KEYS, unknown_when=_ROOT_DATE
    ),
    "key.age": Fact(
        type=FactType.DURATION,
        meaning="time since creation, never negative",
        source=_KEYS,
        unknown_when=f"the key was created more than a day after `now`; {_ROOT_DATE}",
    ),
    "key.idle": Fact(
        type=FactType.DURATION,
        meaning="time since the last use, since creation if never used; never negative",
        source=_USE,
        unknown_when=f"{_USE_UNKNOWN}, or is more than a day after `now`",
    ),
    "key.newest": Fact(
        type=FactType.BOOL,
        meaning="of the user's active keys the one created last; of two at once the greater id",
        source=_KEYS,
        unknown_when="of several active root keys, one has no date in the credential report",
    ),
    "key.last_used.state": Fact(
        type=FactType.STRING,
        meaning='"used" or "never": no use since AWS began to record them (2015-04-22)',
        source=_USE,
        unknown_when=_USE_UNKNOWN,
    ),
    "key.last_used.at": Fact(
        type=FactType.TIMESTAMP,
        meaning="last use; a never-used key has none, which is an error where it is looked at",
        source=_USE,
        unknown_when=_USE_UNKNOWN,
    ),
    "key.last_used.service": Fact(
        type=FactType.STRING,
        meaning='service of the last use, as in "s3"; "" if never used',
        source=_USE,
        unknown_when=_USE_UNKNOWN,
    ),
    "key.last_used.region": Fact(
        type=FactType.STRING,
        meaning='region of the last use, "N/A" for services without; "" if never used',
        source=_USE,
        unknown_when=_USE_UNKNOWN,
    ),
    "user.name": Fact(
        type=FactType.STRING, meaning='user name; "<root_account>" for the root user', source=_USERS
    ),
    "user.arn": Fact(type=FactType.STRING, meaning="ARN", source=_USERS),
    "user.path": Fact(type=FactType.STRING, meaning="path", source=_USERS),
    "user.created": Fact(
        type=FactType.TIMESTAMP,
        meaning="creation of the user",
        source=_USERS,
        unknown_when="the credential report has no date for the root user",
    ),
    "user.root": Fact(type=FactType.BOOL, meaning="it is the root user", source=_USERS),
    "user.class": Fact(
        type=FactType.STRING,
        meaning='"root", a class of the policy, or "machine"',
        source="iamaudit",
        unknown_when="what the classes look at is unknown, and verdicts differ between them",
    ),
    "user.tags": Fact(
        type=FactType.TAGS,
        meaning="tags; {} for the root user",
        source=_DETAILS,
        unknown_when=_DETAILS_UNKNOWN,
    ),
    "user.password_enabled": Fact(
        type=FactType.BOOL,
        meaning="a console password exists",
        source=_REPORT,
        unknown_when="the report could not be read, or does not say (root user);"
        " for users newer than the report, iam:GetLoginProfile failed",
    ),
    "user.mfa": Fact(
        type=FactType.BOOL,
        meaning="an MFA device is active",
        source=_REPORT,
        unknown_when="the report could not be read, or is older than the user",
    ),
    "user.groups": Fact(
        type=FactType.STRINGS,
        meaning="names of the groups",
        source=_DETAILS,
        unknown_when=_DETAILS_UNKNOWN,
    ),
    "user.policies": Fact(
        type=FactType.STRINGS,
        meaning="ARNs of managed and names of inline policies, direct or by a group",
        source=_DETAILS,
        unknown_when=_DETAILS_UNKNOWN,
    ),
    "user.admin": Fact(
        type=FactType.BOOL,
        meaning="some policy, direct or by a group, allows `*` on `*` without a condition;"
        " permissions boundaries are not considered; true for the root user",
        source=_DETAILS,
        unknown_when=_DETAILS_UNKNOWN,
    ),
    "user.active_keys": Fact(
        type=FactType.INT,
        meaning="number of the user's active keys",
        source=_KEYS,
        unknown_when=_NO_STATUS,
    ),
    "user.quarantined": Fact(
        type=FactType.BOOL,
        meaning="AWS attached an AWSCompromisedKeyQuarantine policy to the user",
        source=_DETAILS,
        unknown_when=f"{_DETAILS_UNKNOWN}, and iam:ListEntitiesForPolicy does not tell either",
    ),
    "account.id": Fact(type=FactType.STRING, meaning="12-digit account id", source="iamaudit"),
    "account.name": Fact(
        type=FactType.STRING,
        meaning="name in the organization, or in the accounts file",
        source=_ACCOUNTS,
        unknown_when="the account was given by its id alone",
    ),
    "account.ou": Fact(
        type=FactType.STRING,
        meaning='names from the root down: "Root/Workloads/Prod"; asked for only if named',
        source=_ACCOUNTS,
        unknown_when="the organization can't be read, or lacks the account",
    ),
    "account.tags": Fact(
        type=FactType.TAGS,
        meaning="tags of the account; asked for only if named",
        source="organizations:ListTagsForResource",
        unknown_when="they can't be read",
    ),
    "account.partition": Fact(
        type=FactType.STRING, meaning='"aws", "aws-cn", "aws-us-gov", …', source="iamaudit"
    ),
    "now": Fact(
        type=FactType.TIMESTAMP,
        meaning="the instant that ages are measured from",
        source="iamaudit",
    ),
}


def fact_types() -> dict[str, FactType]:
    """Return the type of each fact."""
    return {name: fact.type for name, fact in FACTS.items()}
