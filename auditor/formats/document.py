"""The report document, schema version 1: the contract behind every format."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Instant = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", description="RFC 3339, in UTC"),
]
Count = Annotated[int, Field(ge=0)]
SeverityName = Literal["critical", "high", "medium", "low", "info"]
AccountIdText = Annotated[str, Field(pattern=r"^\d{12}$")]


class Part(BaseModel):
    """A closed object: members that the contract does not name are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(Part):
    """What wrote the report."""

    name: Literal["iamaudit"]
    version: str


class Policy(Part):
    """A policy that judged the run."""

    id: str
    title: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    params: dict[str, str]


class RunPart(Part):
    """The run."""

    id: str
    started_at: Instant
    finished_at: Instant | None = Field(description="null where the run was interrupted")
    now: Instant = Field(description="the instant that ages are measured from")
    source: Literal["live", "report"]
    partition: str
    caller_arn: str
    policies: list[Policy]
    api_calls: dict[str, Count] = Field(description="calls made, by action; retries count once")
    throttled: Count = Field(description="answers that told the tool to slow down")
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        description="SHA-256 of all that the store holds of the run; null where it is not sealed,"
        " is judged otherwise here, or key ids are masked"
    )


class AccountCounts(Part):
    """Accounts by outcome."""

    total: Count
    audited: Count
    partial: Count
    unreachable: Count
    skipped: Count


class Gap(Part):
    """What could not be judged for one reason, and the permission that would mend it."""

    rules: list[str] = Field(description="ids of the rules that could not be judged")
    keys: Count
    accounts: Count
    operation: str
    code: str
    message: str
    statement: dict[str, object] | None = Field(
        description="the IAM policy statement that would grant the operation, where it was denied"
    )


class CoveragePart(Part):
    """What was looked at, and what was not."""

    complete: bool
    accounts: AccountCounts
    users: Count
    keys: Count
    unknown_last_use: Count
    gaps: list[Gap]


class AccountError(Part):
    """One call that AWS refused or failed."""

    operation: str
    code: str
    message: str
    subject: str | None = Field(description="the user or key; null for the account as a whole")


class AccountPart(Part):
    """One account in scope."""

    id: AccountIdText
    name: str | None
    ou: str | None
    state: str | None
    outcome: Literal["audited", "partial", "unreachable", "skipped"]
    via: Literal["role", "role-short-policy", "role-no-policy", "caller"] | None
    role_arn: str | None
    credential_report_at: Instant | None
    users: Count
    keys: Count
    errors: list[AccountError]


class LastUsed(Part):
    """When, for which service and in which region a key was last used."""

    state: Literal["used", "never", "unknown"]
    at: Instant | None
    service: str | None
    region: str | None
    reason: str | None = Field(description="why it is unknown")


class Key(Part):
    """One access key."""

    account_id: AccountIdText
    user_name: str
    user_arn: str
    user_class: str | None = Field(description="null where what the class depends on is unknown")
    owner: str | None = Field(
        description="by the user's tag Owner; null where it has none, or its tags were not read"
    )
    access_key_id: str | None = Field(
        description="null for a root key, which may be known by its slot only, or not even by that"
    )
    slot: Literal[1, 2] | None
    status: Literal["Active", "Inactive", "Expired", "Unknown"]
    created_at: Instant | None
    age_days: Count | None
    idle_days: Count | None
    last_used: LastUsed
    violations: list[str] = Field(description="ids of the rules it breaks, open or exempt")


class FindingPart(Part):
    """One rule that a key breaks, is exempt from, or could not be judged by."""

    id: str
    rule_id: str
    title: str
    severity: SeverityName
    status: Literal["open", "exempt", "indeterminate"]
    account_id: AccountIdText
    user_name: str
    access_key_id: str | None
    message: str
    remedy: Literal["none", "rotate", "deactivate", "delete"]
    controls: list[str]
    exemption: str | None


class ExemptionPart(Part):
    """One exemption of the policies; expired and unused ones are among them."""

    policy: str
    rules: list[str] | None = Field(description="ids of the rules; null for every rule")
    where: dict[str, str | dict[str, str]] = Field(
        description="what it looks at, as written: account, ou, user, path, key, tags, when"
    )
    reason: str
    owner: str
    expires: str = Field(description="as written; a date counts to its end, UTC")
    state: Literal["active", "expired"] = Field(description="at the run's now")
    findings: Count = Field(description="findings that it exempted; an expired one exempts none")
    unread: Count = Field(
        description="findings that stay open because what it looks at could not be read"
    )


class OpenCounts(Part):
    """Open findings by severity."""

    critical: Count
    high: Count
    medium: Count
    low: Count
    info: Count


class Summary(Part):
    """Findings, counted."""

    open: OpenCounts
    exempt: Count
    indeterminate: Count


class ComplianceAccount(Part):
    """One control in one account."""

    id: AccountIdText
    passed: Count
    failed: Count
    exempt: Count
    indeterminate: Count


class Compliance(Part):
    """One control over the whole run, counted in keys or in accounts."""

    framework: str
    control: str
    unit: Literal["key", "account"]
    passed: Count
    failed: Count
    exempt: Count
    indeterminate: Count
    not_assessed: Count = Field(
        description="accounts in scope that were not, or not wholly, read; in accounts always"
    )
    accounts: list[ComplianceAccount]


class OutcomePart(Part):
    """How an action ended."""

    result: Literal["applied", "drifted", "refused", "unclear", "skipped"]
    reason: str
    at: Instant
    request_id: str | None
    new_access_key_id: str | None = Field(description="of a rotation: the key that was made")
    secret_in: str | None = Field(description="of a rotation: where its secret is")
    undone: bool


class PlannedAction(Part):
    """One change of one key."""

    id: str
    account_id: AccountIdText
    user_name: str
    user_arn: str
    access_key_id: str
    kind: Literal["deactivate", "delete", "rotate"]
    because: list[str] = Field(description="ids of the rules that it answers")
    expected: dict[str, object] = Field(description="the state that the key must still be in")
    reversible: bool
    outcome: OutcomePart | None = Field(description="null where it was not applied")


class HeldPart(Part):
    """What a rule proposes and the plan leaves alone."""

    account_id: AccountIdText
    user_name: str
    access_key_id: str | None
    kind: Literal["deactivate", "delete", "rotate"]
    because: list[str]
    reason: str


class PlanPart(Part):
    """The newest plan of the run, with what came of it."""

    id: str
    created_at: Instant
    expires_at: Instant
    sha256: str
    applicable: bool = Field(description="false where the run was judged at another time")
    actions: list[PlannedAction]
    held: list[HeldPart]


class BaselinePart(Part):
    """The earlier run that the changes are told from."""

    id: str
    started_at: Instant
    finished_at: Instant | None
    now: Instant
    same_policies: bool = Field(description="false: what changed may be the policies' doing")
    same_source: bool = Field(description="false: last uses were read otherwise then")


class KeyChanges(Part):
    """Keys, counted by change."""

    appeared: Count
    disappeared: Count
    changed: Count


class AccountChanges(Part):
    """Accounts whose outcome is another, and those of them that were read less far."""

    changed: Count
    worse: Count


class ChangesSummary(Part):
    """Changes, counted; what is open is new or still open."""

    new: OpenCounts
    resolved: OpenCounts
    still_open: OpenCounts = Field(description="open in both runs, changed or not")
    changed: Count
    not_looked_at: Count = Field(description="were open; the later run did not look")
    unjudged: Count = Field(description="verdicts that are missing now and were not then")
    keys: KeyChanges
    accounts: AccountChanges


class FindingBefore(Part):
    """What the earlier run said of a finding."""

    status: Literal["open", "exempt", "indeterminate"]
    severity: SeverityName
    title: str
    message: str


class FindingChange(Part):
    """One finding that is not as it was."""

    change: Literal["new", "changed", "resolved", "not_looked_at", "still_open"]
    id: str
    rule_id: str
    title: str
    severity: SeverityName
    account_id: AccountIdText
    user_name: str
    access_key_id: str | None
    message: str = Field(description="as the earlier run told it where the later one has none")
    status: Literal["open", "exempt", "indeterminate"] | None = Field(
        description="null where the later run has no such finding"
    )
    before: FindingBefore | None = Field(description="null where the earlier run had none")
    differs: list[str] = Field(description="which members changed: severity, status, …")
    reason: str | None = Field(description="why it came or went, where that can be told")


class KeyState(Part):
    """A key as one run saw it."""

    status: Literal["Active", "Inactive", "Expired", "Unknown"]
    last_used: Literal["used", "never", "unknown"]


class KeyChange(Part):
    """One key that came, went, changed its status, or was used for the first time."""

    change: Literal["appeared", "disappeared", "changed"]
    account_id: AccountIdText
    user_name: str
    access_key_id: str | None
    slot: Literal[1, 2] | None
    before: KeyState | None
    after: KeyState | None


class AccountChange(Part):
    """One account that was read further, or less far; null where it was not in scope."""

    id: AccountIdText
    name: str | None
    before: Literal["audited", "partial", "unreachable", "skipped"] | None
    after: Literal["audited", "partial", "unreachable", "skipped"] | None
    worse: bool


class ChangesPart(Part):
    """What changed since an earlier run."""

    baseline: BaselinePart
    summary: ChangesSummary
    findings: list[FindingChange] = Field(description="those still open are told by diff alone")
    keys: list[KeyChange]
    accounts: list[AccountChange]


class Report(Part):
    """A whole report, schema version 1."""

    schema_version: Literal[1]
    tool: Tool
    run: RunPart
    coverage: CoveragePart
    accounts: list[AccountPart]
    keys: list[Key]
    findings: list[FindingPart]
    exemptions: list[ExemptionPart]
    summary: Summary
    compliance: list[Compliance]
    plan: PlanPart | None
    changes: ChangesPart | None = Field(description="null where no earlier run was named")


class Difference(Part):
    """What `diff` writes: a later run, and what changed since an earlier one."""

    schema_version: Literal[1]
    tool: Tool
    run: RunPart
    changes: ChangesPart


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of `report.json`."""
    schema = Report.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
