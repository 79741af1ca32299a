"""The table in docs/reliability.md, written by what was measured."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.kinds import Fault

if TYPE_CHECKING:
    from tests.faults.soak import Figures

_DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, ELSEWHERE = _DOCS / "reliability.md", _DOCS / "reliability.json"
"""The document, and what other measurements left for it: `{"mutation": {"mutants", "killed"},
"bad_inputs": {"tried", "tracebacks"}}`; what is not there is called not measured."""
_NOT = "not measured"


def write(figures: "Figures") -> None:
    """Renew the block of the document."""
    block = f"<!-- begin measured -->\n{table(figures)}\n<!-- end measured -->"
    text = DOCUMENT.read_text()
    pattern = r"<!-- begin measured -->.*?<!-- end measured -->"
    DOCUMENT.write_text(re.sub(pattern, lambda _: block, text, flags=re.DOTALL))


def table(figures: "Figures") -> str:
    """Return the figures as Markdown."""
    elsewhere = json.loads(ELSEWHERE.read_text()) if ELSEWHERE.exists() else {}
    wrong = figures.wrong
    rows = {
        "schedules of faults": figures.schedules,
        "runs": ", ".join(f"{n} {name}" for name, n in sorted(figures.runs.items())),
        "changes of the organization meanwhile": figures.changes,
        "requests struck by a fault": figures.faults.total(),
        "wrong results": wrong["wrong"],
        "lost records": wrong["lost"],
        "false claims": wrong["claim"],
        "tracebacks": wrong["traceback"],
        "stray tasks, sockets or files": wrong["leak"],
        "longest run": f"{figures.longest:.1f} s",
        "scans interrupted by Ctrl-C, then resumed": figures.interrupted,
        "scans killed (kill -9), then resumed": figures.killed,
        "longest time to stop after Ctrl-C": f"{figures.longest_stop:.2f} s",
        "bad inputs tried": _of(elsewhere, "bad_inputs", "tried"),
        "of them, ended in a traceback": _of(elsewhere, "bad_inputs", "tracebacks"),
        "mutation score": _score(elsewhere),
    }
    lines = ["| what | measured |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]
    kinds = sorted(Fault, key=lambda fault: str(fault).lower())
    struck = [f"| {fault} | {figures.faults[str(fault)]} |" for fault in kinds]
    at = f"Measured {datetime.now(UTC):%Y-%m-%d}, by `make soak`."
    return "\n".join([at, "", *lines, "", "| fault | requests struck |", "|---|---|", *struck])


def _of(elsewhere: dict[str, Any], part: str, name: str) -> object:
    return elsewhere.get(part, {}).get(name, _NOT)


def _score(elsewhere: dict[str, Any]) -> str:
    found = elsewhere.get("mutation")
    if not found:
        return _NOT
    killed, mutants = found["killed"], found["mutants"]
    return f"{killed / mutants:.0%} ({killed} of {mutants} mutants)"
