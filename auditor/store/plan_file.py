"""plan.json: a plan as a file, and the digest that ties it to the store it was made in."""

import hashlib
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from auditor.errors import AuditError
from auditor.model.access_key import AccessKeyId, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import AccountId
from auditor.model.plan import Action, ActionKind, Expected, Held, Plan, Protection
from auditor.model.unknown import Unknown
from auditor.store.damage import changed
from auditor.store.encoding import load_mapping
from auditor.store.trusted import read_trusted

NAME = "plan.json"
_LARGEST = 512 * 1024 * 1024
"""Bytes: what is held counts, and of a million keys that may be all."""
Kind = Literal["deactivate", "activate", "delete", "rotate"]


class Part(BaseModel):
    """A closed object: members that the contract does not name are errors."""

    # Every run imports this module, and few read a plan from a file.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class LastUsedPart(Part):
    """The last use of a key, as the plan saw it."""

    state: Literal["used", "never", "unknown"]
    at: AwareDatetime | None
    service: str | None
    region: str | None
    operation: str | None = Field(description="why it is unknown: the action that did not tell")
    code: str | None = Field(description="why it is unknown")


class ExpectedPart(Part):
    """The state that the key must still be in."""

    status: Literal["Active", "Inactive", "Expired"]
    created_at: AwareDatetime
    last_used: LastUsedPart


class ActionPart(Part):
    """One change of one key."""

    id: str
    account_id: Annotated[str, Field(pattern=r"^\d{12}$")]
    user_name: str
    user_arn: str
    access_key_id: str
    kind: Kind
    because: list[str] = Field(description="ids of the rules that it answers")
    expected: ExpectedPart
    reversible: bool


class HeldPart(Part):
    """What a rule proposes and the plan leaves alone."""

    account_id: Annotated[str, Field(pattern=r"^\d{12}$")]
    user_name: str
    access_key_id: str | None
    kind: Kind
    because: list[str]
    reason: str


class ProtectionPart(Part):
    """Whose keys are never touched, besides the caller's."""

    patterns: list[str]
    tag: str | None


class PlanFile(Part):
    """A plan, schema version 1."""

    schema_version: Literal[1]
    id: str
    run: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    judged_at: AwareDatetime
    scanned_at: AwareDatetime
    partition: str
    policies: dict[str, str] = Field(description="SHA-256 of each policy, by its id")
    protection: ProtectionPart
    actions: list[ActionPart]
    held: list[HeldPart]
    undoes: str | None = Field(description="the plan that this one takes back")
    run_digest: str | None = Field(
        default=None, description="SHA-256 of the run it was made from; its report.json has it, too"
    )
    sha256: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="over the other members as JSON with sorted keys, without spaces, in UTF-8",
        ),
    ]


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain data, with its digest."""
    content: dict[str, Any] = {
        "schema_version": 1,
        "id": plan.id,
        "run": plan.run_id,
        "created_at": _instant(plan.created_at),
        "expires_at": _instant(plan.expires_at),
        "judged_at": _instant(plan.judged_at),
        "scanned_at": _instant(plan.scanned_at),
        "partition": plan.partition,
        "policies": dict(plan.policies),
        "protection": {"patterns": list(plan.protection.patterns), "tag": plan.protection.tag},
        "actions": [_action(action) for action in plan.actions],
        "held": [_held(each) for each in plan.held],
        "undoes": plan.undoes,
        "run_digest": plan.run_digest,
    }
    return {**content, "sha256": digest(content)}


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the canonical form of all members but the digest itself."""
    members = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).hexdigest()


def render(plan: Plan) -> str:
    """Return the file's text, for people to review."""
    return orjson.dumps(document(plan), option=orjson.OPT_INDENT_2).decode() + "\n"


def read(path: Path) -> tuple[Plan, str]:
    """Return the plan of a file and its digest; raise AuditError where it was changed.

    Nor is it read where another user may have written it.
    """
    try:
        text = read_trusted(path, largest=_LARGEST)
    except OSError as error:
        raise AuditError(
            f"{path} can't be read: {error.strerror}",
            hint="name a plan by its id, or its plan.json",
        ) from None
    return parse(text, source=str(path))


def parse(text: bytes | str, *, source: str) -> tuple[Plan, str]:
    """Return the plan and its digest; raise AuditError."""
    try:
        content = orjson.loads(text)
        part = PlanFile.model_validate(content)
    except (orjson.JSONDecodeError, ValidationError):
        raise AuditError(f"{source} is no plan", hint="make one with iamaudit plan") from None
    if digest(content) != part.sha256:
        raise AuditError(
            f"{source} is not as it was written: its digest does not fit",
            hint="never edit a plan: plan again with --only, --limit or --protect",
        )
    return _parsed(part), part.sha256


def parse_row(row: sqlite3.Row) -> Plan:
    """Return the plan of a row of the store; raise AuditError where it is not as it was made."""
    check_row(row)
    return parse(row["document"], source=f"plan {row['id']}")[0]


def check_row(row: sqlite3.Row) -> None:
    """Raise AuditError where the row of a plan does not agree with itself."""
    content = load_mapping(row["document"])
    told = {name: content.get(member) for name, member in _COLUMNS.items()}
    if digest(content) != row["sha256"] or any(row[name] != told[name] for name in told):
        raise changed(f"plan {row['id']} is not as it was made")


_COLUMNS = {
    "id": "id", "run_id": "run", "created_at": "created_at", "undoes": "undoes", "sha256": "sha256",
}  # fmt: skip
"""The columns of the table that repeat a member of the document."""


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a plan."""
    schema = PlanFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _action(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "account_id": action.account_id,
        "user_name": action.user_name,
        "user_arn": action.user_arn,
        "access_key_id": action.access_key_id,
        "kind": action.kind.value,
        "because": list(action.because),
        "expected": {
            "status": action.expected.status.value,
            "created_at": _instant(action.expected.created_at),
            "last_used": _last_used(action.expected.last_use),
        },
        "reversible": action.reversible,
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "account_id": held.account_id,
        "user_name": held.user_name,
        "access_key_id": held.access_key_id,
        "kind": held.kind.value,
        "because": list(held.because),
        "reason": held.reason,
    }


def _last_used(use: LastUse) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(LastUsedPart.model_fields)
    match use:
        case Used(at=at, service=service, region=region):
            found |= {"state": "used", "at": _instant(at), "service": service, "region": region}
        case NeverUsed():
            found |= {"state": "never"}
        case Unknown(operation=operation, code=code):
            found |= {"state": "unknown", "operation": operation, "code": code}
    return found


def _parsed(part: PlanFile) -> Plan:
    return Plan(
        id=part.id,
        run_id=part.run,
        created_at=part.created_at,
        expires_at=part.expires_at,
        judged_at=part.judged_at,
        scanned_at=part.scanned_at,
        partition=part.partition,
        policies=part.policies,
        protection=Protection(patterns=tuple(part.protection.patterns), tag=part.protection.tag),
        actions=tuple(_parsed_action(each) for each in part.actions),
        held=tuple(
            Held(
                account_id=AccountId(each.account_id),
                user_name=each.user_name,
                access_key_id=None
                if each.access_key_id is None
                else AccessKeyId(each.access_key_id),
                kind=ActionKind(each.kind),
                because=tuple(each.because),
                reason=each.reason,
            )
            for each in part.held
        ),
        undoes=part.undoes,
        run_digest=part.run_digest,
    )


def _parsed_action(part: ActionPart) -> Action:
    return Action(
        id=part.id,
        account_id=AccountId(part.account_id),
        user_name=part.user_name,
        user_arn=part.user_arn,
        access_key_id=AccessKeyId(part.access_key_id),
        kind=ActionKind(part.kind),
        because=tuple(part.because),
        expected=Expected(
            status=KeyStatus(part.expected.status),
            created_at=part.expected.created_at,
            last_use=_parsed_use(part.expected.last_used),
        ),
    )


def _parsed_use(part: LastUsedPart) -> LastUse:
    if part.state == "used" and part.at is not None:
        return Used(at=part.at, service=part.service or "", region=part.region or "")
    if part.state == "never":
        return NeverUsed()
    return Unknown(operation=part.operation or "", code=part.code or "")


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
