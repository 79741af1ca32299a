"""What the tool may ask AWS for: session policies, and the door that holds without one."""

import json

from auditor.model.permission import ORGANIZATION_ACTIONS, SCAN_ACTIONS, statement

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


def session_policy() -> str:
    """Return the read-only session policy of every AssumeRole (JSON, under 2,048 characters)."""
    document = {"Version": "2012-10-17", "Statement": [statement(*SCAN_ACTIONS)]}
    return json.dumps(document, separators=(",", ":"))
