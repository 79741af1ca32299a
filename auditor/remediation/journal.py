"""What the journal says of an action."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from auditor.model.outcome import JournalLine, Outcome, Result, Step
from auditor.model.plan import ActionKind

Lines = Sequence[JournalLine]

CUT_OFF = "it was cut off: apply the plan with --resume to find out"


def by_action(lines: Iterable[JournalLine]) -> dict[str, list[JournalLine]]:
    """Return the lines of each action, in order."""
    found: dict[str, list[JournalLine]] = {}
    for line in lines:
        found.setdefault(line.action_id, []).append(line)
    return found


def detail(outcome: Outcome) -> dict[str, object]:
    """Return an outcome as a line keeps it."""
    return {name: value for name, value in asdict(outcome).items() if value is not None}


def outcome(lines: Lines) -> Outcome | None:
    """Return the last outcome of an action; None where it has none, or was begun again since."""
    if not lines or lines[-1].step is not Step.OUTCOME:
        return None
    return parse(lines[-1].detail)


def parse(kept: Mapping[str, object]) -> Outcome:
    """Return what `detail` wrote."""
    optional = {
        name: str(kept[name]) for name in ("request_id", "new_key_id", "secret_in") if name in kept
    }
    return Outcome(result=Result(str(kept["result"])), reason=str(kept["reason"]), **optional)


def state(lines: Lines) -> Outcome | None:
    """Return how an action stands: its outcome, unclear where it was cut off, None if not begun."""
    if lines and lines[-1].step is not Step.OUTCOME:
        return Outcome(result=Result.UNCLEAR, reason=CUT_OFF)
    return outcome(lines)


def is_open(lines: Lines) -> bool:
    """Whether an action was begun, and nobody knows yet what came of it.

    One whose outcome is unclear counts, where looking again may tell.
    """
    if not lines:
        return False
    known = outcome(lines)
    if known is None:
        return True
    return known.result is Result.UNCLEAR and not is_lost(lines)


def is_lost(lines: Lines) -> bool:
    """Whether a rotation ended without AWS's answer: what it made is a person's to find out."""
    known = outcome(lines)
    if known is None or known.result is not Result.UNCLEAR:
        return False
    created = any(line.step is Step.CREATED for line in since_intent(lines))
    return lines[-1].kind is ActionKind.ROTATE and not created


def since_intent(lines: Lines) -> Lines:
    """Return the lines from the last intent on."""
    starts = [at for at, line in enumerate(lines) if line.step is Step.INTENT]
    return lines[starts[-1] :] if starts else lines
