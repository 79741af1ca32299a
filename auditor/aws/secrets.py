"""Secrets Manager as a sink: one secret for each user, one version of it for each key."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from string import ascii_letters, digits
from typing import Any, Protocol

from botocore import xform_name

from auditor.aws.calls import Calls
from auditor.aws.errors import failures
from auditor.aws.permissions import SECRET_PREFIX
from auditor.errors import AuditError, AwsFailure, FailureKind
from auditor.model.access_key import AccessKeyId
from auditor.model.account import Account
from auditor.model.stored_secret import content, is_of
from auditor.ports import CreatedKey, Owner

_LITERAL = frozenset(ascii_letters + digits + "_+.@-")
_EXISTS, _MISSING = "ResourceExistsException", "ResourceNotFoundException"
# By this tag a secret is known as one that this tool made: whoever makes a secret chooses its KMS
# key and its resource policy, and so who can read what is put there later.
TAG = {"Key": "iamaudit", "Value": "access-key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """One version of a secret."""

    arn: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """How a secret is kept, whatever is in it."""

    ours: bool
    """Whether it has the tag of those that this tool made."""
    kms_key_id: str | None
    """Id, ARN or alias; None for the key that AWS keeps for Secrets Manager."""
    deleted: bool


class Secrets:
    """The secrets of one account and region; each method raises AwsFailure.

    `token` names the version: a call that is repeated with it changes nothing.
    """

    def __init__(self, client: Any, calls: Calls) -> None:
        self._client = client
        self._calls = calls

    async def create(self, name: str, text: str, *, token: str, kms_key_id: str | None) -> None:
        """Make a new secret (CreateSecret)."""
        key = {} if kms_key_id is None else {"KmsKeyId": kms_key_id}
        await self._call(
            "CreateSecret",
            Name=name,
            SecretString=text,
            ClientRequestToken=token,
            Tags=[TAG],
            **key,
        )

    async def put(self, name: str, text: str, *, token: str) -> None:
        """Give a secret a new version (PutSecretValue); the old one stays as AWSPREVIOUS."""
        await self._call(
            "PutSecretValue", SecretId=name, SecretString=text, ClientRequestToken=token
        )

    async def described(self, name: str) -> SecretPlace | None:
        """Return how a secret is kept (DescribeSecret); None where there is none."""
        try:
            answer = await self._call("DescribeSecret", SecretId=name)
        except AwsFailure as failure:
            if failure.code == _MISSING:
                return None
            raise
        with failures("secretsmanager:DescribeSecret"):
            return SecretPlace(
                ours=TAG in answer.get("Tags", []),
                kms_key_id=answer.get("KmsKeyId"),
                deleted="DeletedDate" in answer,
            )

    async def get(self, name: str, *, token: str | None = None) -> StoredSecret | None:
        """Return a version, None meaning the current one; None where there is none."""
        version = {} if token is None else {"VersionId": token}
        try:
            answer = await self._call("GetSecretValue", SecretId=name, **version)
        except AwsFailure as failure:
            if failure.code == _MISSING:
                return None
            raise
        with failures("secretsmanager:GetSecretValue"):
            return StoredSecret(arn=str(answer["ARN"]), text=str(answer["SecretString"]))

    async def _call(self, operation: str, **arguments: object) -> Mapping[str, Any]:
        method = getattr(self._client, xform_name(operation))
        send: Callable[[], Awaitable[Mapping[str, Any]]] = partial(method, **arguments)
        try:
            return await self._calls.call(f"secretsmanager:{operation}", send)
        except AwsFailure as failure:
            failure.__context__ = None  # the SDK's own error, with what may repeat the secret
            raise


class OpenSecrets(Protocol):
    """The way to the secrets of an account."""

    def __call__(self, account: Account) -> AbstractAsyncContextManager[Secrets]:
        """Give access while the context lasts; raise AwsFailure."""
        ...


class SecretsManagerSink:
    """Keeps secrets in the account of their user, or all in a central one (port SecretSink)."""

    def __init__(
        self,
        open_secrets: OpenSecrets,
        *,
        central: Account | None = None,
        kms_key_id: str | None = None,
    ) -> None:
        self._open_secrets = open_secrets
        self._central = central
        self._kms_key_id = kms_key_id

    async def check(self, owner: Owner) -> None:
        """Raise AuditError where there is a secret of the owner's name that is not fit."""
        async with self._open(owner) as secrets:
            self._check(secret_name(owner), await secrets.described(secret_name(owner)))

    def _check(self, name: str, place: SecretPlace | None) -> None:
        if place is None:
            return
        if place.deleted:
            raise AuditError(
                f"the secret {name} is scheduled for deletion",
                hint="restore it, or wait until it is gone",
            )
        if not place.ours:
            tag = f"{TAG['Key']}={TAG['Value']}"
            raise AuditError(
                f"the secret {name} was not made by iamaudit: it lacks the tag {tag}",
                hint="rename it; or look at its KMS key and resource policy, and tag it",
            )
        if self._kms_key_id is not None and not _same_key(place.kms_key_id, self._kms_key_id):
            raise AuditError(
                f"the secret {name} is encrypted with {place.kms_key_id or 'aws/secretsmanager'},"
                f" not with {self._kms_key_id}",
                hint="change the key of the secret, or --kms-key-id",
            )

    async def put(self, owner: Owner, key: CreatedKey) -> str:
        """Store id and secret as the current version, read it back, and return the ARN.

        Raises AuditError as `check` does.
        """
        name, token, text = secret_name(owner), _token(key.id), _document(owner, key)
        async with self._open(owner) as secrets:
            self._check(name, await secrets.described(name))
            try:
                await secrets.create(name, text, token=token, kms_key_id=self._kms_key_id)
            except AwsFailure as failure:
                if failure.code != _EXISTS:
                    raise
                self._check(name, await secrets.described(name))
                await secrets.put(name, text, token=token)
            stored = await secrets.get(name)
        if stored is None or stored.text != text:
            raise AwsFailure(
                operation="secretsmanager:GetSecretValue",
                code="NotAsStored",
                message=f"the secret {name} does not read as it was written",
                kind=FailureKind.OTHER,
            )
        return stored.arn

    async def find(self, owner: Owner, key_id: AccessKeyId) -> str | None:
        """Return the ARN of the secret that has this key whole, current or not."""
        name = secret_name(owner)
        async with self._open(owner) as secrets:
            for token in (_token(key_id), None):
                stored = await secrets.get(name, token=token)
                if stored is not None and is_of(stored.text, key_id):
                    return stored.arn
        return None

    def _open(self, owner: Owner) -> AbstractAsyncContextManager[Secrets]:
        return self._open_secrets(self._central or owner.account)


def _same_key(found: str | None, wanted: str) -> bool:
    """Whether what AWS says is the KMS key that is wanted: each an id, an alias or an ARN."""
    if found is None:
        return wanted.rpartition(":")[2] == "alias/aws/secretsmanager"

    def last(key: str) -> str:
        return key.rpartition(":")[2].removeprefix("key/")

    return last(found) == last(wanted)


def secret_name(owner: Owner) -> str:
    """Return `iamaudit/ACCOUNT/USER`; what a secret's name can't have is written `=2C`."""
    user = "".join(
        chr(byte) if chr(byte) in _LITERAL else f"={byte:02X}" for byte in owner.user_name.encode()
    )
    return f"{SECRET_PREFIX}{owner.account.id}/{user}"


def _token(key_id: AccessKeyId) -> str:
    """Return the version's id: of the 64 characters at most that one may have."""
    return hashlib.sha256(key_id.encode()).hexdigest()


def _document(owner: Owner, key: CreatedKey) -> str:
    return json.dumps(
        content(
            key_id=key.id,
            secret=key.secret,
            user_name=owner.user_name,
            account_id=owner.account.id,
        )
    )
