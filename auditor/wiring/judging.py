"""Judging a run, of the store or on its way there."""

from collections.abc import Sequence

from auditor.engine.judgement import RunJudge
from auditor.model.run import Run
from auditor.policy.compiled import CompiledPolicy
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import stored_policies


def judge_of(store: SqliteRunStore, run: Run, policies: Sequence[CompiledPolicy]) -> RunJudge:
    """Return what judges a run, at its own time."""
    return RunJudge(store, run.id, policies, partition=run.partition, now=run.now)


def judge_if_needed(store: SqliteRunStore, run: Run) -> None:
    """Record the judgement of a run that its scan did not live to judge; raise AuditError."""
    if not store.judged(run.id):
        judge = judge_of(store, run, stored_policies(run))
        store.record(run.id, judge.judged(), judge.results)
