"""AssumeRole refuses what AWS refuses; moto lets everyone be anything."""

import re

from auditor.demo.wire import Call, RefusedError
from auditor.demo.world import World, account_of, backend, caller_arn, organization_of
from auditor.model.account import AccountState

_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):role/.+")


def assume_role(call: Call, world: World) -> None:
    """Let moto answer if the role exists, its account is active, and neither is denied."""
    role_arn = str(call.params.get("RoleArn", ""))
    found = _ROLE_ARN.fullmatch(role_arn)
    if found is None:
        raise RefusedError(status=400, code="ValidationError", message=f"{role_arn} is invalid")
    caller = call.request.account_id
    denied = bool(world.denied_roles & {found[1], role_arn})
    if denied or not _reachable(found[1], caller) or not _role_exists(found[1], role_arn):
        arn = caller_arn(call.access_key_id, caller, call.region)
        message = (
            f"User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
        )
        raise RefusedError(status=403, code="AccessDenied", message=message)


def _reachable(account_id: str, caller: str) -> bool:
    """Return whether the account is an active one of the caller's organization, if it has one."""
    organization = organization_of(caller)
    if organization is None:
        return True
    entry = account_of(organization, account_id)
    return entry is not None and entry.state == AccountState.ACTIVE


def _role_exists(account_id: str, role_arn: str) -> bool:
    return any(role.arn == role_arn for role in backend("iam", account_id).roles.values())
