"""MiniStack as a process of its own, and two accounts in it: unlike moto, it checks permissions.

What it does not do: look at a user's path (a policy for `user/team/amy` never fits, so users have
no path here), track the last use of a key, limit keys to two for each user.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from auditor.model.access_key import AccessKeyId, KeyStatus
from auditor.model.account import Account, AccountId

COMMAND = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "ministack"
REGION = "us-east-1"
WRITE_ROLE = "iamaudit-write"
_PATIENCE = 60
_PAUSE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededKey:
    """A user, and a key of it that can sign."""

    user_name: str
    user_arn: str
    id: AccessKeyId
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """A management account with a caller, and a member that the caller may enter."""

    url: str
    caller: SeededKey
    """A user of the management account; may assume any role, and nothing else."""
    management_id: AccountId
    member_id: AccountId
    external_id: str
    """Without it nobody enters the member."""

    @property
    def member(self) -> Account:
        return Account(id=self.member_id)

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of a command that the caller starts."""
        return {
            "AWS_ACCESS_KEY_ID": self.caller.id,
            "AWS_SECRET_ACCESS_KEY": self.caller.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def add_user(self, name: str, *, account_id: str | None = None) -> SeededKey:
        """Make a user with a key, in the member unless another account is named."""
        return _user(self.root("iam", account_id or self.member_id), name)

    def allow(self, key: SeededKey, *actions: str) -> None:
        """Let a user do something in its account."""
        self.root("iam", key.user_arn.split(":")[4]).put_user_policy(
            UserName=key.user_name, PolicyName="allowed", PolicyDocument=_allow(*actions)
        )

    def status(self, key: SeededKey) -> KeyStatus | None:
        """Return the status of a key; None where it is gone."""
        return self.keys(key).get(key.id)

    def keys(self, key: SeededKey) -> dict[AccessKeyId, KeyStatus]:
        """Return the keys of the user of a key."""
        iam = self.root("iam", key.user_arn.split(":")[4])
        found = iam.list_access_keys(UserName=key.user_name)["AccessKeyMetadata"]
        return {AccessKeyId(each["AccessKeyId"]): KeyStatus(each["Status"]) for each in found}

    def why_not(self, key: SeededKey) -> str | None:
        """Sign a request with a key; return the code of the refusal."""
        try:
            client(self.url, "sts", key.id, key.secret).get_caller_identity()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def root(self, service: str, account_id: str) -> Any:
        """Return a client that may do anything in an account: MiniStack's way to fill it."""
        return client(self.url, service, account_id, "root")


def client(url: str, service: str, key_id: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def seed(url: str, *, number: int) -> Estate:
    """Make two accounts of their own for each number."""
    management, member = f"1{number:011}", f"2{number:011}"
    iam = client(url, "iam", management, "root")
    caller = _user(iam, "operator")
    iam.put_user_policy(
        UserName=caller.user_name, PolicyName="audit", PolicyDocument=_allow("sts:AssumeRole")
    )
    estate = Estate(
        url=url,
        caller=caller,
        management_id=AccountId(management),
        member_id=AccountId(member),
        external_id=f"external-{number}",
    )
    _roles(estate)
    return estate


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """Run MiniStack on a free port of the loopback; give its URL once it answers."""
    if not COMMAND.exists():
        raise FileNotFoundError(f"{COMMAND} is missing: make test makes it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "STATE_DIR": str(folder / "state"),
    }
    log = folder / "ministack.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [COMMAND], cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_ministack/health"):  # noqa: S310 -- on this machine
            return
        time.sleep(_PAUSE)
    raise RuntimeError(f"MiniStack does not answer:\n{log.read_text()}")


def _roles(estate: Estate) -> None:
    """Make the member's roles for reading and writing; each may do more than it should need."""
    iam = estate.root("iam", estate.member_id)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{estate.management_id}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": estate.external_id}},
    }
    for name in ("iamaudit-read", WRITE_ROLE):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
        iam.put_role_policy(
            RoleName=name, PolicyName="all", PolicyDocument=_allow("iam:*", "secretsmanager:*")
        )


def _user(iam: Any, name: str) -> SeededKey:
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return SeededKey(
        user_name=name,
        user_arn=arn,
        id=AccessKeyId(key["AccessKeyId"]),
        secret=key["SecretAccessKey"],
    )


def _allow(*actions: str) -> str:
    return _document({"Effect": "Allow", "Action": list(actions), "Resource": "*"})


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
