"""What to do about a finding, and what is better than a long-lived key: for every format."""

from collections.abc import Mapping
from dataclasses import dataclass

BETTER = (
    "A long-lived key is better replaced than renewed: people sign in by IAM Identity Center,"
    " workloads in AWS take an IAM role, those elsewhere IAM Roles Anywhere, and CI OpenID Connect"
    " federation."
)
_GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
BETTER_URL = (
    f"{_GUIDE}/security-creds-programmatic-access.html"
    "#security-creds-alternatives-to-long-term-access-keys"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to do without a long-lived key."""

    name: str
    who: str
    """Whom it is for."""
    how: str
    """What to do, in a sentence or two."""
    url: str
    """AWS's page about it."""


IDENTITY_CENTER = Way(
    name="IAM Identity Center",
    who="a person",
    how=(
        "Let people sign in by IAM Identity Center: aws sso login gives the command line and the"
        " SDKs credentials that end after hours."
    ),
    url="https://docs.aws.amazon.com/singlesignon/latest/userguide/what-is.html",
)
ROLE = Way(
    name="IAM role",
    who="a workload in AWS",
    how=(
        "Give a workload in AWS the role of what it runs on: an instance profile on EC2, a task"
        " role on ECS, Pod Identity on EKS, an execution role on Lambda. The SDKs find it by"
        " themselves once the key is out of their configuration."
    ),
    url=f"{_GUIDE}/id_roles_use_switch-role-ec2.html",
)
ROLES_ANYWHERE = Way(
    name="IAM Roles Anywhere",
    who="a workload outside of AWS",
    how=(
        "Let a workload outside of AWS change a certificate of your own authority for the"
        " credentials of a role, by IAM Roles Anywhere."
    ),
    url="https://docs.aws.amazon.com/rolesanywhere/latest/userguide/introduction.html",
)
OIDC = Way(
    name="OpenID Connect federation",
    who="a CI system",
    how=(
        "Let CI take a role by its own token: register its OpenID Connect provider in IAM, and let"
        " the role's trust policy name the repository and the branch."
    ),
    url=f"{_GUIDE}/id_roles_providers_create_oidc.html",
)
THIRD_PARTY = Way(
    name="Role for a third party",
    who="another company",
    how="Let the other company assume a role, with an external id of its own in the trust policy.",
    url=f"{_GUIDE}/id_roles_common-scenarios_third-party.html",
)
NO_ROOT_KEY = Way(
    name="No key of the root user",
    who="the root user",
    how=(
        "The root user needs no access key: delete it, and do the few things that only root may do"
        " in the console, with MFA. An organization can take the root credentials of its members"
        " away for good."
    ),
    url=f"{_GUIDE}/id_root-user.html#id_root-user-access-management",
)
WAYS = (IDENTITY_CENTER, ROLE, ROLES_ANYWHERE, OIDC, THIRD_PARTY)
"""For everyone but the root user."""
_OF_MACHINES = (ROLE, ROLES_ANYWHERE, OIDC)
_BY_CLASS: Mapping[str, tuple[Way, ...]] = {
    "root": (NO_ROOT_KEY,),
    "human": (IDENTITY_CENTER,),
    "machine": _OF_MACHINES,
    "workload": (ROLE,),
    "external": (ROLES_ANYWHERE,),
    "on-premises": (ROLES_ANYWHERE,),
    "ci": (OIDC,),
    "vendor": (THIRD_PARTY,),
    "third-party": (THIRD_PARTY,),
}
"""By the names of classes: `root` and `machine` always are, the others are what policies say."""
_BY_REMEDY: Mapping[str, str] = {
    "none": "Find out who needs this key and why, then take it out of use.",
    "rotate": (
        "Make a second key, move whatever uses this one to it, deactivate this one, and delete it"
        " once nothing fails."
    ),
    "deactivate": (
        "Deactivate the key, which can be taken back, and delete it once nobody has missed it."
    ),
    "delete": "Delete the key: it is inactive, and its deletion can't be taken back.",
}
_BY_RULE: Mapping[str, str] = {
    "root-access-key": (
        "Sign in as the root user and delete the key; in a member account of an organization with"
        " centralized root access an sts:AssumeRoot session with the task policy"
        " IAMDeleteRootUserCredentials can delete it, too. What uses it needs a role"
        " with the few rights that it takes."
    ),
    "key-quarantined": (
        "AWS found this key published. Look in CloudTrail for what it was used for, and replace it"
        " wherever it is in use."
    ),
    "second-active-key": (
        "A rotation was not finished: find out which of the keys is in use, deactivate the other"
        " one, and delete it once nobody has missed it."
    ),
    "admin-access-key": (
        "Take the administrator rights away: let what uses the key have the few rights that it"
        " takes, and administrators a role that they assume with MFA."
    ),
    "human-access-key": (
        "Move the person to credentials that end by themselves, then deactivate the key, and delete"
        " it once nobody has missed it."
    ),
}
"""By what the ids of our rules end in: those of a framework have its name before that."""


def advice(remedy: str, rule_id: str = "") -> str:
    """Return what to do for a rule with this remedy; more precisely where the rule is one of ours.

    Raises KeyError for a remedy that is none.
    """
    general = _BY_REMEDY[remedy]
    own = next((text for name, text in _BY_RULE.items() if rule_id.endswith(name)), None)
    if own is None:
        return general
    return own if remedy == "none" else f"{own} {general}"


def ways(user_class: str | None) -> tuple[Way, ...]:
    """Return what is better than a key for a user of this class: everything where that is open."""
    return _BY_CLASS.get(user_class or "", WAYS)


def better(user_class: str | None) -> str:
    """Return it as text."""
    return " ".join(way.how for way in ways(user_class)) if user_class in _BY_CLASS else BETTER
