"""The same organization, read by plain sequential boto3 and judged by plain Python.

Shares nothing with the tool: other calls where there are any, no CEL, no model.
"""

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@dataclass(frozen=True)
class Key:
    account: str
    user: str
    id: str | None
    status: str
    created: datetime
    used: tuple[datetime, str, str] | None
    rules: frozenset[str]


def read_organization(
    url: str, access_key: str, secret: str, role: str, now: datetime
) -> list[Key]:
    def client(service: str, credentials: Any = None) -> Any:
        given = credentials or {"AccessKeyId": access_key, "SecretAccessKey": secret}
        return boto3.client(
            service,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given.get("SessionToken"),
        )

    sts = client("sts")
    keys: list[Key] = []
    me = sts.get_caller_identity()["Account"]
    for page in client("organizations").get_paginator("list_accounts").paginate():
        for account in page["Accounts"]:
            if account["State"] != "ACTIVE":
                continue
            try:
                credentials = None
                if account["Id"] != me:
                    arn = f"arn:aws:iam::{account['Id']}:role/{role}"
                    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="oracle")[
                        "Credentials"
                    ]
            except sts.exceptions.ClientError:
                continue
            keys.extend(_read_account(client("iam", credentials), account["Id"], now))
    return keys


def _read_account(iam: Any, account: str, now: datetime) -> Iterator[Key]:
    for page in iam.get_paginator("list_users").paginate():
        for user in page["Users"]:
            yield from _read_user(iam, account, user["UserName"], now)
    yield from _root_keys(iam, account, now)


def _read_user(iam: Any, account: str, name: str, now: datetime) -> Iterator[Key]:
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    if not listed:
        return
    active = [key for key in listed if key["Status"] == "Active"]
    newest = max(active, key=lambda key: (key["CreateDate"], key["AccessKeyId"]), default=None)
    policies = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    person = _has_password(iam, name)
    admin = _is_admin(iam, name)
    quarantined = any("AWSCompromisedKeyQuarantine" in each["PolicyArn"] for each in policies)
    for key in listed:
        last = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
        used = None
        if "LastUsedDate" in last:
            used = (last["LastUsedDate"], last["ServiceName"], last["Region"])
        is_active = key["Status"] == "Active"
        rules = _rules(is_active, key["CreateDate"], used and used[0], now)
        if is_active and len(active) > 1 and key is not newest:
            rules.add("second-active-key")
        rules |= {
            rule
            for rule, holds in {
                "human-access-key": person,
                "admin-access-key": admin,
                "key-quarantined": quarantined,
            }.items()
            if holds and is_active
        }
        yield Key(
            account, name, key["AccessKeyId"], key["Status"], key["CreateDate"], used,
            frozenset(rules),
        )  # fmt: skip


def _rules(active: bool, created: datetime, used: datetime | None, now: datetime) -> set[str]:
    age, idle = now - created, now - (used or created)
    if not active:
        lingering = age > timedelta(days=90) and idle > timedelta(days=90)
        return {"inactive-key-lingering"} if lingering else set()
    rules = set()
    if age > timedelta(days=90):
        rules.add("key-too-old")
    if used and idle > timedelta(days=45):
        rules.add("key-unused")
    if not used and age > timedelta(days=30):
        rules.add("key-never-used")
    return rules


def _has_password(iam: Any, name: str) -> bool:
    try:
        iam.get_login_profile(UserName=name)
    except iam.exceptions.NoSuchEntityException:
        return False
    return True


def _is_admin(iam: Any, name: str) -> bool:
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    inline = [
        iam.get_user_policy(UserName=name, PolicyName=each)["PolicyDocument"]
        for each in iam.list_user_policies(UserName=name)["PolicyNames"]
    ]
    for group in iam.list_groups_for_user(UserName=name)["Groups"]:
        group_name = group["GroupName"]
        attached += iam.list_attached_group_policies(GroupName=group_name)["AttachedPolicies"]
        inline += [
            iam.get_group_policy(GroupName=group_name, PolicyName=each)["PolicyDocument"]
            for each in iam.list_group_policies(GroupName=group_name)["PolicyNames"]
        ]
    for policy in attached:
        if policy["PolicyArn"].startswith("arn:aws:iam::aws:"):
            if policy["PolicyArn"] == ADMINISTRATOR:
                return True
            continue
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)
        inline.append(found["PolicyVersion"]["Document"])
    return any(_allows_all(document) for document in inline)


def _allows_all(document: Any) -> bool:
    document = json.loads(document) if isinstance(document, str) else document
    statements = document["Statement"]
    for each in statements if isinstance(statements, list) else [statements]:
        actions, resources = each.get("Action", []), each.get("Resource", [])
        actions = [actions] if isinstance(actions, str) else actions
        resources = [resources] if isinstance(resources, str) else resources
        everything = ("*" in actions or "*:*" in actions) and "*" in resources
        if each["Effect"] == "Allow" and everything and "Condition" not in each:
            return True
    return False


def _root_keys(iam: Any, account: str, now: datetime) -> Iterator[Key]:
    while iam.generate_credential_report()["State"] != "COMPLETE":
        time.sleep(0.05)
    content = iam.get_credential_report()["Content"].decode()
    row = next(
        row for row in csv.DictReader(content.splitlines()) if row["user"] == "<root_account>"
    )
    for slot in ("1", "2"):
        created = row[f"access_key_{slot}_last_rotated"]
        if created == "N/A":
            continue
        active = row[f"access_key_{slot}_active"] == "true"
        date = row[f"access_key_{slot}_last_used_date"]
        used = None
        if date != "N/A":
            service, region = (
                row[f"access_key_{slot}_last_used_{each}"] for each in ("service", "region")
            )
            used = (datetime.fromisoformat(date), service, region)
        at = datetime.fromisoformat(created)
        rules = _rules(active, at, used and used[0], now)
        if active:
            rules |= {"root-access-key", "admin-access-key"}
        yield Key(
            account, "<root_account>", None, "Active" if active else "Inactive", at, used,
            frozenset(rules),
        )  # fmt: skip
