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
from auditor.aws.secret_place import TAG, SecretPlace, check_place, place_of
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKeyId
from auditor.model.account import Account
from auditor.model.stored_secret import content, is_of
from auditor.ports import CreatedKey, Owner

_LITERAL = frozenset(ascii_letters + digits + "_+.@-")
_EXISTS, _MISSING = "ResourceExistsException", "ResourceNotFoundException"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """One version of a secret."""

    arn: str
    text: str = field(repr=False)


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

    async def place(self, name: str) -> SecretPlace | None:
        """Return how a secret is kept (DescribeSecret, GetResourcePolicy); None where none is."""
        try:
            answer = await self._call("DescribeSecret", SecretId=name)
        except AwsFailure as failure:
            if failure.code == _MISSING:
                return None
            raise
        policy = await self._call("GetResourcePolicy", SecretId=name)
        with failures("secretsmanager:DescribeSecret"):
            return place_of(answer, policy.get("ResourcePolicy"))

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
            await self._check(secrets, secret_name(owner))

    async def _check(self, secrets: Secrets, name: str) -> None:
        place = await secrets.place(name)
        if place is not None:
            check_place(place, kms_key_id=self._kms_key_id)

    async def put(self, owner: Owner, key: CreatedKey) -> str:
        """Store id and secret as the current version, read it back, and return the ARN.

        Raises AuditError as `check` does.
        """
        name, token, text = secret_name(owner), _token(key.id), _document(owner, key)
        async with self._open(owner) as secrets:
            await self._check(secrets, name)
            try:
                await secrets.create(name, text, token=token, kms_key_id=self._kms_key_id)
            except AwsFailure as failure:
                if failure.code != _EXISTS:
                    raise
                await self._check(secrets, name)
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
