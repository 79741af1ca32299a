"""Organizations: one root; the first ten accounts are in it, the others in its one unit."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from bench.fake_aws.answers import RefusedError
from bench.fake_aws.world import MANAGEMENT, ROOT_ID, UNIT_ID, World, account_id

_PAGE = 20
_IN_ROOT = 10
_ORGANIZATION = "o-fakefake01"
_PREFIX = f"arn:aws:organizations::{account_id(MANAGEMENT)}"

Question = Mapping[str, Any]


def list_roots(_world: World, _question: Question) -> dict[str, Any]:
    """Answer ListRoots."""
    root = {"Id": ROOT_ID, "Arn": f"{_PREFIX}:root/{_ORGANIZATION}/{ROOT_ID}", "Name": "Root"}
    return {"Roots": [root | {"PolicyTypes": []}]}


def list_units(world: World, question: Question) -> dict[str, Any]:
    """Answer ListOrganizationalUnitsForParent."""
    has_unit = question["ParentId"] == ROOT_ID and world.accounts > _IN_ROOT
    return {"OrganizationalUnits": [_unit()] if has_unit else []}


def describe_unit(_world: World, question: Question) -> dict[str, Any]:
    """Answer DescribeOrganizationalUnit."""
    if question["OrganizationalUnitId"] != UNIT_ID:
        raise RefusedError(400, "OrganizationalUnitNotFoundException", "no such unit")
    return {"OrganizationalUnit": _unit()}


def list_accounts_for_parent(world: World, question: Question) -> dict[str, Any]:
    """Answer ListAccountsForParent."""
    if question["ParentId"] == ROOT_ID:
        return _accounts(range(min(_IN_ROOT, world.accounts)), question)
    if question["ParentId"] == UNIT_ID:
        return _accounts(range(_IN_ROOT, world.accounts), question)
    raise RefusedError(400, "ParentNotFoundException", "no such parent")


def list_accounts(world: World, question: Question) -> dict[str, Any]:
    """Answer ListAccounts."""
    return _accounts(range(world.accounts), question)


def list_parents(_world: World, question: Question) -> dict[str, Any]:
    """Answer ListParents."""
    child = str(question["ChildId"])
    in_root = child == UNIT_ID or child < account_id(_IN_ROOT)
    parent = {"Id": ROOT_ID, "Type": "ROOT"}
    return {"Parents": [parent if in_root else {"Id": UNIT_ID, "Type": "ORGANIZATIONAL_UNIT"}]}


def list_tags(_world: World, _question: Question) -> dict[str, Any]:
    """Answer ListTagsForResource."""
    return {"Tags": [{"Key": "stage", "Value": "bench"}]}


def describe_organization(_world: World, _question: Question) -> dict[str, Any]:
    """Answer DescribeOrganization."""
    owner = account_id(MANAGEMENT)
    return {
        "Organization": {
            "Id": _ORGANIZATION,
            "Arn": f"{_PREFIX}:organization/{_ORGANIZATION}",
            "FeatureSet": "ALL",
            "MasterAccountId": owner,
            "MasterAccountArn": f"{_PREFIX}:account/{_ORGANIZATION}/{owner}",
            "MasterAccountEmail": "root@example.com",
        }
    }


OPERATIONS: Mapping[str, Callable[[World, Question], dict[str, Any]]] = {
    "ListRoots": list_roots,
    "ListOrganizationalUnitsForParent": list_units,
    "DescribeOrganizationalUnit": describe_unit,
    "ListAccountsForParent": list_accounts_for_parent,
    "ListAccounts": list_accounts,
    "ListParents": list_parents,
    "ListTagsForResource": list_tags,
    "DescribeOrganization": describe_organization,
}


def answer(world: World, operation: str, body: bytes) -> str:
    """Answer one call; raise RefusedError."""
    if operation not in OPERATIONS:
        raise RefusedError(400, "UnknownOperationException", operation)
    return json.dumps(OPERATIONS[operation](world, json.loads(body or b"{}")))


def _unit() -> dict[str, str]:
    arn = f"{_PREFIX}:ou/{_ORGANIZATION}/{UNIT_ID}"
    return {"Id": UNIT_ID, "Arn": arn, "Name": "workload"}


def _accounts(numbers: range, question: Question) -> dict[str, Any]:
    size = min(int(question.get("MaxResults", _PAGE)), _PAGE)
    start = int(question.get("NextToken", "0"))
    accounts = [_account(number) for number in numbers[start : start + size]]
    following = start + size
    more = {"NextToken": str(following)} if following < len(numbers) else {}
    return {"Accounts": accounts, **more}


def _account(number: int) -> dict[str, Any]:
    owner = account_id(number)
    return {
        "Id": owner,
        "Arn": f"{_PREFIX}:account/{_ORGANIZATION}/{owner}",
        "Email": f"{owner}@example.com",
        "Name": f"account-{number:05}",
        "State": "ACTIVE",
        "Status": "ACTIVE",
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": 1600000000.0,
    }
