"""What the tool may ask AWS for: session policies, and the door that holds without one."""

import json
from collections.abc import Mapping

from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import AccountId
from auditor.model.permission import ORGANIZATION_ACTIONS, SCAN_ACTIONS, statement
from auditor.ports import Grant

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
    "iam:ListAccessKeys",
    "iam:ListAttachedUserPolicies",
    "iam:ListUserTags",
)
"""What a session for writing may read of any user: a key is looked at before and after."""

SECRET_ACTIONS = (
    "secretsmanager:CreateSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
)
"""What storing the secret of a new key takes."""

SECRET_PREFIX = "iamaudit/"  # noqa: S105 -- a name, not a secret

WRITING = frozenset(
    (
        "iam:CreateAccessKey",
        "iam:DeleteAccessKey",
        "iam:GetUser",
        "iam:UpdateAccessKey",
        *READS_TO_WRITE,
        *SECRET_ACTIONS,
    )
)
"""What the door lets through besides, where keys are to be changed."""

_LONGEST_POLICY = 2048  # characters, of a session policy in AssumeRole


class ForbiddenActionError(RuntimeError):
    """Raised when the code asks AWS for an action that this run has no business with: a bug."""


def session_policy() -> str:
    """Return the read-only session policy of every AssumeRole (JSON, under 2,048 characters)."""
    return _document(statement(*SCAN_ACTIONS))


def write_session_policy(grant: Grant) -> str:
    """Return the session policy that allows what is granted, and to read any user (JSON)."""
    return _document(*_granted(grant), statement(*READS_TO_WRITE))


def secret_grant(partition: str, account_id: AccountId) -> Grant:
    """Return what storing secrets in an account takes: of those with this tool's prefix only."""
    arn = f"arn:{partition}:secretsmanager:*:{account_id}:secret:{SECRET_PREFIX}*"
    return Grant(actions=dict.fromkeys(SECRET_ACTIONS, (arn,)))


def secret_session_policy(partition: str, account_id: AccountId) -> str:
    """Return the session policy for storing secrets in an account (JSON).

    A secret's key is used through Secrets Manager alone, as far as the role may use it at all.
    """
    keys = {
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*"}},
    }
    return _document(*_granted(secret_grant(partition, account_id)), keys)


def fits(grant: Grant) -> bool:
    """Whether one session policy holds the grant."""
    return len(write_session_policy(grant)) <= _LONGEST_POLICY


def check_size(policy: str) -> str:
    """Return the session policy; raise AwsFailure, as AWS would, where it is too long for one."""
    if len(policy) > _LONGEST_POLICY:
        raise AwsFailure(
            operation="sts:AssumeRole",
            code="PackedPolicyTooLarge",
            message=f"the session policy has {len(policy):,} of {_LONGEST_POLICY:,} characters",
            kind=FailureKind.OTHER,
        )
    return policy


def _granted(grant: Grant) -> list[Mapping[str, object]]:
    """Return a statement for all actions on the same resources."""
    together: dict[tuple[str, ...], list[str]] = {}
    for action, resources in sorted(grant.actions.items()):
        if resources:
            together.setdefault(tuple(sorted(set(resources))), []).append(action)
    return [
        {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
        for resources, actions in together.items()
    ]


def _document(*statements: Mapping[str, object]) -> str:
    document = {"Version": "2012-10-17", "Statement": statements}
    return json.dumps(document, separators=(",", ":"))
