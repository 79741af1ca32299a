"""`iamaudit schema`: the contract of report.json."""

import json

import typer

from auditor.formats.document import json_schema


def schema() -> None:
    """Print the JSON Schema of report.json."""
    typer.echo(json.dumps(json_schema(), indent=2))
