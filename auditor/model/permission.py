"""The AWS actions that reading needs, and the statements that grant them."""

from collections.abc import Sequence

KEY_ACTIONS = ("iam:GetAccessKeyLastUsed", "iam:ListAccessKeys", "iam:ListUsers")
"""What a scan can't do without: without one of these the keys are not read."""

ENRICHING_ACTIONS = (
    "iam:GenerateCredentialReport",
    "iam:GetAccountAuthorizationDetails",
    "iam:GetAccountSummary",
    "iam:GetCredentialReport",
    "iam:GetLoginProfile",
    "iam:ListEntitiesForPolicy",
    "iam:ListPolicies",
)
"""What tells the rest: passwords, MFA, the root user's keys, tags, groups, rights, quarantine."""

SCAN_ACTIONS = tuple(sorted((*KEY_ACTIONS, *ENRICHING_ACTIONS)))
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


def trust_statement(
    principals: Sequence[str],
    *,
    external_id: str | None = None,
    organization_id: str | None = None,
    source_identity: bool = False,
) -> dict[str, object]:
    """Return the statement of a role's trust policy that lets the principals assume it.

    A principal is an ARN, or the id of an account whose policies then decide. With
    `source_identity` the session may carry one.
    """
    asked = {"sts:ExternalId": external_id, "aws:PrincipalOrgID": organization_id}
    conditions = {name: value for name, value in asked.items() if value is not None}
    actions = ["sts:AssumeRole", *(["sts:SetSourceIdentity"] if source_identity else [])]
    return {
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": actions,
        **({"Condition": {"StringEquals": conditions}} if conditions else {}),
    }
