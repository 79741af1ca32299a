"""`iamaudit deploy …`: the roles that the tool enters, as code that others deploy."""

from typing import Annotated

import typer

from auditor.cli import planning
from auditor.cli.connection import given_as
from auditor.errors import AuditError
from auditor.wiring.deploy import (
    Roles,
    Trust,
    WriteRole,
    check_role,
    make_trust,
)
from auditor.wiring.deploy import cloudformation as render_cloudformation
from auditor.wiring.deploy import terraform as render_terraform
from auditor.wiring.deploy import trust_policy as render_trust_policy

deploy = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Print templates for the IAM roles that iamaudit assumes; it deploys nothing itself.",
)

TRUST, ROLES = "Trust", "Roles"
TrustedAccounts = Annotated[
    list[str],
    typer.Option(
        "--trusted-account",
        metavar="ID",
        rich_help_panel=TRUST,
        help="account whose principals may assume the roles, as its own policies say; repeatable",
    ),
]
TrustedPrincipals = Annotated[
    list[str],
    typer.Option(
        "--trusted-principal",
        metavar="ARN",
        rich_help_panel=TRUST,
        help="role or user that may assume the roles; repeatable",
    ),
]
ExternalId = Annotated[
    str | None,
    typer.Option(
        "--external-id",
        envvar="IAMAUDIT_EXTERNAL_ID",
        metavar="ID",
        rich_help_panel=TRUST,
        help="external id that whoever assumes the roles has to give",
        show_default=False,
    ),
]
OrganizationId = Annotated[
    str | None,
    typer.Option(
        "--organization-id",
        metavar="o-…",
        rich_help_panel=TRUST,
        help="organization that whoever assumes the roles has to be of",
        show_default=False,
    ),
]
AllowSourceIdentity = Annotated[
    bool,
    typer.Option(
        "--allow-source-identity",
        rich_help_panel=TRUST,
        help="let a session carry a source identity (the other commands' --source-identity)",
    ),
]
RoleOption = Annotated[
    str,
    typer.Option(
        "--role-name",
        metavar="NAME",
        rich_help_panel=ROLES,
        help="role for reading; may have a path before its name",
    ),
]
AllowPublish = Annotated[
    bool,
    typer.Option(
        "--allow-publish",
        rich_help_panel=ROLES,
        help="let the role for reading send findings to Security Hub (iamaudit publish)",
    ),
]
WithWriteRole = Annotated[
    bool,
    typer.Option("--with-write-role", rich_help_panel=ROLES, help="make the role for changes, too"),
]
WriteRoleOption = Annotated[
    str,
    typer.Option(
        "--write-role-name", metavar="NAME", rich_help_panel=ROLES, help="role for changing keys"
    ),
]
WritePrincipals = Annotated[
    list[str],
    typer.Option(
        "--write-principal",
        metavar="ARN",
        rich_help_panel=TRUST,
        help="role or user that alone may assume the role for changes; repeatable",
    ),
]


def _trust(
    *,
    trusted_account: TrustedAccounts = [],
    trusted_principal: TrustedPrincipals = [],
    external_id: ExternalId = None,
    organization_id: OrganizationId = None,
    allow_source_identity: AllowSourceIdentity = False,
) -> Trust:
    return make_trust(
        trusted_account,
        trusted_principal,
        external_id=external_id,
        organization_id=organization_id,
        source_identity=allow_source_identity,
    )


def _roles(
    *,
    trusted_account: TrustedAccounts = [],
    trusted_principal: TrustedPrincipals = [],
    external_id: ExternalId = None,
    organization_id: OrganizationId = None,
    allow_source_identity: AllowSourceIdentity = False,
    role_name: RoleOption = "iamaudit-read",
    allow_publish: AllowPublish = False,
    with_write_role: WithWriteRole = False,
    write_role_name: WriteRoleOption = "iamaudit-write",
    write_principal: WritePrincipals = [],
    allow_delete: planning.AllowDelete = False,
    allow_rotate: planning.AllowRotate = False,
) -> Roles:
    """Return the roles that the options ask for; raise AuditError."""
    trust = _trust(
        trusted_account=trusted_account,
        trusted_principal=trusted_principal,
        external_id=external_id,
        organization_id=organization_id,
        allow_source_identity=allow_source_identity,
    )
    read = check_role(role_name, option="--role-name")
    if not with_write_role:
        if allow_delete or allow_rotate or write_principal:
            raise AuditError(
                "only the role for changes deletes, rotates, or has principals of its own",
                hint="add --with-write-role",
            )
        return Roles(role=read, trust=trust, publishes=allow_publish)
    write = check_role(write_role_name, option="--write-role-name")
    if write.name == read.name:
        raise AuditError(
            "both roles have the same name", hint="choose another with --write-role-name"
        )
    return Roles(
        role=read,
        trust=trust,
        publishes=allow_publish,
        write=WriteRole(
            role=write,
            trust=trust if not write_principal else _of(trust, write_principal),
            delete=allow_delete,
            rotate=allow_rotate,
        ),
    )


def _of(trust: Trust, principals: list[str]) -> Trust:
    """Return the same conditions for other principals."""
    return make_trust(
        [],
        principals,
        external_id=trust.external_id,
        organization_id=trust.organization_id,
        source_identity=trust.source_identity,
    )


@deploy.command()
@given_as("roles", _roles)
def cloudformation(*, roles: Roles) -> None:
    """Print a CloudFormation template of the roles, for a stack or a StackSet."""
    typer.echo(render_cloudformation(roles), nl=False)


@deploy.command()
@given_as("roles", _roles)
def terraform(*, roles: Roles) -> None:
    """Print Terraform configuration of the roles."""
    typer.echo(render_terraform(roles), nl=False)


@deploy.command("trust-policy")
@given_as("trust", _trust)
def trust_policy(*, trust: Trust) -> None:
    """Print the trust policy of a role; `iamaudit permissions` prints what it is to be allowed."""
    typer.echo(render_trust_policy(trust), nl=False)
