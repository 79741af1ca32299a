"""`report`: a stored run told again, or judged again by other policies or at another time."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from auditor import __version__
from auditor.config import FORMATS, report_file
from auditor.formats.masked import MaskedReport
from auditor.formats.stream import ReportStream
from auditor.formats.user_template import UserTemplate
from auditor.store.output import LATEST, Output
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.wiring.changes import baseline, changes_since
from auditor.wiring.judging import judge_of, kept_unjudged
from auditor.wiring.policies import stamps, stored_policies, tried_policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A stored run to report on; its document reads the store, so close it last."""

    run_id: str
    document: ReportStream
    store: SqliteRunStore
    newer_unjudged: str | None
    """A run that `latest` passes over, since it was not judged."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()


def replay(
    store_file: Path,
    run: str,
    *,
    policies: Sequence[str] = (),
    now: datetime | None = None,
    since: str | None = None,
    mask_keys: bool = False,
) -> Replay:
    """Open a stored run, judged anew where policies or a time are given; raise AuditError.

    With `since` it is told, too, what changed since that run; with `mask_keys` key ids are shown
    in part.

    Without policies it is judged by those of the scan, as they were then; so is a run that a scan
    did not live to judge. Nothing is asked of AWS,
    and what the store says of the run stays as it is.
    """
    store = SqliteRunStore(store_file, create=False)
    try:
        stored = store.run(run)
        chosen = tried_policies(policies, now=now or stored.now) if policies else None
        newer = store.newer_unjudged(stored.id) if run == LATEST else None
        earlier = None if since is None else baseline(store, since, than=stored.id)
        otherwise = chosen is not None or now is not None
        if otherwise or not store.judged(stored.id):
            judges = stored_policies(stored) if chosen is None else chosen
            again = replace(
                stored,
                now=now or stored.now,
                policies=tuple(policy.stamp for policy in judges),
                rules=stamps(judges),
            )
            judge = judge_of(store, again, judges)
            with nullcontext() if store.judged(stored.id) else kept_unjudged(stored.id):
                store.rejudge(again, judge.judged(), judge.results)
        told: ReportStream = StoredReport(
            store.connection,
            stored.id,
            version=__version__,
            with_plan=not otherwise,
            changes=changes_since(store, earlier, stored.id),
        )
        document = MaskedReport(told) if mask_keys else told
    except BaseException:
        store.close()
        raise
    return Replay(run_id=stored.id, document=document, store=store, newer_unjudged=newer)


def write_reports(
    output: Output,
    document: ReportStream,
    run_id: str,
    formats: Sequence[str],
    templates: Sequence[UserTemplate] = (),
) -> list[Path]:
    """Write the reports of a run; return their files. Raises AuditError."""
    writes = {report_file(name): FORMATS[name] for name in formats}
    writes |= {template.name: template.write for template in templates}
    return [output.write(run_id, name, partial(write, document)) for name, write in writes.items()]
