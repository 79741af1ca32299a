"""The demo's policies: those of AWS by name, those of the company by document."""

import json
from collections.abc import Mapping
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy

_REGION = "us-east-1"


def allow(action: str | list[str], resource: str = "*", **more: object) -> str:
    """Return a policy document of one statement that allows the action on the resource."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


COMPANY_POLICIES: Mapping[str, str] = {
    "platform-breakglass": allow("*"),
    "admin-with-mfa": allow("*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
    "offboarded": allow("*", Effect="Deny"),
    "deploy-services": allow(["ecs:UpdateService", "ecr:PutImage", "cloudformation:*"]),
    "audit-caller": allow(["sts:AssumeRole", "organizations:Describe*", "organizations:List*"]),
}
"""Customer managed policies; an account has those that it uses."""

READ_ROLE_POLICY = allow(
    [
        "iam:GenerateCredentialReport",
        "iam:GetAccessKeyLastUsed",
        "iam:GetAccountAuthorizationDetails",
        "iam:GetAccountSummary",
        "iam:GetCredentialReport",
        "iam:GetLoginProfile",
        "iam:ListAccessKeys",
        "iam:ListEntitiesForPolicy",
        "iam:ListPolicies",
        "iam:ListUsers",
    ]
)


WRITE_ROLE_POLICY = allow(
    [
        "iam:CreateAccessKey",
        "iam:DeleteAccessKey",
        "iam:GetAccessKeyLastUsed",
        "iam:ListAccessKeys",
        "iam:ListAttachedUserPolicies",
        "iam:ListUserTags",
        "iam:UpdateAccessKey",
        "secretsmanager:CreateSecret",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetResourcePolicy",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:TagResource",
    ]
)


def trust(account_id: str) -> str:
    """Return a trust policy for the principals of one account."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def insert_policy(iam: Any, name: str) -> str:
    """Return the ARN of the policy, which the account has from now on.

    AWS's own are inserted one by one: moto's switch for them loads 1,582 into each account.
    """
    document = COMPANY_POLICIES.get(name)
    if document is not None:
        arn = f"arn:aws:iam::{iam.account_id}:policy/{name}"
        if arn not in iam.managed_policies:
            iam.create_policy("", "/", document, name, [])
        return arn
    policy = AWSManagedPolicy.from_data(name, iam.account_id, _REGION, _of_aws()[name])
    if policy.arn not in iam.managed_policies:
        iam.managed_policies[policy.arn] = policy
        iam.aws_managed_policies.append(policy)
    return str(policy.arn)


def _of_aws() -> Mapping[str, Any]:
    if not _parsed:
        _parsed.update(json.loads(aws_managed_policies_data))
    return _parsed


_parsed: dict[str, Any] = {}
