"""Going on with a run that was cut off: the same scope and policies, what was read stays read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from auditor.config import ScanOptions
from auditor.engine.inventory import INTERRUPTED
from auditor.errors import AuditError
from auditor.model.account import EXCLUDED, Account, AccountId
from auditor.model.run import Run
from auditor.policy.compiled import CompiledPolicy
from auditor.ports import Caller
from auditor.store.runs import SqliteRunStore
from auditor.wiring.partition import check_partition

_SAME = "the same command with --resume goes on; without it, a new scan begins"


def unfinished(
    store_file: Path, name: str, options: ScanOptions, policies: Sequence[CompiledPolicy]
) -> Run:
    """Return the run to go on with; raise AuditError where it has ended or was another scan."""
    store = SqliteRunStore(store_file, create=False)
    try:
        store.check_whole()
        run = store.run(name, to_resume=True)
    finally:
        store.close()
    if run.finished_at is not None:
        raise AuditError(
            f"--resume: run {run.id} is finished",
            hint=f"scan without it; iamaudit report --run {run.id} shows it",
        )
    if run.source != options.source:
        raise AuditError(f"--resume: run {run.id} has --source {run.source}", hint=_SAME)
    if options.now is not None and options.now != run.now:
        raise AuditError(f"--resume: run {run.id} measures ages from {run.now}", hint=_SAME)
    stamps = tuple((policy.stamp.id, policy.stamp.sha256) for policy in policies)
    if stamps != tuple((policy.id, policy.sha256) for policy in run.policies):
        told = ", ".join(policy.id for policy in run.policies)
        raise AuditError(
            f"--resume: run {run.id} has other policies: {told}, as they were then",
            hint=f"{_SAME}; iamaudit report --policy judges what was read by others",
        )
    return run


def left_to_read(
    store: SqliteRunStore, run: Run, accounts: Sequence[Account], caller: Caller
) -> list[Account]:
    """Return the accounts of the run that were not read to their end; raise AuditError.

    `accounts` are those that the LISTs lead to now: they must be the run's, which are kept.
    """
    check_partition(f"--resume: run {run.id}", run.partition, caller)
    known = {each.account.id: each.account for each in store.accounts(run.id)}
    now = {account.id: account for account in accounts}
    wanted, wanted_now = _wanted(known), _wanted(now)
    more, fewer = sorted(wanted_now - wanted), sorted(wanted - wanted_now)
    if more or fewer:
        differences = {"more": more, "fewer": fewer}
        told = [f"{len(ids)} {how} ({ids[0]})" for how, ids in differences.items() if ids]
        raise AuditError(
            f"--resume: run {run.id} has other accounts; --accounts and --exclude lead to"
            f" {' and '.join(told)}",
            hint=_SAME,
        )
    unread = store.unread(run.id, INTERRUPTED)
    return [now[each] for each in known if each in unread and known[each].skip is None]


def _wanted(accounts: Mapping[AccountId, Account]) -> set[AccountId]:
    """Return those that are not left out by the operator."""
    return {each for each, account in accounts.items() if account.skip != EXCLUDED}
