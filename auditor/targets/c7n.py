"""The `accounts.yml` of c7n-org, Cloud Custodian's runner for many accounts."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from auditor.model import names
from auditor.model.account import Account, parse_account_id
from auditor.targets.named import Named

HINT = (
    "c7n-org's accounts.yml lists accounts, each with account_id in quotes, name, and role or"
    " profile"
)


OTHERS = frozenset({"projects", "subscriptions", "tenancies"})
"""Its lists of what other clouds have."""


def is_c7n(data: Any) -> bool:
    """Return whether the file is c7n-org's: by its `account_id`, where ours says `id`."""
    if not isinstance(data, dict):
        return False
    entries = data.get("accounts")
    if not isinstance(entries, list):
        return bool(data.keys() & OTHERS)
    theirs = any(isinstance(entry, dict) and "account_id" in entry for entry in entries)
    return theirs or bool(data.keys() & OTHERS)


def _one_role(value: Any) -> Any:
    """Take the only role of a list; c7n-org assumes several one by the other's credentials."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise ValueError("a chain of roles can't be followed: write the last, and let it trust you")
    return value[0]


class Entry(BaseModel):
    """One account; what else there is, as regions and vars, says nothing to us."""

    model_config = ConfigDict(extra="ignore", strict=True, defer_build=True)

    account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    name: str | None = None
    role: Annotated[
        Annotated[str, Named(names.ROLE_ARN, names.ROLE_NAME)] | None, BeforeValidator(_one_role)
    ] = None
    external_id: Annotated[str, Named(names.EXTERNAL_ID)] | None = None
    profile: Annotated[str, Field(min_length=1)] | None = None
    tags: list[str] | None = None

    def role_arn(self, partition: str) -> str | None:
        """Return the role's ARN: c7n-org takes a name for one of the account."""
        if self.role is None or self.role.startswith("arn:"):
            return self.role
        return f"arn:{partition}:iam::{self.account_id}:role/{self.role.removeprefix('/')}"

    def account(self, partition: str) -> Account:
        """Return the account; c7n-org does not use the profile where there is a role."""
        pairs = (tag.split(":", 1) for tag in self.tags or () if ":" in tag)
        return Account(
            id=parse_account_id(self.account_id),
            name=self.name,
            role_arn=self.role_arn(partition),
            external_id=self.external_id,
            profile=self.profile if self.role is None else None,
            tags=dict(pairs) or None,
        )


ENTRIES = TypeAdapter(list[Entry], config=ConfigDict(defer_build=True))
