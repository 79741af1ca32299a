"""What a scenario found, and how it is told."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.measure import Sample

_WHOLE = 1000
"""From here on, digits after the point say nothing."""
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians of one contender."""

    name: str
    runs: int
    sample: Sample
    part: int = 1
    """The runs were on one part in so many of the accounts; `sample` is scaled up to all."""

    @property
    def cpu_per_call(self) -> float:
        """Return microseconds; 0 where there were no calls."""
        return self.sample.cpu / self.sample.calls * 1e6 if self.sample.calls else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A number that must be shown, and the most or the least it may be."""

    name: str
    value: float
    target: float
    unit: str = ""
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is met."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        """Return one line."""
        bound = "at least" if self.at_least else "at most"
        unit = f" {self.unit}" if self.unit else ""
        verdict = "ok" if self.ok else "NOT ok"
        value, target = _number(self.value), _number(self.target)
        return f"{self.name}: {value}{unit} ({bound} {target}{unit}) {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scenario."""

    id: str
    title: str
    rows: Sequence[Row] = ()
    checks: Sequence[Check] = ()
    skipped: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        checks = [asdict(check) | {"ok": check.ok} for check in self.checks]
        return asdict(self) | {"checks": checks}


HEADER = ("", "wall", "CPU", "CPU a call", "peak", "calls", "throttled", "runs")


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the rows as text, each number with its ratio to the first row's."""
    return [_cells(row, rows[0]) for row in rows]


def _cells(row: Row, base: Row) -> tuple[str, ...]:
    mine, its = row.sample, base.sample
    per_call = f"{row.cpu_per_call:,.0f} µs{_ratio(row.cpu_per_call, base.cpu_per_call)}"
    if not mine.calls:
        per_call = "-"
    about = "≈ " if row.part > 1 else ""
    return (
        row.name,
        f"{about}{mine.wall:.2f} s{_ratio(mine.wall, its.wall)}",
        f"{about}{mine.cpu:.2f} s{_ratio(mine.cpu, its.cpu)}",
        per_call,
        f"{mine.peak:,.0f} MiB{_ratio(mine.peak, its.peak)}",
        f"{about}{mine.calls:,.0f}",
        f"{mine.throttled:,.0f}",
        str(row.runs) if row.part == 1 else f"{row.runs}, 1/{row.part} of it",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE or value == int(value) else f"{value:.2f}"


def _ratio(mine: float, its: float) -> str:
    return f" ({mine / its:.2f}{TIMES})" if its else ""


def plain(result: Result) -> str:
    """Return the result for a terminal."""
    lines = [f"\n{result.id}) {result.title}"]
    if result.rows:
        table = [HEADER, *cells(result.rows)]
        widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
        for line in table:
            parts = zip(line[1:], widths[1:], strict=True)
            first = line[0].ljust(widths[0])
            lines.append("  ".join(["  " + first, *(text.rjust(width) for text, width in parts)]))
    lines += [f"  {check}" for check in result.checks]
    lines += [f"  skipped: {reason}" for reason in result.skipped]
    return "\n".join(lines)


def markdown(result: Result) -> str:
    """Return the result for a document."""
    lines = [f"### {result.title}", ""]
    if result.rows:
        lines += [_line(HEADER), _line(["---", *["--:"] * (len(HEADER) - 1)])]
        lines += [*(_line(each) for each in cells(result.rows)), ""]
    lines += [f"- {check}" for check in result.checks]
    lines += [f"- skipped: {reason}" for reason in result.skipped]
    return "\n".join(lines).rstrip() + "\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
