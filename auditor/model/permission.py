"""The AWS actions that reading needs, and the statements that grant them."""

from collections.abc import Sequence

SCAN_ACTIONS = (
    "iam:GenerateCredentialReport",
    "iam:GetAccessKeyLastUsed",
    "iam:GetAccountAuthorizationDetails",
    "iam:GetAccountSummary",
    "iam:GetCredentialReport",
    "iam:GetLoginProfile",
    "iam:ListAccessKeys",
    "iam:ListEntitiesForPolicy",
    "iam:ListUsers",
)
"""All that a scan asks of an account; each only reads."""

ORGANIZATION_ACTIONS = (
    "organizations:DescribeOrganizationalUnit",
    "organizations:ListAccountsForParent",
    "organizations:ListOrganizationalUnitsForParent",
    "organizations:ListParents",
    "organizations:ListRoots",
    "organizations:ListTagsForResource",
)
"""What finding the accounts of an organization asks of the caller."""

_TOGETHER = {
    "iam:GenerateCredentialReport": ("iam:GenerateCredentialReport", "iam:GetCredentialReport"),
    "iam:GetCredentialReport": ("iam:GenerateCredentialReport", "iam:GetCredentialReport"),
}


def statement(*actions: str) -> dict[str, object]:
    """Return the IAM policy statement that allows the actions, and what they need beside them."""
    granted: Sequence[str] = [
        each for action in actions for each in _TOGETHER.get(action, (action,))
    ]
    return {"Effect": "Allow", "Action": sorted(set(granted)), "Resource": "*"}
