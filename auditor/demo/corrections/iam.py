"""IAM's reads, answered from moto's users and policies in the form AWS gives them."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from auditor.demo.pages import iam_page
from auditor.demo.wire import Call, RefusedError
from auditor.demo.world import World, backend, caller_arn


def by_name(entities: Iterable[Any]) -> list[Any]:
    """Return users, groups, roles or policies in the order of their names, whatever the case."""
    return sorted(entities, key=lambda entity: (entity.name.lower(), entity.name))


def list_users(call: Call, _: World) -> Mapping[str, Any]:
    """Pages, in the order of the names; never tags."""
    prefix = call.params.get("PathPrefix", "/")
    users = by_name(backend("iam", call.request.account_id).users.values())
    page, more = iam_page([user for user in users if user.path.startswith(prefix)], call)
    return {"Users": [_user(user) for user in page], **more}


def list_access_keys(call: Call, _: World) -> Mapping[str, Any]:
    """Pages; NoSuchEntity for an unknown user; without a name the keys of the signing user."""
    iam = backend("iam", call.request.account_id)
    name = call.params.get("UserName")
    user = iam.users.get(name) if name else iam.get_user_from_access_key_id(call.access_key_id)
    if user is None and name:
        raise _no_such_entity(f"The user with name {name} cannot be found.")
    if user is None:
        message = "Must specify userName when calling with non-User credentials"
        raise RefusedError(status=400, code="ValidationError", message=message)
    page, more = iam_page(sorted(user.access_keys, key=lambda key: str(key.access_key_id)), call)
    return {"AccessKeyMetadata": [_key(key) for key in page], **more}


def get_access_key_last_used(call: Call, _: World) -> Mapping[str, Any]:
    """AccessDenied for a key that the account does not own, as AWS answers."""
    account_id, key_id = call.request.account_id, call.params["AccessKeyId"]
    users = backend("iam", account_id).users.values()
    keys = (key for user in users for key in user.access_keys)
    key = next((key for key in keys if key.access_key_id == key_id), None)
    if key is None:
        arn = caller_arn(call.access_key_id, account_id, call.region)
        message = (
            f"User: {arn} is not authorized to perform: iam:GetAccessKeyLastUsed"
            f" on resource: access key {key_id}"
        )
        raise RefusedError(status=403, code="AccessDenied", message=message)
    used = {
        "LastUsedDate": key.last_used.timestamp if key.last_used else None,
        "ServiceName": key.last_used.service if key.last_used else "N/A",
        "Region": key.last_used.region if key.last_used else "N/A",
    }
    return {"UserName": key.user_name, "AccessKeyLastUsed": used}


def get_account_authorization_details(call: Call, _: World) -> Mapping[str, Any]:
    """Pages over users, groups, roles and policies together; `Filter` honoured; tags included."""
    iam = backend("iam", call.request.account_id)
    asked = {value for name, value in call.params.items() if name.startswith("Filter.member.")}
    details: list[tuple[str, Mapping[str, Any]]] = []
    for kind, name, entities, describe in (
        ("User", "UserDetailList", iam.users.values(), _user_detail),
        ("Group", "GroupDetailList", iam.groups.values(), _group_detail),
        ("Role", "RoleDetailList", iam.roles.values(), _role_detail),
        ("LocalManagedPolicy", "Policies", _policies(iam, of_aws=False), _policy_detail),
        ("AWSManagedPolicy", "Policies", _policies(iam, of_aws=True), _policy_detail),
    ):
        if not asked or kind in asked:
            details += [(name, describe(entity)) for entity in by_name(entities)]
    page, more = iam_page(details, call)
    result: dict[str, Any] = {
        name: [detail for listed, detail in page if listed == name]
        for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    }
    return result | more


def list_entities_for_policy(call: Call, _: World) -> Mapping[str, Any]:
    """Pages over groups, users and roles together; AWS's own policies exist in every account."""
    iam = backend("iam", call.request.account_id)
    arn, asked = call.params["PolicyArn"], call.params.get("EntityFilter")
    if arn not in iam.managed_policies and ":iam::aws:policy/" not in arn:
        raise _no_such_entity(f"Policy {arn} was not found.")
    prefix = call.params.get("PathPrefix", "/")
    found = [
        (kind, entity)
        for kind, entities in (("Group", iam.groups), ("User", iam.users), ("Role", iam.roles))
        if asked not in {"Group", "User", "Role"} or asked == kind
        for entity in by_name(entities.values())
        if arn in entity.managed_policies and entity.path.startswith(prefix)
    ]
    page, more = iam_page(found, call)
    result: dict[str, Any] = {
        f"Policy{kind}s": [
            {f"{kind}Name": entity.name, f"{kind}Id": entity.id}
            for listed, entity in page
            if listed == kind
        ]
        for kind in ("Group", "User", "Role")
    }
    return result | more


def list_policies(call: Call, _: World) -> Mapping[str, Any]:
    """Pages; `Scope` and `OnlyAttached` honoured."""
    iam = backend("iam", call.request.account_id)
    scope = call.params.get("Scope", "All")
    found = [
        policy
        for of_aws, kind in ((True, "AWS"), (False, "Local"))
        if scope in {"All", kind}
        for policy in _policies(iam, of_aws=of_aws)
        if policy.attachment_count or call.params.get("OnlyAttached") != "true"
    ]
    page, more = iam_page(by_name(found), call)
    return {"Policies": [_listed_policy(policy) for policy in page], **more}


def get_account_summary(call: Call, world: World) -> None:
    """Let moto answer, told whether the root user has keys, and that it has MFA."""
    summary = backend("iam", call.request.account_id).account_summary
    summary._account_access_keys_present = int(bool(world.root_keys.get(call.request.account_id)))
    summary._account_mfa_enabled = 1


def _no_such_entity(message: str) -> RefusedError:
    return RefusedError(status=404, code="NoSuchEntity", message=message)


def _policies(iam: Any, *, of_aws: bool) -> list[Any]:
    """Return the customer's policies, or those of AWS that are attached to something."""
    return [
        policy
        for arn, policy in iam.managed_policies.items()
        if (":iam::aws:policy/" in arn) == of_aws and (policy.attachment_count or not of_aws)
    ]


def _listed_policy(policy: Any) -> Mapping[str, Any]:
    detail = _policy_detail(policy)
    return {name: value for name, value in detail.items() if name != "PolicyVersionList"}


def _entity(kind: str, entity: Any) -> dict[str, Any]:
    return {
        "Path": entity.path,
        f"{kind}Name": entity.name,
        f"{kind}Id": entity.id,
        "Arn": entity.arn,
        "CreateDate": entity.create_date,
    }


def _user(user: Any) -> Mapping[str, Any]:
    return _entity("User", user) | {"PasswordLastUsed": user.password_last_used}


def _key(key: Any) -> Mapping[str, Any]:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.access_key_id,
        "Status": key.status,
        "CreateDate": key.create_date,
    }


def _user_detail(user: Any) -> Mapping[str, Any]:
    return _entity("User", user) | {
        "UserPolicyList": _inline(user),
        "GroupList": sorted(user.group_list),
        "AttachedManagedPolicies": user.attached_managed_policies,
        "Tags": user.tags or [],
    }


def _group_detail(group: Any) -> Mapping[str, Any]:
    return _entity("Group", group) | {
        "GroupPolicyList": _inline(group),
        "AttachedManagedPolicies": group.attached_managed_policies,
    }


def _role_detail(role: Any) -> Mapping[str, Any]:
    return _entity("Role", role) | {
        "AssumeRolePolicyDocument": _encoded(role.assume_role_policy_document),
        "InstanceProfileList": [],
        "RolePolicyList": _inline(role),
        "AttachedManagedPolicies": role.attached_managed_policies,
        "Tags": list(role.tags),
        "RoleLastUsed": {"LastUsedDate": role.last_used, "Region": role.last_used_region},
    }


def _policy_detail(policy: Any) -> Mapping[str, Any]:
    return _entity("Policy", policy) | {
        "DefaultVersionId": policy.default_version_id,
        "AttachmentCount": policy.attachment_count,
        "IsAttachable": True,
        "UpdateDate": policy.update_date,
        "PolicyVersionList": [
            {
                "Document": _encoded(version.document),
                "VersionId": version.version_id,
                "IsDefaultVersion": version.is_default,
                "CreateDate": version.create_date,
            }
            for version in policy.versions
        ],
    }


def _inline(entity: Any) -> list[Mapping[str, Any]]:
    return [
        {"PolicyName": name, "PolicyDocument": _encoded(document)}
        for name, document in entity.policies.items()
    ]


def _encoded(document: str) -> str:
    """Return the document percent-encoded as AWS sends it; SDKs decode it."""
    return quote(document, safe="")
