"""What the operator asks for, parsed and checked once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TextIO, TypeAlias

from auditor.aws.connection import Connection
from auditor.errors import AuditError
from auditor.formats.stream import ReportStream
from auditor.formats.templates import compile_ahead
from auditor.formats.user_template import UserTemplate, read_template
from auditor.model.finding import Severity
from auditor.remediation.planner import Planning
from auditor.store.plan_file import NAME as PLAN_FILE

Write: TypeAlias = Callable[[ReportStream, TextIO], None]


def _module(name: str) -> ModuleType:
    return import_module(f"auditor.formats.{name}")


def _format(name: str) -> Write:
    """Return what writes a format: its module is imported when it does, as most are not wanted."""

    def write(document: ReportStream, out: TextIO) -> None:
        _module(name).write(document, out)

    return write


def get_ready(formats: Iterable[str]) -> None:
    """Do what writing the formats takes before the first row; it need not wait for the rows."""
    for name in formats:
        _module(name)
        compile_ahead(name)


FORMATS: dict[str, Write] = {
    "html": _format("html"),
    "json": _format("json"),
    "csv": _format("csv"),
    "markdown": _format("markdown"),
    "sarif": _format("sarif"),
    "ocsf": _format("ocsf"),
    "asff": _format("asff"),
    "junit": _format("junit"),
}
"""Every report format by its name; a new one is a module and a line here."""

SUFFIXES = {
    "markdown": "md",
    "ocsf": "ocsf.json",
    "asff": "asff.json",
    "junit": "junit.xml",
}
"""What the files of formats end in whose name does not say it."""

DEFAULT_FORMATS = ("html", "json")
DEFAULT_CONCURRENCY = 60


class Source(StrEnum):
    """Where the last use of keys is taken from."""

    LIVE = "live"
    """Asked for each key."""
    REPORT = "report"
    """The credential reports, up to four hours old; asked for only where they can't tell."""


class TransportName(StrEnum):
    """How accounts are read; the results are the same."""

    FAST = "fast"
    SDK = "sdk"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """One `iamaudit scan`, as asked for."""

    accounts: tuple[str, ...] = ("self",)
    exclude: tuple[str, ...] = ()
    connection: Connection
    policies: tuple[str, ...] = ("baseline",)
    source: Source = Source.LIVE
    transport: TransportName = TransportName.FAST
    concurrency: int = DEFAULT_CONCURRENCY
    workers: int | None = None
    """Processes to read with, started for the scan; None: this one."""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers are to read."""
    formats: tuple[str, ...] = DEFAULT_FORMATS
    templates: tuple[UserTemplate, ...] = ()
    """The user's own reports."""
    mask_keys: bool = False
    """Whether reports and the summary show access key ids in part only."""
    output: Path
    fail_on: Severity | None
    """None: findings never fail the run."""
    now: datetime | None = None
    """The instant to judge at; None: the start of the scan."""
    baseline: str | None = None
    """The earlier run to compare with: an id, or latest."""
    resume: str | None = None
    """The run to go on with: an id, or latest."""
    only_new: bool = False
    """Whether only what is new since then fails the run."""
    planning: Planning | None = None
    """What a plan may do, where one is wanted."""

    @property
    def from_report(self) -> bool:
        """Whether last uses are taken from the credential reports."""
        return self.source is Source.REPORT


def parse_instant(text: str) -> datetime:
    """Return an ISO 8601 date or time in UTC, no zone meaning UTC; raise AuditError."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (OverflowError, ValueError):
        raise AuditError(
            f"--now: {text!r} is not a time", hint="write it as 2026-01-31T12:00:00Z"
        ) from None


def parse_fail_on(text: str) -> Severity | None:
    """Return the severity, or None for `never`; raise AuditError."""
    if text == "never":
        return None
    try:
        return Severity(text)
    except ValueError:
        raise AuditError(
            f"--fail-on: {text!r} is no severity",
            hint=f"write one of {', '.join(Severity)} or never",
        ) from None


def check_only_new(*, only_new: bool, baseline: str | None) -> None:
    """Raise AuditError where nothing says what is old."""
    if only_new and baseline is None:
        raise AuditError(
            "--only-new: new since when?", hint="name an earlier run: --baseline latest, or its id"
        )


def parse_formats(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names, each once; raise AuditError for one that is no format."""
    for name in names:
        if name not in FORMATS:
            raise AuditError(
                f"--format: there is no format {name!r}", hint=f"write one of {', '.join(FORMATS)}"
            )
    return tuple(dict.fromkeys(names))


def report_file(name: str) -> str:
    """Return the file name of a format's report."""
    return f"report.{SUFFIXES.get(name, name)}"


def parse_templates(paths: Sequence[Path]) -> tuple[UserTemplate, ...]:
    """Read the user's templates; raise AuditError for one that can't be used."""
    templates = tuple(map(read_template, paths))
    taken = {PLAN_FILE, *map(report_file, FORMATS)}
    for template in templates:
        if template.name in taken:
            raise AuditError(
                f"--template: {template.path} would write {template.name}, which is taken",
                hint="name the template otherwise",
            )
        taken.add(template.name)
    return templates
