"""The policy file, as written: apiVersion iamaudit/v1."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from auditor.model.finding import Remedy, Severity

API_VERSION = "iamaudit/v1"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Condition = Annotated[str, Field(min_length=1, max_length=4096)]
ParameterValue = bool | int | str | list[str]
Parameters = dict[ParameterName, ParameterValue]
Sentence = Annotated[str, Field(min_length=1, max_length=500)]


class Section(BaseModel):
    """A closed mapping: a key that the language does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ClassSection(Section):
    """A kind of user, with thresholds of its own; the first that matches wins."""

    name: Annotated[Name, Field(alias="class")]
    when: Condition
    params: Parameters = {}


class RuleSection(Section):
    """One rule."""

    id: Name
    title: Sentence
    severity: Annotated[Severity, Field(strict=False)]
    when: Condition
    remedy: Annotated[Remedy, Field(strict=False)] = Remedy.NONE
    controls: list[str] = []
    params: Parameters = {}


class ExemptionSection(Section):
    """Keys that a rule shall not count against, for a reason and for a time."""

    account: str = "*"
    ou: str | None = None
    user: str = "*"
    path: str | None = None
    key: str | None = None
    tags: dict[str, str] = {}
    when: Condition | None = None
    rules: list[Name] | None = None
    reason: Sentence
    owner: Sentence
    expires: date | datetime


class PolicyDocument(Section):
    """One policy file."""

    api_version: Annotated[Literal["iamaudit/v1"], Field(alias="apiVersion")]
    id: Name
    title: Sentence
    params: Parameters = {}
    classes: list[ClassSection] = []
    rules: Annotated[list[RuleSection], Field(min_length=1)]
    exemptions: list[ExemptionSection] = []
