"""What is to be changed: a reviewed list of single keys, each with the state it must be in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from auditor.model.access_key import AccessKeyId, KeyStatus, LastUse
from auditor.model.account import AccountId
from auditor.model.tags import values_of


class ActionKind(StrEnum):
    """What is done to a key."""

    DEACTIVATE = "deactivate"
    ACTIVATE = "activate"
    """Only to undo: nothing that a policy says proposes it."""
    DELETE = "delete"
    ROTATE = "rotate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The state that the key was in when the plan was made."""

    status: KeyStatus
    created_at: datetime
    last_use: LastUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One change of one key."""

    id: str
    account_id: AccountId
    user_name: str
    user_arn: str
    access_key_id: AccessKeyId
    kind: ActionKind
    because: tuple[str, ...]
    """Ids of the rules that it answers."""
    expected: Expected

    @property
    def reversible(self) -> bool:
        """Whether undo can take it back."""
        return self.kind is not ActionKind.DELETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a rule proposes and the plan leaves alone."""

    account_id: AccountId
    user_name: str
    access_key_id: AccessKeyId | None
    kind: ActionKind
    because: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Whose keys are never touched, besides the caller's."""

    patterns: tuple[str, ...] = ()
    """Globs over user names and user ARNs."""
    tag: str | None = None
    """`KEY` or `KEY=VALUE`: users with this tag."""

    def by_tag(self, tags: Mapping[str, str]) -> bool:
        """Whether the tags of a user protect it; neither key nor value has a case here.

        A protection that is missed costs a key, so the value `True` protects where `true` is asked.
        """
        if self.tag is None:
            return False
        name, equals, value = self.tag.partition("=")
        found = values_of(tags, name)
        if not equals:
            return bool(found)
        return value.casefold() in {each.casefold() for each in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions that one run led to, and what was held."""

    id: str
    run_id: str
    created_at: datetime
    expires_at: datetime
    judged_at: datetime
    """The instant that the run was judged at."""
    scanned_at: datetime
    """The run's start; where it was judged at another instant, the plan is only to be looked at."""
    partition: str
    policies: Mapping[str, str] = field(hash=False)
    """SHA-256 of each policy, by its id."""
    protection: Protection
    actions: tuple[Action, ...]
    held: tuple[Held, ...]
    undoes: str | None = None
    """The plan that this one takes back."""
    run_digest: str | None = None
    """Of the run as the plan was made from it; None where the run was not sealed."""

    @property
    def applicable(self) -> bool:
        """Whether it was judged at the real time."""
        return self.judged_at == self.scanned_at
