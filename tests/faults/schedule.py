"""What goes wrong in one run, drawn from a seed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from auditor.model.plan import ActionKind
from tests.faults.cloud import MANAGEMENT, Asked, Cloud
from tests.faults.kinds import HANGING, HARMLESS, Fault
from tests.faults.server import Rule

_PAGED = ("ListUsers", "ListAccessKeys", "GetAccountAuthorizationDetails", "ListAccountsForParent")
_ORGANIZATIONS = ("ListRoots", "ListAccountsForParent", "ListOrganizationalUnitsForParent")
_IAM = (
    *("ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed", "GetAccountAuthorizationDetails"),
    *("GenerateCredentialReport", "GetCredentialReport", "GetAccountSummary", "GetLoginProfile"),
)
_READ_AGAIN = ("ListAccessKeys", "GetAccessKeyLastUsed", "AssumeRole")
_WRITES: Mapping[ActionKind, tuple[str, ...]] = {
    ActionKind.DEACTIVATE: ("UpdateAccessKey",),
    ActionKind.DELETE: ("DeleteAccessKey",),
    ActionKind.ROTATE: (
        *("CreateAccessKey", "CreateSecret", "PutSecretValue", "GetSecretValue"),
        "DeleteAccessKey",  # of the new key, where its secret was not stored
    ),
}
_WHERE: Mapping[Fault, tuple[str, ...]] = {
    Fault.SAME_MARKER: _PAGED,
    Fault.ENDLESS_SAME: _PAGED,
    Fault.ENDLESS_EMPTY: _PAGED,
    Fault.NO_MARKER: _PAGED[:-1],  # without a token an organization ends: nobody could tell
    Fault.OVERLAP: _PAGED,
    Fault.IN_PROGRESS: ("GenerateCredentialReport",),
    Fault.REPORT_EXPIRED: ("GetCredentialReport",),
    Fault.REPORT_MISSING: ("GetCredentialReport",),
    Fault.REPORT_NOT_READY: ("GetCredentialReport",),
    Fault.REPORT_LIMIT: ("GenerateCredentialReport",),
    Fault.STALE: ("GetCredentialReport",),
    Fault.SPOILT_VALUE: ("GetCredentialReport",),
    Fault.BOM: ("GetCredentialReport",),
    Fault.NO_ZONE: ("ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed", "GetCredentialReport"),
    Fault.ANOTHERS: ("ListAccessKeys", "GetAccessKeyLastUsed"),
    Fault.MARKER_ALONE: _PAGED[:-1],
    Fault.MARKER_AT_END: _PAGED[:-1],
    Fault.NEW_STATUS: ("ListAccessKeys",),
    Fault.BARE_USE: ("GetAccessKeyLastUsed",),
    Fault.PACKED: ("AssumeRole",),
    Fault.PACKED_LONG: ("AssumeRole",),
    Fault.REGION_DISABLED: ("AssumeRole",),
    Fault.ECHOED: ("CreateSecret", "PutSecretValue"),
    Fault.NO_DATES: ("ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed", "AssumeRole"),
    Fault.SUSPENDED: _IAM,
    Fault.TWICE: _IAM,
}
"""Operations that a fault has a meaning for; the others may strike any."""
_SELDOM = {Fault.DRIPS_FOREVER: 0.15, Fault.HANGS: 0.4, Fault.HANGS_MIDWAY: 0.4}
"""Those that take long to be noticed."""
_SOON_OVER = frozenset(
    {
        *(Fault.THROTTLED, Fault.TOO_MANY, Fault.ERROR, Fault.UNAVAILABLE, Fault.BARE),
        *(Fault.RESET_BEFORE, Fault.RESET_UNHEARD, Fault.RESET_DURING, Fault.CLOSED),
        *(Fault.CUT_CHUNKS, Fault.EXPIRED),
        *(Fault.IN_PROGRESS, Fault.REPORT_EXPIRED, Fault.REPORT_MISSING),
        *(Fault.REPORT_NOT_READY, Fault.REPORT_LIMIT),
    }
)
"""What must cost nothing, if it strikes once in a while: the call is sent again."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """All that goes wrong in one run."""

    rules: tuple[Rule, ...]
    changes: Mapping[int, int]
    """Seeds of changes of the organization, by the number of the request before which they come."""

    @property
    def hangs(self) -> bool:
        """Whether some answer may never end, so that it has to be given up."""
        return not HANGING.isdisjoint(rule.fault for rule in self.rules)

    @property
    def harmless(self) -> bool:
        """Whether nothing may be missing in spite of it."""
        few = {rule.fault for rule in self.rules if rule.count > 1}
        once = [rule.fault for rule in self.rules if rule.count == 1]
        soon_over = HARMLESS.union(_SOON_OVER).issuperset(once) and len(once) < 3
        # A role's credentials are renewed; the caller's own, which are fixed here, can't be.
        renewed = all(
            rule.account not in {None, MANAGEMENT}
            for rule in self.rules
            if rule.fault is Fault.EXPIRED
        )
        return few <= HARMLESS and soon_over and renewed

    def happen(self, cloud: Cloud, number: int) -> None:
        """Let happen what comes before a request."""
        if number in self.changes:
            cloud.change(Random(self.changes[number]))  # noqa: S311

    def __str__(self) -> str:
        told = [
            f"{rule.fault} {'always' if rule.count > 10**6 else rule.count} from {rule.first}"
            f" on {','.join(sorted(rule.operations or ['all']))} of {rule.account or 'all'}"
            for rule in self.rules
        ]
        return "; ".join([*told, f"changes before {sorted(self.changes)}"])


def drawn(dice: Random, cloud: Cloud) -> Schedule:
    """Draw what goes wrong in a scan."""
    faults = [
        fault
        for fault in Fault
        if fault is not Fault.ECHOED  # no scan sends a secret
        if fault not in _SELDOM or dice.random() < _SELDOM[fault]
    ]
    rules = tuple(_rule(dice, dice.choice(faults), cloud) for _ in range(dice.choice([1, 1, 2, 3])))
    changes = {dice.randint(0, 60): dice.getrandbits(32) for _ in range(dice.choice([0, 0, 2, 6]))}
    return Schedule(rules=rules, changes=changes)


def drawn_for_changes(dice: Random, kinds: Iterable[ActionKind]) -> Schedule:
    """Draw what goes wrong in an apply or undo of actions of these kinds."""
    operations = [*_READ_AGAIN, *(each for kind in kinds for each in _WRITES[kind])]
    anywhere = [fault for fault in Fault if fault not in {*_WHERE, Fault.DRIPS_FOREVER}]
    faults = [*anywhere, *(fault for fault in _WHERE if {*_WHERE[fault]} & {*operations})]

    def rule() -> Rule:
        fault = dice.choice(faults)
        meant = [each for each in operations if each in _WHERE.get(fault, operations)]
        return Rule(
            fault=fault,
            operations=frozenset([dice.choice(meant)]),
            first=dice.randint(0, 3),
            count=dice.choice([1, 1, 2, 3, 10]),
        )

    rules = tuple(rule() for _ in range(dice.choice([1, 1, 2, 3])))
    if dice.random() < 0.4:  # nothing gets through for a while, whatever is asked
        outage = Rule(
            fault=dice.choice(anywhere), first=dice.randint(0, 15), count=dice.choice([3, 8, 20])
        )
        rules = (outage, *rules)
    changes = {dice.randint(0, 12): dice.getrandbits(32) for _ in range(dice.choice([0, 0, 2]))}
    return Schedule(rules=rules, changes=changes)


def _rule(dice: Random, fault: Fault, cloud: Cloud) -> Rule:
    somewhere = dice.choice([*cloud.accounts])
    operation = dice.choice(_WHERE.get(fault, _IAM))
    in_organization = operation in _ORGANIZATIONS
    if fault not in _WHERE and dice.random() < 0.15:
        operation, in_organization = dice.choice([*_ORGANIZATIONS, "AssumeRole"]), True
    operations = frozenset([operation]) if fault in _WHERE or dice.random() < 0.7 else None
    everywhere = in_organization or dice.random() < 0.3
    first = dice.choice([0, 0, 0, 1, 2, 5, dice.randint(0, 20)])
    count = dice.choice([1, 1, 2, 5, 10**9])
    if fault is Fault.ENDLESS_EMPTY:  # but once, it is a list that ends: nobody could tell
        count = 10**9
    return Rule(
        fault=fault,
        operations=operations,
        account=None if everywhere else somewhere,
        first=first,
        count=count,
    )


class Happening:
    """Counts requests, and lets happen what the schedule has before each."""

    def __init__(self, schedule: Schedule, cloud: Cloud) -> None:
        self._schedule = schedule
        self._cloud = cloud
        self._number = 0

    def __call__(self, _: Asked) -> None:
        self._schedule.happen(self._cloud, self._number)
        self._number += 1
