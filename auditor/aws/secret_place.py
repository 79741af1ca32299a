"""What has to hold of a secret that exists before the secret of a new key is put into it.

Whoever makes a secret of the right name first can give it any tag, and choose who reads what is put
there later: by its KMS key, its resource policy, its replicas, or a function that rotates it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.errors import AuditError

# By this tag a secret is known as one that this tool made. Tags of secrets have a case.
TAG = {"Key": "iamaudit", "Value": "access-key"}
_DEFAULT_KEY = "alias/aws/secretsmanager"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """How a secret is kept, whatever is in it."""

    name: str
    account_id: str
    ours: bool
    """Whether it has the tag of those that this tool made."""
    kms_key_id: str
    """Id, ARN or alias."""
    deleted: bool
    regions: tuple[str, ...]
    """Where it is replicated to."""
    rotated: bool
    """Whether a function or a service of somebody's puts values into it."""
    policy: str | None
    """Its resource policy, as JSON."""


def place_of(description: Mapping[str, Any], policy: str | None) -> SecretPlace:
    """Return what DescribeSecret and GetResourcePolicy say of a secret."""
    return SecretPlace(
        name=str(description["Name"]),
        account_id=str(description["ARN"]).split(":")[4],
        ours=TAG in description.get("Tags", []),
        kms_key_id=str(description.get("KmsKeyId") or _DEFAULT_KEY),
        deleted="DeletedDate" in description,
        regions=tuple(str(each["Region"]) for each in description.get("ReplicationStatus", [])),
        rotated=bool(description.get("RotationEnabled") or description.get("OwningService")),
        policy=policy,
    )


def check_place(place: SecretPlace, *, kms_key_id: str | None) -> None:
    """Raise AuditError unless only those can read the secret whom the operator lets."""
    for wrong, what, hint in (
        (place.deleted, "is scheduled for deletion", "restore it, or wait until it is gone"),
        (
            not place.ours,
            f"was not made by iamaudit: it lacks the tag {TAG['Key']}={TAG['Value']}",
            "rename it; or look at its KMS key and resource policy, and tag it",
        ),
        (
            place.rotated,
            "is rotated by a function or managed by a service, which could read the new key",
            "cancel its rotation, or delete the secret",
        ),
        (
            bool(place.regions),
            f"is replicated to {', '.join(place.regions)}",
            "remove its replicas, or delete the secret",
        ),
        (
            _lets_in(place.policy),
            "has a resource policy that lets others in",
            "delete its resource policy, and let readers in by policies of their own",
        ),
    ):
        if wrong:
            raise AuditError(f"the secret {place.name} {what}", hint=hint)
    _check_kms_key(place, kms_key_id)


def _check_kms_key(place: SecretPlace, wanted: str | None) -> None:
    """Raise AuditError for another key than that asked for; for one of another account anyway."""
    found = _parts(place.kms_key_id, place.account_id)
    if wanted is not None and found != _parts(wanted, place.account_id):
        problem = f"is encrypted with {place.kms_key_id}, not with {wanted}"
    elif wanted is None and found[0] != place.account_id:
        problem = f"is encrypted with a key of another account, {place.kms_key_id}"
    else:
        return
    raise AuditError(
        f"the secret {place.name} {problem}", hint="change the key of the secret, or --kms-key-id"
    )


def _parts(key: str, account_id: str) -> tuple[str, str]:
    """Return account and name of a KMS key: one without an ARN is of the secret's account."""
    fields = key.split(":", 5)
    if len(fields) == len(("arn", "partition", "kms", "region", "account", "name")):
        account_id, key = fields[4:]
    return account_id, key.removeprefix("key/")


def _lets_in(policy: str | None) -> bool:
    """Whether a resource policy allows anything: one that only denies lets nobody in."""
    if not policy:
        return False
    try:
        statements = json.loads(policy)["Statement"]
        listed = statements if isinstance(statements, list) else [statements]
        return any(each["Effect"] != "Deny" for each in listed)
    except (ValueError, LookupError, TypeError, RecursionError):
        return True
