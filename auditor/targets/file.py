"""Accounts from a YAML file: id, and what is known about reaching each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from auditor.errors import AuditError
from auditor.model import names
from auditor.model.account import Account, parse_account_id
from auditor.paths import read_text
from auditor.policy import places
from auditor.targets import c7n
from auditor.targets.named import Named

E = TypeVar("E")
_HINT = (
    "write a list of accounts, each with an id and, if wanted, "
    "name, role_arn, external_id, profile, tags"
)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    name: str | None = None
    role_arn: Annotated[str, Named(names.ROLE_ARN)] | None = None
    external_id: Annotated[str, Named(names.EXTERNAL_ID)] | None = None
    profile: Annotated[str, Field(min_length=1)] | None = None
    tags: dict[str, str] | None = None

    @property
    def account(self) -> Account:
        """The account."""
        return Account(
            id=parse_account_id(self.id),
            name=self.name,
            role_arn=self.role_arn,
            external_id=self.external_id,
            profile=self.profile,
            tags=self.tags,
        )


_ENTRIES = TypeAdapter(list[_Entry], config=ConfigDict(defer_build=True))
"""Built when a file is read: most scans name no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedAccount:
    """One account as a file lists it."""

    account: Account
    place: str
    """`accounts.yaml:3:7`."""


def read_accounts(path: Path) -> list[Account]:
    """Return the accounts of the file as `read_placed` does, without their places."""
    return [each.account for each in read_placed(path)]


def read_placed(path: Path, *, partition: str = "aws") -> list[PlacedAccount]:
    """Return the accounts of the file; raise AuditError naming line and column of a mistake.

    `partition` is that of roles which are given by name, as c7n-org does.
    The file is a list, or a mapping whose `accounts` is the list, or c7n-org's `accounts.yml`.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AuditError(f"{path}: {reason}", hint="name a readable file after @") from None
    try:
        placed = places.parse(text)
    except places.YamlError as error:
        raise AuditError(f"{path}:{error.place}: {error}", hint=_HINT) from None
    if c7n.is_c7n(placed.data):
        return _read_c7n(path, placed, partition)
    data = placed.data
    prefix: places.Path = ()
    if isinstance(data, dict) and data.keys() == {"accounts"}:
        data, prefix = data["accounts"], ("accounts",)
    entries = _checked(path, placed, _ENTRIES, data, prefix, hint=_HINT)
    for index, entry in enumerate(entries):
        _check_role(path, placed, (*prefix, index, "role_arn"), entry.id, entry.role_arn)
    return _placed_accounts(path, placed, prefix, [entry.account for entry in entries])


def _placed_accounts(
    path: Path, placed: places.Placed, prefix: places.Path, accounts: list[Account]
) -> list[PlacedAccount]:
    return [
        PlacedAccount(account=account, place=f"{path}:{placed.at((*prefix, index))}")
        for index, account in enumerate(accounts)
    ]


def _read_c7n(path: Path, placed: places.Placed, partition: str) -> list[PlacedAccount]:
    prefix = ("accounts",)
    if not placed.data.get("accounts"):
        raise AuditError(f"{path}: no AWS accounts in it", hint=c7n.HINT)
    entries = _checked(path, placed, c7n.ENTRIES, placed.data["accounts"], prefix, hint=c7n.HINT)
    accounts = [entry.account(partition) for entry in entries]
    for index, account in enumerate(accounts):
        _check_role(path, placed, (*prefix, index, "role"), account.id, account.role_arn)
    return _placed_accounts(path, placed, prefix, accounts)


def _checked(
    path: Path,
    placed: places.Placed,
    entries: TypeAdapter[list[E]],
    data: object,
    prefix: places.Path,
    *,
    hint: str,
) -> list[E]:
    """Return the entries; raise AuditError naming line and column of the first mistake."""
    try:
        found = entries.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = placed.at((*prefix, *first["loc"]))
        raise AuditError(f"{path}:{place}: {_told(first)}", hint=hint) from None
    if not found:
        raise AuditError(f"{path}: no accounts in it", hint=hint)
    return found


def _check_role(
    path: Path, placed: places.Placed, where: places.Path, account_id: str, role_arn: str | None
) -> None:
    """Raise AuditError for a role of another account."""
    if role_arn is not None and role_arn.split(":")[4] != account_id:
        message = f"{where[-2]}.{where[-1]}: the role is not of account {account_id}"
        raise AuditError(
            f"{path}:{placed.at(where)}: {message}", hint="name a role of that account"
        )


def _told(first: Any) -> str:
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    told = f"{where}: {message}" if where else message
    if first["type"] == "string_type" and where.endswith("id"):
        told += " (put quotes around it: YAML reads it as a number)"
    return told
