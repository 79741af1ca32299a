"""The user's own Jinja template over the report document, in a sandbox.

A template sees the document and nothing else: it can't change it, reach Python behind it, or load
files from outside its own folder. It is bounded in time and memory.
"""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from auditor.errors import AuditError
from auditor.formats.bounded import Bounds, TooLongError, bounded
from auditor.formats.overview import verdict
from auditor.formats.stream import ChangesStream, ReportStream, Row
from auditor.formats.templates import instant, number
from auditor.formats.visible import VisibleReport
from auditor.paths import read_text

SUFFIX = ".j2"
BOUNDS = Bounds()
_MARKUP = (".html", ".htm", ".xml")
_FAILURES = (
    TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError,
    TypeError, ValueError,
)  # fmt: skip
"""What the expressions of a template raise."""
_HINT = "docs/templates.md lists what a template may use"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTemplate:
    """A template that was read and found to be one."""

    path: Path
    bounds: Bounds
    _template: Template = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The report's file name: the template's, without .j2."""
        return self.path.name.removesuffix(SUFFIX)

    def write(self, document: ReportStream, out: TextIO) -> None:
        """Write the report piece by piece; raise AuditError where the template fails.

        For the main thread.
        """
        pieces = self._template.generate(_names(VisibleReport(document)))
        left = self.bounds.text
        with _in_bounds(self.path, self.bounds):
            while (piece := _next(pieces, self.path)) is not None:
                left -= len(piece)
                if left < 0:
                    raise _beyond(self.path, f"writes more than {self.bounds.text:,} characters")
                out.write(piece)


def read_template(path: Path, bounds: Bounds = BOUNDS) -> UserTemplate:
    """Read a template; raise AuditError where there is none, or its syntax is wrong.

    For the main thread.
    """
    if path.suffix != SUFFIX or not path.stem.strip("."):
        raise AuditError(
            f"--template: {path} does not end in {SUFFIX}",
            hint="name it after its report: summary.txt.j2 makes summary.txt",
        )
    templates = _environment(path.parent)
    try:
        with _in_bounds(path, bounds):  # Jinja works out now what is constant
            template = templates.get_template(path.name)
        return UserTemplate(path=path, bounds=bounds, _template=template)
    except TemplateNotFound:
        raise AuditError(
            f"--template: {path} can't be read",
            hint="check that it exists, is text, and no link out of its folder",
        ) from None
    except (*_FAILURES, SyntaxError) as error:
        raise _failed(path, error) from None


def _next(pieces: Iterator[str], path: Path) -> str | None:
    try:
        return next(pieces, None)
    except MemoryError:
        raise
    except _FAILURES as error:
        raise _failed(path, error) from None


@contextmanager
def _in_bounds(path: Path, bounds: Bounds) -> Iterator[None]:
    """Raise AuditError where the template inside takes more than it may."""
    try:
        with bounded(bounds):
            yield
    except TooLongError as error:
        told = f"takes more than {bounds.seconds:g} seconds of the processor"
        raise _beyond(path, told, error) from None
    except MemoryError as error:
        raise _beyond(path, f"needs more than {bounds.memory:,} bytes", error) from None


class _Rows:
    """A list of the document that is read anew each time it is gone through."""

    def __init__(self, rows: Callable[[], Iterator[Row]]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return self._rows()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


def _names(document: ReportStream) -> dict[str, object]:
    """Return what templates see: the members of report.json, the verdict and the rules."""
    run, coverage, summary = document.run(), document.coverage(), document.summary()
    told = verdict(run=run, coverage=coverage, summary=summary)
    return {
        "schema_version": 1,
        "tool": document.tool(),
        "run": run,
        "verdict": {"found": told.found, "looked": told.looked, "complete": told.complete},
        "coverage": coverage,
        "accounts": _Rows(document.accounts),
        "keys": _Rows(document.keys),
        "findings": _Rows(document.findings),
        "exemptions": _Rows(document.exemptions),
        "summary": summary,
        "compliance": _Rows(document.compliance),
        "rules": document.rules(),
        "plan": document.plan(),
        "changes": _changes(document.changes()),
    }


def _changes(changes: ChangesStream | None) -> dict[str, object] | None:
    if changes is None:
        return None
    return {
        "baseline": changes.baseline(),
        "summary": changes.summary(),
        "findings": _Rows(changes.findings),
        "keys": _Rows(changes.keys),
        "accounts": _Rows(changes.accounts),
    }


class _Sandbox(ImmutableSandboxedEnvironment):
    """Reads members of the document before methods: `coverage.keys` is a number."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class _OneFolder(BaseLoader):
    """Loads templates of one folder, and nothing that a link in it leads to elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        path = self._folder / template
        try:
            if not path.resolve().is_relative_to(self._folder):
                raise TemplateNotFound(template)
            return read_text(path), str(path), None
        except (OSError, ValueError):  # among them: not UTF-8
            raise TemplateNotFound(template) from None


def _environment(folder: Path) -> Environment:
    templates = _Sandbox(
        loader=_OneFolder(folder),
        autoescape=_is_markup,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.policies["json.dumps_function"] = json.dumps
    templates.policies["json.dumps_kwargs"] = {"default": _plain, "ensure_ascii": False}
    templates.filters.update(instant=instant, number=number)
    return templates


def _is_markup(name: str | None) -> bool:
    return name is not None and name.removesuffix(SUFFIX).lower().endswith(_MARKUP)


def _plain(rows: object) -> list[Row]:
    """Return for `tojson` a list of the document as a list."""
    if isinstance(rows, _Rows):
        return list(rows)
    raise TypeError(f"{type(rows).__name__} has no form in JSON")


def _failed(path: Path, error: BaseException) -> AuditError:
    """Return the error with the template's line, as one line."""
    place = _place(path, error)
    told = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TemplateNotFound):
        told = f"{told!r} can't be read, or is not in the folder of the template"
    return AuditError(f"--template: {place}: {told}", hint=_HINT)


def _beyond(path: Path, told: str, error: BaseException | None = None) -> AuditError:
    """Return that a template goes beyond its bounds."""
    place = str(path) if error is None else _place(path, error)
    return AuditError(f"--template: {place}: it {told}", hint="mend what it repeats or joins")


def _place(path: Path, error: BaseException) -> str:
    """Return where in the template an error struck; its file alone where that can't be told."""
    place, folder = str(path), path.parent.resolve()
    if isinstance(error, TemplateSyntaxError):
        return f"{_name(error.filename, path)}:{error.lineno}"
    for frame in traceback.extract_tb(error.__traceback__):
        file = Path(frame.filename)
        if file.is_relative_to(folder) and file.suffix != ".py":
            place = f"{_name(frame.filename, path)}:{frame.lineno}"
    return place


def _name(filename: str | None, path: Path) -> str:
    """Return a template's file, its folder as the user wrote it."""
    folder = path.parent.resolve()
    return str(path.parent / Path(filename or folder / path.name).relative_to(folder))
