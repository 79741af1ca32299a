"""A refusal of AWS names the policy that denies, where AWS does; messages as AWS documents them."""

import pytest
from botocore.exceptions import ClientError

from auditor.aws.errors import failures
from auditor.engine.denial import Denial
from auditor.errors import AwsFailure

ROLE = "arn:aws:sts::123456789012:assumed-role/iamaudit-read/iamaudit-20261201T000000Z-0a1b2c3d"
WHO = f"User: {ROLE} is not authorized to perform: iam:ListUsers on resource: *"
SCP = "arn:aws:organizations::987654321098:policy/o-exampleorgid/service_control_policy/p-example1"
ID = "EXAMPLE1a2b3c4d5e6f7g8h9i0j"
LINK = (
    " Go to https://us-east-1.console.aws.amazon.com/iam/home?region=us-east-1"
    f"#/authorization-details/{ID} for complete details, or call the GetRequestAuthorizationDetails"
    f" API with the following authorization id: {ID}"
)


@pytest.mark.parametrize(
    ("why", "text", "fix"),
    [
        ("because no identity-based policy allows the iam:ListUsers action",
         "no identity-based policy allows it", "grant it"),
        ("because no permissions boundary allows the iam:ListUsers action",
         "no permissions boundary allows it", "grant it in the permissions boundary, too"),
        ("because no service control policy allows the iam:ListUsers action",
         "no service control policy allows it", "grant it in the service control policy, too"),
        ("because no VPC endpoint policy allows the iam:ListUsers action",
         "no VPC endpoint policy allows it", "grant it in the VPC endpoint policy, too"),
        ("because no session policy allows the iam:ListUsers action",
         "no session policy allows it", "grant it in the session policy, too"),
        ("with an explicit deny in a service control policy",
         "an explicit deny in the service control policy forbids it", "lift the explicit deny"),
        (f"with an explicit deny in a service control policy: {SCP}",
         f"an explicit deny in the service control policy {SCP} forbids it",
         "lift the explicit deny in the service control policy, and have this granted"),
        ("with an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy/No.",
         "the identity-based policy arn:aws:iam::123456789012:policy/No forbids it", "lift"),
        ("with an explicit deny in a permissions boundary", "permissions boundary forbids", "lift"),
        ("with an explicit deny in a resource control policy", "resource control policy f", "lift"),
        ("with an explicit deny in a VPC endpoint policy", "VPC endpoint policy forbids", "lift"),
        ("due to an explicit deny in a Service Control Policy", "service control policy f", "lift"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("link", ["", f".{LINK}", LINK])
def test_the_policy_is_named_and_where_to_change_it(
    why: str, text: str, fix: str, link: str
) -> None:
    denial = Denial.of(f"{WHO} {why}{link}")

    assert text in str(denial.text)
    assert denial.fix.startswith(fix)
    assert denial.authorization_id == (ID if link else None)
    assert ("get-request-authorization-details" in str(denial.look_up)) == bool(link)


@pytest.mark.parametrize("message", ["", "Access Denied", WHO, "no policy", "explicit deny"])
def test_what_aws_does_not_say_is_not_made_up(message: str) -> None:
    denial = Denial.of(message)

    assert (denial.text, denial.fix, denial.look_up) == (None, "grant it", None)


def test_the_facts_of_a_refusal_outlive_the_shortening_of_messages() -> None:
    message = f"{WHO} with an explicit deny in a service control policy: {SCP}.{LINK}"
    answer = {"Error": {"Code": "AccessDenied", "Message": message}}

    with pytest.raises(AwsFailure) as caught, failures("iam:ListUsers"):
        raise ClientError(answer, "ListUsers")

    denial = Denial.of(caught.value.message)
    assert (denial.policy_arn, denial.authorization_id) == (SCP, ID)
    assert "https://" not in caught.value.message
