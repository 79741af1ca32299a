"""report.json: the document by its schema, rendered by a Jinja template, a few rows at a time."""

from typing import TextIO

from auditor.formats.stream import ReportStream
from auditor.formats.templates import reports

_TEMPLATE = "report.json.j2"


def write(document: ReportStream, out: TextIO) -> None:
    """Write the whole document, holding a few rows of it at a time."""
    for text in reports().get_template(_TEMPLATE).generate(document=document):
        out.write(text)
