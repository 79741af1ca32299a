"""Bars, as SVG that reads on light and dark paper."""

from collections.abc import Sequence
from html import escape

from bench.table import Row

_WIDTH, _LABEL, _BAR, _STEP, _TOP = 760, 160, 420, 26, 64
_TIME = "{:,.1f}"
_OURS, _OTHERS = "#0b7285", "#868e96"


def svg(title: str, rows: Sequence[Row]) -> str:
    """Return wall time and peak memory of each row, beside each other."""
    rows = [row for row in rows if row.sample.calls]
    panels = [
        ("wall time, seconds", [row.sample.wall for row in rows], _TIME),
        ("CPU a call, microseconds", [row.cpu_per_call for row in rows], "{:,.0f}"),
        ("peak memory, MiB", [row.sample.peak for row in rows], "{:,.0f}"),
    ]
    parts, top = [], _TOP
    for heading, values, form in panels:
        parts.append(_text(0, top, heading, weight="600"))
        top += 10
        for row, value in zip(rows, values, strict=True):
            parts.append(_bar(row, value, max(values), form, top))
            top += _STEP
        top += 34
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {_WIDTH} {top - 20}"'
            f' role="img" font-family="system-ui, sans-serif" font-size="13">',
            f"<title>{escape(title)}</title>",
            "<style>text{fill:#212529}@media(prefers-color-scheme:dark){text{fill:#e9ecef}}</style>",
            _text(0, 26, title, weight="700", size=16),
            *parts,
            "</svg>\n",
        ]
    )


def _bar(row: Row, value: float, largest: float, form: str, top: int) -> str:
    width = max(1.0, _BAR * value / largest)
    color = _OURS if row.name.startswith("iamaudit") else _OTHERS
    middle = top + 17
    about = "≈ " if row.part > 1 and form == _TIME else ""
    return (
        _text(_LABEL - 10, middle, row.name, anchor="end")
        + f'<rect x="{_LABEL}" y="{top + 4}" width="{width:.1f}" height="18" rx="2"'
        + f' fill="{color}"/>'
        + _text(_LABEL + width + 8, middle, about + form.format(value))
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400", size: int = 13
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
        f' font-size="{size}">{escape(text)}</text>'
    )
