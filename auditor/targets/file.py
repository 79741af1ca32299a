"""Accounts from a YAML file: id, and what is known about reaching each."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from auditor.errors import AuditError
from auditor.model.account import Account, parse_account_id
from auditor.policy import places

_HINT = (
    "write a list of accounts, each with an id and, if wanted, "
    "name, role_arn, external_id, profile, tags"
)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    name: str | None = None
    role_arn: Annotated[str, Field(pattern=r"^arn:[^:]+:iam::[0-9]{12}:role/.+$")] | None = None
    external_id: Annotated[str, Field(min_length=2, max_length=1224)] | None = None
    profile: str | None = None
    tags: dict[str, str] | None = None


_ENTRIES = TypeAdapter(list[_Entry])


def read_accounts(path: Path) -> list[Account]:
    """Return the accounts of the file; raise AuditError naming line and column of a mistake.

    The file is a list, or a mapping whose `accounts` is the list.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AuditError(f"{path}: {reason}", hint="name a readable file after @") from None
    try:
        placed = places.parse(text)
    except places.YamlError as error:
        raise AuditError(f"{path}:{error.place}: {error}", hint=_HINT) from None
    data = placed.data
    prefix: places.Path = ()
    if isinstance(data, dict) and data.keys() == {"accounts"}:
        data, prefix = data["accounts"], ("accounts",)
    try:
        entries = _ENTRIES.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = placed.at((*prefix, *first["loc"]))
        raise AuditError(f"{path}:{place}: {_told(first)}", hint=_HINT) from None
    if not entries:
        raise AuditError(f"{path}: no accounts in it", hint=_HINT)
    for index, entry in enumerate(entries):
        if entry.role_arn is not None and entry.role_arn.split(":")[4] != entry.id:
            place = placed.at((*prefix, index, "role_arn"))
            message = f"{index}.role_arn: the role is not of account {entry.id}"
            raise AuditError(f"{path}:{place}: {message}", hint="name a role of that account")
    return [_account(entry) for entry in entries]


def _account(entry: _Entry) -> Account:
    return Account(
        id=parse_account_id(entry.id),
        name=entry.name,
        role_arn=entry.role_arn,
        external_id=entry.external_id,
        profile=entry.profile,
        tags=entry.tags,
    )


def _told(first: Any) -> str:
    where = ".".join(str(part) for part in first["loc"])
    told = f"{where}: {first['msg']}" if where else str(first["msg"])
    if first["type"] == "string_type" and where.endswith("id"):
        told += " (put quotes around it: YAML reads it as a number)"
    return told
