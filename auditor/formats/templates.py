"""The Jinja environment that the templated formats share."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import orjson
from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    pass_eval_context,
    select_autoescape,
)
from jinja2.nodes import EvalContext
from markupsafe import Markup, escape

import auditor

HIDDEN = (
    r"\x00-\x1f\x7f-\x9f"  # C0 and C1 controls: terminal escapes, line breaks
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, overrides, isolates
    r"\u200b\u2028\u2029\ufeff"  # zero width, and line breaks that only some programs see
    r"\ud800-\udfff"  # halves of a surrogate pair
)
_HIDDEN = re.compile(f"[{HIDDEN}]")
_HIDDEN_IN_LINES = re.compile(rf"(?!\n)[{HIDDEN}]")
_MARKER = "report.html.j2"
_MARKUP = ((b"<", rb"\u003c"), (b">", rb"\u003e"), (b"&", rb"\u0026"), (b"'", rb"\u0027"))
"""What `tojson` escapes in JSON, so that it can stand in a page, and how."""
_BATCH = 64
"""Rows encoded at once; with twice as many, malloc gives their memory back to the system and
asks for it again each time, which costs more than the encoding."""


def template_root() -> Path:
    """Return the folder of the templates: in the package (a wheel), else beside it (editable).

    Raises `FileNotFoundError` where there is neither: the installation is broken.
    """
    package = Path(auditor.__file__).resolve().parent
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / _MARKER).is_file():
            return folder
    raise FileNotFoundError(package / "templates" / _MARKER)


def source(name: str) -> str:
    """Return the text of a file beside the templates, no template itself; lines end in LF."""
    return (template_root() / name).read_text(encoding="utf-8")


def printable(value: object) -> str:
    r"""Return `value` as text in which nothing is invisible or changes the reading direction.

    Control characters and bidirectional marks become escapes such as `\u202e`; None is a dash.
    """
    return "—" if value is None else _HIDDEN.sub(_escape, str(value))


def pretty_json(value: object) -> Markup:
    """Return `value` as escaped, indented JSON; it is still JSON with hidden characters shown."""
    return escape(_HIDDEN_IN_LINES.sub(_escape, dumps(value, indent=2)))


def instant(value: str | None) -> str:
    """Return an RFC 3339 time in UTC, to the second, as people read it."""
    return "—" if value is None else f"{value[:10]} {value[11:19]} UTC"


def number(value: int) -> str:
    """Return `value` with its thousands apart."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str = "") -> str:
    """Return `1 key`, `2 keys`: the number with its noun."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def dumps(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Return `value` as JSON, for the `tojson` filter: compact unless `indent` is given."""
    options = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    return orjson.dumps(value, option=options).decode()


def json_batches(rows: Iterable[object], between: str) -> Iterator[Markup]:
    """Yield the rows as `tojson` would, many at a time: one costs little, and few are held.

    `between` stands between two rows of a batch; what stands between batches is the template's.
    """
    remaining, comma = iter(rows), between.encode()
    while batch := list(islice(remaining, _BATCH)):
        text = comma.join(map(orjson.dumps, batch))
        for character, shown in _MARKUP:  # as bytes, which costs a third of doing it as text
            text = text.replace(character, shown)
        yield Markup(text.decode())  # noqa: S704 -- nothing in it is markup any more


def environment() -> Environment:
    """Return a new environment for our own templates.

    Templates named `*.html.j2` escape every expression, and show hidden characters of it, whether
    or not they say so. A name that the document lacks is an error, not an empty string.
    """
    templates = Environment(
        loader=FileSystemLoader(template_root()),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default_for_string=True),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.policies["json.dumps_function"] = dumps
    templates.policies["json.dumps_kwargs"] = {}
    templates.filters.update(
        printable=printable,
        pretty_json=pretty_json,
        json_batches=json_batches,
        instant=instant,
        number=number,
        count=count,
    )
    return templates


@cache
def reports() -> Environment:
    """Return the one environment of the reports: it keeps what it compiled."""
    return environment()


def compile_ahead(name: str) -> None:
    """Compile the templates of a report format, if it has any, so that writing it need not."""
    templates = reports()
    for each in templates.list_templates(extensions=["j2"]):
        if each.startswith("report") and each.endswith(f".{name}.j2"):
            templates.get_template(each)


@pass_eval_context
def _shown(context: EvalContext, value: object) -> object:
    """Make `printable` the rule in HTML; what is markup already (`tojson`, macros) passes."""
    if not context.autoescape or isinstance(value, Markup):
        return value
    return printable(value)


def _escape(hidden: re.Match[str]) -> str:
    return rf"\u{ord(hidden[0]):04x}"
