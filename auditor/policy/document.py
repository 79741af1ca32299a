"""The policy file, as written: apiVersion iamaudit/v1."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from auditor.model.finding import Remedy, Severity

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]*$", max_length=64)]
PolicyId = RuleId
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Condition = Annotated[str, Field(min_length=1, max_length=4096)]
ParameterValue = bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | str | list[str]
Parameters = Annotated[dict[ParameterName, ParameterValue], Field(max_length=200)]
Sentence = Annotated[str, Field(pattern=r"\S", max_length=500)]


class Section(BaseModel):
    """A closed mapping: a key that the language does not know is a mistake."""

    # Built as parts of the document's, and not by themselves before.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class ClassSection(Section):
    """A kind of user, with thresholds of its own; the first that matches wins."""

    name: Annotated[Name, Field(alias="class")]
    when: Condition
    params: Parameters = {}


class RuleSection(Section):
    """One rule; where its id is one of the extended policy's, what it says replaces that."""

    id: RuleId
    title: Sentence | None = None
    severity: Annotated[Severity | None, Field(strict=False)] = None
    when: Condition | None = None
    remedy: Annotated[Remedy | None, Field(strict=False)] = None
    controls: list[str] | None = None
    params: Parameters = {}
    """Values for this rule alone."""
    classes: dict[Name, Parameters] = {}
    """Values for this rule in one class of users, by the class's name."""
    enabled: bool = True


class ExemptionSection(Section):
    """Keys that a rule shall not count against, for a reason and for a time."""

    account: str | None = None
    ou: str | None = None
    user: str | None = None
    path: str | None = None
    key: str | None = None
    tags: dict[str, str] = {}
    when: Condition | None = None
    rules: list[RuleId] | None = None
    reason: Sentence
    owner: Sentence
    expires: date | datetime


class PolicyDocument(Section):
    """A policy file, apiVersion iamaudit/v1."""

    api_version: Annotated[Literal["iamaudit/v1"], Field(alias="apiVersion")]
    id: PolicyId
    title: Sentence
    description: Annotated[str, Field(max_length=4000)] = ""
    extends: PolicyId | None = None
    """A pack of ours whose parameters, classes and rules are taken over."""
    params: Parameters = {}
    classes: list[ClassSection] = []
    rules: list[RuleSection] = []
    exemptions: list[ExemptionSection] = []


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a policy file, for editors."""
    schema = PolicyDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
