"""report.json: the document by its schema, rendered by a Jinja template, row by row."""

from typing import TextIO

from auditor.formats.stream import ReportStream
from auditor.formats.templates import environment

_TEMPLATE = "report.json.j2"
_BUFFERED = 64


def write(document: ReportStream, out: TextIO) -> None:
    """Write the whole document, holding one row of it at a time."""
    page = environment().get_template(_TEMPLATE).stream(document=document)
    page.enable_buffering(_BUFFERED)
    for text in page:
        out.write(text)
