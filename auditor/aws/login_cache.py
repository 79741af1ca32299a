"""The cache of `aws login`: one file for each sign-in, in the format of the AWS CLI."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import anyio

from auditor.paths import expanded

_VARIABLE = "AWS_LOGIN_CACHE_DIRECTORY"
_FOLDER = "~/.aws/login/cache"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LARGEST = 1024 * 1024


class LoginCacheError(Exception):
    """Raised when a file of the cache gives no credentials; the text says why, without values."""


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """One sign-in, as the CLI writes it; what is unknown here is kept as it is."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime
    refresh_token: str
    client_id: str
    dpop_key: str
    members: Mapping[str, Any]

    @classmethod
    def parsed(cls, text: bytes) -> "Login":
        """Return the sign-in that a file holds; raise LoginCacheError."""
        try:
            members = json.loads(text)
        except (ValueError, RecursionError):
            raise LoginCacheError("it is not JSON") from None
        if not isinstance(members, dict):
            raise LoginCacheError("it is not a JSON object")
        token = members.get("accessToken")
        if not isinstance(token, dict):
            raise LoginCacheError("it has no accessToken")
        return cls(
            access_key_id=_text(token, "accessKeyId"),
            secret_access_key=_text(token, "secretAccessKey"),
            session_token=_text(token, "sessionToken"),
            expires_at=_time(_text(token, "expiresAt")),
            refresh_token=_text(members, "refreshToken"),
            client_id=_text(members, "clientId"),
            dpop_key=_text(members, "dpopKey"),
            members=members,
        )

    def renewed(self, answer: Mapping[str, Any], expires_at: datetime) -> "Login":
        """Return the sign-in with what the sign-in service gave; raise LoginCacheError."""
        token = answer.get("accessToken")
        if not isinstance(token, dict):
            raise LoginCacheError("it has no accessToken")
        return replace(
            self,
            access_key_id=_text(token, "accessKeyId"),
            secret_access_key=_text(token, "secretAccessKey"),
            session_token=_text(token, "sessionToken"),
            expires_at=expires_at.replace(microsecond=0),
            refresh_token=_text(answer, "refreshToken"),
        )

    def to_json(self) -> str:
        """Return the text of the file."""
        token = {
            **self.members["accessToken"],
            "accessKeyId": self.access_key_id,
            "secretAccessKey": self.secret_access_key,
            "sessionToken": self.session_token,
            "expiresAt": self.expires_at.astimezone(UTC).strftime(_TIME),
        }
        return json.dumps(
            {**self.members, "accessToken": token, "refreshToken": self.refresh_token}
        )


class LoginCache:
    """The sign-ins of one run; what can't be written to the files serves this run all the same."""

    def __init__(self) -> None:
        self.one_at_a_time = anyio.Lock()
        self._unwritten: dict[Path, Login] = {}

    @staticmethod
    def file(session: str) -> Path:
        """Return the file of a `login_session`."""
        folder = expanded(os.path.expandvars(os.environ.get(_VARIABLE) or _FOLDER))
        return folder / f"{sha256(session.encode()).hexdigest()}.json"

    def read(self, file: Path) -> Login:
        """Return a sign-in; raise OSError, or LoginCacheError for a file that holds none.

        Of what is in the file and what this run could not write, the one that lasts longer.
        """
        kept = self._unwritten.get(file)
        try:
            found = Login.parsed(_content(file))
        except (OSError, LoginCacheError):
            if kept is None:
                raise
            return kept
        return found if kept is None or found.expires_at > kept.expires_at else kept

    def write(self, file: Path, login: Login) -> None:
        """Replace the file whole or not at all, readable by its owner only."""
        new = None
        try:
            with NamedTemporaryFile("w", dir=file.parent, suffix=".tmp", delete=False) as out:
                new = Path(out.name)
                out.write(login.to_json())
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
        except OSError:
            self._unwritten[file] = login
            if new is not None:
                with suppress(OSError):
                    new.unlink()
        else:
            self._unwritten.pop(file, None)


def _content(file: Path) -> bytes:
    if file.exists() and not file.is_file():  # to open a pipe would wait for its writer
        raise LoginCacheError("it is not a regular file")
    with file.open("rb") as opened:
        text = opened.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise LoginCacheError("it is too large")
    return text


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise LoginCacheError(f"it has no {name}")
    return value


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise LoginCacheError("its expiresAt is not a time") from None
    if at.tzinfo is None:
        raise LoginCacheError("its expiresAt has no time zone")
    return at
