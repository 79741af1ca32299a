"""A small Secrets Manager in memory: secrets with versions, as the tool asks for them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.fake_aws.answers import RefusedError

Form: TypeAlias = Mapping[str, str]

_MISSING = RefusedError(400, "ResourceNotFoundException", "Secrets Manager can't find it.")
_EXISTS = RefusedError(400, "ResourceExistsException", "It already exists.")
_THEIRS = "what somebody else keeps here"


@dataclass
class Secret:
    """One secret; its versions by the token that each was put with."""

    arn: str
    versions: dict[str, str]
    current: str
    tags: list[dict[str, str]]
    kms_key_id: str | None = None
    foreign: bool = False


class Vault:
    """The secrets of all accounts."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, str], Secret] = {}

    def answer(self, operation: str, account: str, form: Form) -> dict[str, Any]:
        """Answer a request; raise RefusedError."""
        return _OPERATIONS[operation](self, account, form)

    def texts(self) -> Iterator[str]:
        """Yield what every version of every secret says, but for those that others made."""
        for secret in self._secrets.values():
            if not secret.foreign:
                yield from secret.versions.values()

    def make_foreign(self, account: str, name: str) -> None:
        """Let somebody else have made a secret of this name before."""
        self._secrets[account, name] = Secret(
            arn=_arn(account, name),
            versions={"theirs": _THEIRS},
            current="theirs",
            tags=[{"Key": "team", "Value": "theirs"}],
            foreign=True,
        )

    @property
    def spoilt(self) -> list[str]:
        """The ARNs of secrets of others that were changed."""
        return [
            secret.arn
            for secret in self._secrets.values()
            if secret.foreign and secret.versions != {"theirs": _THEIRS}
        ]

    def _create(self, account: str, form: Form) -> dict[str, Any]:
        place = (account, form["Name"])
        if place in self._secrets:
            if (
                self._secrets[place].versions.get(form["ClientRequestToken"])
                != form["SecretString"]
            ):
                raise _EXISTS
            return self._said(place)
        token = form["ClientRequestToken"]
        self._secrets[place] = Secret(
            arn=_arn(*place),
            versions={token: form["SecretString"]},
            current=token,
            tags=json.loads(form.get("Tags", "[]")),
            kms_key_id=form.get("KmsKeyId"),
        )
        return self._said(place)

    def _describe(self, account: str, form: Form) -> dict[str, Any]:
        place = (account, form["SecretId"])
        if place not in self._secrets:
            raise _MISSING
        secret = self._secrets[place]
        key = {} if secret.kms_key_id is None else {"KmsKeyId": secret.kms_key_id}
        stages = {secret.current: ["AWSCURRENT"]}
        return {"ARN": secret.arn, "Name": place[1], "Tags": secret.tags, **key} | {
            "VersionIdsToStages": stages
        }

    def _policy(self, account: str, form: Form) -> dict[str, Any]:
        place = (account, form["SecretId"])
        if place not in self._secrets:
            raise _MISSING
        return {"ARN": self._secrets[place].arn, "Name": place[1]}

    def _put(self, account: str, form: Form) -> dict[str, Any]:
        place, token, text = (account, form["SecretId"]), form["ClientRequestToken"], "SecretString"
        if place not in self._secrets:
            raise _MISSING
        secret = self._secrets[place]
        if secret.versions.setdefault(token, form[text]) != form[text]:
            raise _EXISTS
        secret.current = token
        return self._said(place)

    def _get(self, account: str, form: Form) -> dict[str, Any]:
        place = (account, form["SecretId"])
        secret = self._secrets.get(place)
        token = form.get("VersionId", "" if secret is None else secret.current)
        if secret is None or token not in secret.versions:
            raise _MISSING
        return self._said(place) | {"VersionId": token, "SecretString": secret.versions[token]}

    def _said(self, place: tuple[str, str]) -> dict[str, Any]:
        secret = self._secrets[place]
        return {"ARN": secret.arn, "Name": place[1], "VersionId": secret.current}


def _arn(account: str, name: str) -> str:
    return f"arn:aws:secretsmanager:us-east-1:{account}:secret:{name}-a1b2c3"


def key_and_secret(text: str) -> tuple[str, str]:
    """Return the id and secret of the key that a document in a sink is of."""
    kept = json.loads(text)
    return str(kept["access_key_id"]), str(kept["secret_access_key"])


_OPERATIONS: Mapping[str, Callable[[Vault, str, Form], dict[str, Any]]] = {
    "CreateSecret": Vault._create,
    "PutSecretValue": Vault._put,
    "GetSecretValue": Vault._get,
    "DescribeSecret": Vault._describe,
    "GetResourcePolicy": Vault._policy,
}
