"""The table in docs/reliability.md, written by what was measured."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.kinds import Fault

if TYPE_CHECKING:
    from tests.faults.figures import Figures

_ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = _ROOT / "docs/reliability.md"
FUZZ, MUTATION = _ROOT / "tests/fuzz.json", _ROOT / "tests/mutation.json"
"""What `make fuzz` and `make mutation` left; what is not there is called not measured."""
_NOT = "not measured"


def write(figures: "Figures") -> None:
    """Renew the block of the document."""
    block = f"<!-- begin measured -->\n{table(figures)}\n<!-- end measured -->"
    text = DOCUMENT.read_text()
    pattern = r"<!-- begin measured -->.*?<!-- end measured -->"
    DOCUMENT.write_text(re.sub(pattern, lambda _: block, text, flags=re.DOTALL))


def table(figures: "Figures") -> str:
    """Return the figures as Markdown."""
    fuzz, mutation = _read(FUZZ), _read(MUTATION)
    wrong = figures.wrong
    rows = {
        "schedules of faults": figures.schedules,
        "runs": ", ".join(f"{n} {name}" for name, n in sorted(figures.runs.items())),
        "actions of plans, and how they ended": _ended(figures.actions),
        "between plan and apply, or apply and undo": _meanwhile(figures.meanwhile),
        "changes of the organization meanwhile": figures.changes,
        "requests struck by a fault": figures.faults.total(),
        "wrong results": wrong["wrong"],
        "lost records": wrong["lost"],
        "false claims": wrong["claim"],
        "tracebacks": wrong["traceback"],
        "stray tasks, sockets or files": wrong["leak"],
        "longest run": f"{figures.longest:.1f} s",
        "scans stopped by Ctrl-C, SIGTERM or SIGHUP, then resumed": figures.interrupted,
        "scans killed (kill -9), then resumed": figures.killed,
        "longest time to stop after a signal": f"{figures.longest_stop:.2f} s",
        "bad inputs tried": fuzz.get("inputs", _NOT),
        "of them, ended in a traceback": fuzz.get("tracebacks", _NOT),
        "mutation score": _score(mutation),
    }
    lines = ["| what | measured |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]
    kinds = sorted(Fault, key=lambda fault: str(fault).lower())
    struck = [f"| {fault} | {figures.faults[str(fault)]} |" for fault in kinds]
    at = f"Measured {datetime.now(UTC):%Y-%m-%d}, by `make soak`."
    return "\n".join([at, "", *lines, "", "| fault | requests struck |", "|---|---|", *struck])


def _ended(actions: Counter[str]) -> str:
    """Return `deactivate: 12 applied, 1 drifted; delete: …`."""
    kinds: dict[str, list[str]] = {}
    for name, number in sorted(actions.items()):
        kind, _, result = name.partition(": ")
        kinds.setdefault(kind, []).append(f"{number} {result}")
    return "; ".join(f"{kind}: {', '.join(ended)}" for kind, ended in kinds.items())


def _meanwhile(happened: Counter[str]) -> str:
    """Return what was done between the steps of a run, but for nothing at all."""
    return ", ".join(f"{n} {what}" for what, n in sorted(happened.items()) if what != "nothing")


def _read(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
    return found


def _score(found: dict[str, Any]) -> str:
    """Return the share that was killed; those that nobody can see count against it here."""
    if not found:
        return _NOT
    killed, mutants, made = found["killed"], found["mutants"], found["of_all"]
    return f"{killed / mutants:.1%} ({killed} of {mutants} mutants, drawn from {made})"
