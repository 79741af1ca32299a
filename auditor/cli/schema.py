"""`iamaudit schema`: the contracts of the files that we write and read."""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from auditor.formats import document
from auditor.policy import cases
from auditor.policy import document as policy
from auditor.store import plan_file


class Subject(StrEnum):
    """What there is a schema of."""

    REPORT = "report"
    POLICY = "policy"
    POLICY_TEST = "policy-test"
    PLAN = "plan"


_SCHEMAS: dict[Subject, Callable[[], dict[str, object]]] = {
    Subject.REPORT: document.json_schema,
    Subject.POLICY: policy.json_schema,
    Subject.POLICY_TEST: cases.json_schema,
    Subject.PLAN: plan_file.json_schema,
}


def schema(
    subject: Annotated[
        Subject, typer.Argument(help="of report.json, or of a file that you write")
    ] = Subject.REPORT,
) -> None:
    """Print a JSON Schema: of report.json, plan.json, a policy, or tests of a policy."""
    typer.echo(json.dumps(_SCHEMAS[subject](), indent=2))
