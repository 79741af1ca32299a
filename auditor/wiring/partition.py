"""Credentials of the partition (`aws`, `aws-cn`, …) that a run or a plan is of."""

from auditor.errors import AuditError
from auditor.ports import Caller


def check_partition(what: str, partition: str, caller: Caller) -> None:
    """Raise AuditError where the caller is of another partition than `what` is."""
    if caller.partition != partition:
        raise AuditError(
            f"{what} is of partition {partition}, the caller of {caller.partition}",
            hint="choose the credentials that scanned, with --profile",
        )
