"""What the tool may ask AWS for: session policies, and the door that holds without one."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeAlias

from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import Via
from auditor.model.permission import KEY_ACTIONS, ORGANIZATION_ACTIONS, SCAN_ACTIONS, statement
from auditor.model.plan import ActionKind
from auditor.ports import Grant
from auditor.remediation.actions import GRANTS

Statement: TypeAlias = Mapping[str, object]

CALLER_ACTIONS = ("sts:AssumeRole", "sts:GetCallerIdentity", *ORGANIZATION_ACTIONS)
"""What the caller's own credentials are used for, besides reading the caller's account."""

CREDENTIAL_ACTIONS = (
    "awsssoportal:GetRoleCredentials",
    "sso-oauth:CreateToken",
    "sts:AssumeRoleWithWebIdentity",
)
"""What the SDK itself asks for to get the caller's credentials: SSO, web identity."""

PERMITTED = frozenset((*SCAN_ACTIONS, *CALLER_ACTIONS, *CREDENTIAL_ACTIONS))
"""The door refuses every other action before it is sent."""

READS_TO_WRITE = (
    "iam:GetAccessKeyLastUsed",
    "iam:GetUser",
    "iam:ListAccessKeys",
    "iam:ListAttachedUserPolicies",
    "iam:ListUserTags",
)
"""What a session for writing may read of any user: a key is looked at before and after."""

SECRET_ACTIONS = (
    "secretsmanager:CreateSecret",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:TagResource",
)
"""What storing the secret of a new key takes."""

PUBLISH_ACTIONS = (
    "securityhub:BatchImportFindings",
    "securityhub:BatchUpdateFindings",
    "securityhub:GetFindings",
)
"""What sending findings to Security Hub takes: it is asked first what it has of ours."""

PUBLISHING = frozenset(PUBLISH_ACTIONS)
"""What the door lets through besides, where findings are to be published."""

SECRET_PREFIX = "iamaudit/"  # noqa: S105 -- a name, not a secret

WRITING = frozenset(
    (
        "iam:CreateAccessKey",
        "iam:DeleteAccessKey",
        "iam:UpdateAccessKey",
        *READS_TO_WRITE,
        *SECRET_ACTIONS,
    )
)
"""What the door lets through besides, where keys are to be changed."""


class Purpose(StrEnum):
    """What somebody is given permissions for."""

    SCAN = "scan"
    """Reading keys, and no more than a scan can't do without."""
    ENRICH = "enrich"
    """Reading keys and all that the rules of ours look at."""
    APPLY = "apply"
    """Deactivating keys, and activating them again."""
    ROTATE = "rotate"
    """Replacing keys, with the new secrets in Secrets Manager."""
    PUBLISH = "publish"
    """Sending findings to Security Hub."""
    CALLER = "caller"
    """Entering the accounts, and finding those of an organization."""


_LONGEST_POLICY = 2048  # characters, of a session policy in AssumeRole
TOO_LARGE = "PackedPolicyTooLarge"
# Get*, Generate* and List*: in IAM these only read, or make a report. As short as can be, since
# session policy and session tags share one limit.
SHORT_READ_ACTIONS = ("iam:Ge*", "iam:List*")


class ForbiddenActionError(RuntimeError):
    """Raised when the code asks AWS for an action that this run has no business with: a bug."""


def session_policy() -> str:
    """Return the session policy of just what a scan asks for (JSON, under 2,048 characters)."""
    return _document(statement(*SCAN_ACTIONS))


def read_session_policies() -> tuple[tuple[Via, str | None], ...]:
    """Return the session policies to read under, each for where AWS finds the one before too large.

    The last is none at all.
    """
    short = _document({"Effect": "Allow", "Action": SHORT_READ_ACTIONS, "Resource": "*"})
    return (
        (Via.ROLE, session_policy()),
        (Via.ROLE_SHORT_POLICY, short),
        (Via.ROLE_NO_POLICY, None),
    )


def publish_session_policy() -> str:
    """Return the session policy for publishing: it reads no keys (JSON)."""
    return _document(statement(*PUBLISH_ACTIONS))


def write_session_policy(grant: Grant) -> str:
    """Return the session policy that allows what is granted, and to read any user (JSON)."""
    return _document(*_granted(grant), statement(*READS_TO_WRITE))


def least(
    purpose: Purpose,
    *,
    partition: str = "aws",
    account_id: str = "*",
    delete: bool = False,
    secrets_in: str | None = "*",
    role_names: tuple[str, ...] = (),
) -> list[Statement]:
    """Return the statements of the least IAM policy for a purpose.

    `partition` and `account_id` are written into ARNs as they are. `delete` is for APPLY: keys may
    be deleted, too. `secrets_in` is for ROTATE: the account of the secrets, None where they are
    not kept in Secrets Manager. `role_names` is for CALLER: the roles to assume.
    """
    match purpose:
        case Purpose.SCAN:
            return [statement(*KEY_ACTIONS)]
        case Purpose.ENRICH:
            return [statement(*SCAN_ACTIONS)]
        case Purpose.APPLY:
            kinds = [ActionKind.DEACTIVATE, *([ActionKind.DELETE] if delete else [])]
            return _changing(kinds, partition, account_id)
        case Purpose.ROTATE:
            granted = _changing([ActionKind.ROTATE, ActionKind.DEACTIVATE], partition, account_id)
            if secrets_in is not None:
                granted += [*_granted(secret_grant(partition, secrets_in)), _secret_keys()]
            return granted
        case Purpose.PUBLISH:
            return [statement(*PUBLISH_ACTIONS)]
        case Purpose.CALLER:
            arns = [f"arn:{partition}:iam::{account_id}:role/{name}" for name in role_names]
            roles = {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": arns}
            return [roles, statement(*ORGANIZATION_ACTIONS)]


def policy_document(statements: Iterable[Statement]) -> dict[str, object]:
    """Return the policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _changing(kinds: Iterable[ActionKind], partition: str, account_id: str) -> list[Statement]:
    """Return what changing keys of any user takes."""
    actions = sorted({action for kind in kinds for action in GRANTS[kind]})
    users = (f"arn:{partition}:iam::{account_id}:user/*",)
    return [*_granted(Grant(actions=dict.fromkeys(actions, users))), statement(*READS_TO_WRITE)]


def secret_grant(partition: str, account_id: str) -> Grant:
    """Return what storing secrets in an account takes: of those with this tool's prefix only."""
    arn = f"arn:{partition}:secretsmanager:*:{account_id}:secret:{SECRET_PREFIX}*"
    return Grant(actions=dict.fromkeys(SECRET_ACTIONS, (arn,)))


def secret_session_policy(partition: str, account_id: str) -> str:
    """Return the session policy for storing secrets in an account (JSON)."""
    return _document(*_granted(secret_grant(partition, account_id)), _secret_keys())


def _secret_keys() -> Statement:
    """Return what a secret's key is used for: through Secrets Manager alone."""
    return {
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*"}},
    }


def fits(grant: Grant) -> bool:
    """Whether one session policy holds the grant."""
    return len(write_session_policy(grant)) <= _LONGEST_POLICY


def check_size(policy: str) -> str:
    """Return the session policy; raise AwsFailure, as AWS would, where it is too long for one."""
    if len(policy) > _LONGEST_POLICY:
        raise AwsFailure(
            operation="sts:AssumeRole",
            code=TOO_LARGE,
            message=f"the session policy has {len(policy):,} of {_LONGEST_POLICY:,} characters",
            kind=FailureKind.OTHER,
        )
    return policy


def _granted(grant: Grant) -> list[Statement]:
    """Return a statement for all actions on the same resources."""
    together: dict[tuple[str, ...], list[str]] = {}
    for action, resources in sorted(grant.actions.items()):
        if resources:
            together.setdefault(tuple(sorted(set(resources))), []).append(action)
    return [
        {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
        for resources, actions in together.items()
    ]


def _document(*statements: Statement) -> str:
    return json.dumps(policy_document(statements), separators=(",", ":"))
