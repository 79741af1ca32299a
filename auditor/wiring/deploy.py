"""`deploy`: the roles that the tool enters, as code that others deploy.

Whatever an operator gives is written into templates only if it is what AWS itself would take:
none of it can hold a quote, a brace or a dollar sign.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.aws.permissions import Purpose, Statement, least, policy_document
from auditor.errors import AuditError
from auditor.formats.templates import environment
from auditor.model import names
from auditor.model.account import parse_account_id
from auditor.model.permission import trust_statement

_PRINCIPAL = re.compile(
    r"arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:(?:root|(?:role|user)/[A-Za-z0-9+=,.@_/-]{1,576})"
)
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_PARTITION = re.compile(r"aws(?:-[a-z]+)*")

CLOUDFORMATION = {"partition": "${AWS::Partition}", "account_id": "${AWS::AccountId}"}
TERRAFORM = {
    "partition": "${data.aws_partition.current.partition}",
    "account_id": "${data.aws_caller_identity.current.account_id}",
}
"""What the languages put in the place of partition and account when a role is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleName:
    """A role's name, and the path before it."""

    path: str
    name: str

    @property
    def whole(self) -> str:
        """Path and name, as in the role's ARN."""
        return f"{self.path}{self.name}".lstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who may assume a role, and under which conditions."""

    principals: tuple[str, ...]
    """Account ids and ARNs."""
    external_id: str | None = None
    organization_id: str | None = None
    source_identity: bool = False

    def document(self) -> dict[str, object]:
        """Return the trust policy."""
        return policy_document(
            [
                trust_statement(
                    self.principals,
                    external_id=self.external_id,
                    organization_id=self.organization_id,
                    source_identity=self.source_identity,
                )
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole:
    """The role that changes keys; without the switches it deactivates only."""

    role: RoleName
    trust: Trust
    delete: bool = False
    rotate: bool = False

    def statements(self, place: Mapping[str, str]) -> list[Statement]:
        """Return what the role may do, in a language's words for partition and account."""
        purpose = Purpose.ROTATE if self.rotate else Purpose.APPLY
        return least(
            purpose,
            partition=place["partition"],
            account_id=place["account_id"],
            delete=self.delete,
            secrets_in=place["account_id"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What is to be deployed in each account."""

    role: RoleName
    trust: Trust
    publishes: bool = False
    """Whether the role for reading may send findings to Security Hub."""
    write: WriteRole | None = None

    def statements(self) -> list[Statement]:
        """Return what the role for reading may do."""
        return [
            *least(Purpose.ENRICH),
            *(least(Purpose.PUBLISH) if self.publishes else ()),
        ]


def cloudformation(roles: Roles) -> str:
    """Return the roles as a CloudFormation template; it may be deployed by a StackSet."""
    return _rendered("deploy/cloudformation.yaml.j2", roles, CLOUDFORMATION)


def terraform(roles: Roles) -> str:
    """Return the roles as Terraform configuration."""
    return _rendered("deploy/terraform.tf.j2", roles, TERRAFORM)


def trust_policy(trust: Trust) -> str:
    """Return the trust policy alone."""
    return (
        environment().get_template("deploy/trust-policy.json.j2").render(document=trust.document())
    )


def make_trust(
    accounts: Sequence[str],
    principals: Sequence[str],
    *,
    external_id: str | None,
    organization_id: str | None,
    source_identity: bool,
) -> Trust:
    """Return who is trusted; raise AuditError where AWS would not take a part of it."""
    trusted = [check_account(each, option="--trusted-account") for each in accounts]
    for each in principals:
        _check(
            _PRINCIPAL,
            each,
            "--trusted-principal",
            "write the ARN of a role or a user, without *: arn:aws:iam::111111111111:role/audit",
        )
        trusted.append(each)
    if not trusted:
        raise AuditError(
            "nobody is trusted",
            hint="name who may assume the role, with --trusted-account or --trusted-principal",
        )
    if external_id is not None:
        names.checked(names.EXTERNAL_ID, external_id, option="--external-id")
    if organization_id is not None:
        hint = "aws organizations describe-organization shows it: o-…"
        _check(_ORGANIZATION, organization_id, "--organization-id", hint)
    return Trust(
        principals=tuple(dict.fromkeys(trusted)),
        external_id=external_id,
        organization_id=organization_id,
        source_identity=source_identity,
    )


def check_role(text: str, *, option: str) -> RoleName:
    """Return the role's path and name; raise AuditError where it is none."""
    path, slash, name = names.checked(names.ROLE_NAME, text, option=option).rpartition("/")
    return RoleName(path=f"/{path}/" if slash else "/", name=name)


def check_account(text: str, *, option: str) -> str:
    """Return the account's id; raise AuditError where it is none."""
    try:
        return parse_account_id(text)
    except ValueError:
        raise AuditError(f"{option}: {text!r} is not an account", hint="write 12 digits") from None


def check_partition(text: str) -> str:
    """Return the partition's name; raise AuditError where it is none."""
    return _check(_PARTITION, text, "--partition", "write aws, aws-cn, aws-us-gov or their kin")[0]


def _check(pattern: re.Pattern[str], text: str, option: str, hint: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise AuditError(f"{option}: {text!r} is not one that AWS takes", hint=hint)
    return found


def _rendered(template: str, roles: Roles, place: Mapping[str, str]) -> str:
    templates = environment()
    templates.filters.update(cfn=_cfn, hcl=_hcl)
    write = roles.write
    return templates.get_template(template).render(
        read=_role(roles.role, roles.trust, roles.statements()),
        write=None if write is None else _role(write.role, write.trust, write.statements(place)),
    )


def _role(role: RoleName, trust: Trust, statements: Sequence[Statement]) -> dict[str, object]:
    return {
        "name": role.name,
        "path": role.path,
        "trust": trust.document(),
        "policy": policy_document(statements),
    }


def _cfn(value: object) -> str:
    """Write a value as YAML in JSON's style; a text with `${AWS::…}` is left to Fn::Sub."""
    return json.dumps(_substituted(value), indent=2)


def _substituted(value: object) -> object:
    match value:
        case dict():
            return {name: _substituted(each) for name, each in value.items()}
        case list() | tuple():
            return [_substituted(each) for each in value]
        case str() if any(known in value for known in CLOUDFORMATION.values()):
            return {"Fn::Sub": value}
        case _:
            return value


def _hcl(value: object) -> str:
    """Write a value as Terraform's, in which JSON is; only our own `${…}` is evaluated."""
    text = json.dumps(value, indent=2).replace("${", "$${").replace("%{", "%%{")
    for known in TERRAFORM.values():
        text = text.replace(f"${known}", known)
    return text
