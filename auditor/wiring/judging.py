"""Judging a stored run that its scan did not live to judge."""

from auditor.engine.judgement import RunJudge
from auditor.model.run import Run
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import stored_policies


def judge_if_needed(store: SqliteRunStore, run: Run) -> None:
    """Record the judgement of such a run; raise AuditError."""
    if not store.judged(run.id):
        judge = RunJudge(store, run.id, stored_policies(run), partition=run.partition, now=run.now)
        store.record(run.id, judge.judged(), judge.results)
