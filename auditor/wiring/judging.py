"""Judging a run, of the store or on its way there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from auditor.engine.judgement import RunJudge
from auditor.errors import PolicyError
from auditor.model.run import Run
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.evaluate import FailedConditionError
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import stored_policies


def judge_of(store: SqliteRunStore, run: Run, policies: Sequence[CompiledPolicy]) -> RunJudge:
    """Return what judges a run, at its own time."""
    return RunJudge(store, run.id, policies, partition=run.partition, now=run.now)


def judge_if_needed(store: SqliteRunStore, run: Run) -> None:
    """Record the judgement of a run that its scan did not live to judge; raise AuditError."""
    if not store.judged(run.id):
        judge = judge_of(store, run, stored_policies(run))
        with kept_unjudged(run.id):
            store.record(run.id, judge.judged(), judge.results)


@contextmanager
def kept_unjudged(run_id: str) -> Iterator[None]:
    """Raise PolicyError, with how to go on, for a condition that fails while a run is judged."""
    try:
        yield
    except FailedConditionError as error:
        raise PolicyError(
            f"run {run_id} is kept, and not judged: {error.placed}",
            hint=f"{error.hint}; then `iamaudit report --run {run_id} --policy FILE` judges it",
        ) from None
