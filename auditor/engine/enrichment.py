"""What the credential report and the authorization details tell of the users of an account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditor.engine.root_keys import RootKeys, root_keys
from auditor.model.access_key import AccessKey, LastUse
from auditor.model.identity import ROOT_USER_NAME, IamUser, Identity
from auditor.model.inventory import UserInventory
from auditor.model.unknown import NOT_ASKED, NOT_IN_ANSWER, Known, Unknown
from auditor.ports import CredentialReport, ReportRow, UserDetails

_REPORT, _DETAILS = "iam:GetCredentialReport", "iam:GetAccountAuthorizationDetails"
_NO_REPORT = Unknown(operation=_REPORT, code=NOT_IN_ANSWER)
_NO_DETAILS = Unknown(operation=_DETAILS, code=NOT_IN_ANSWER)
_REPORT_NOT_ASKED = Unknown(operation=_REPORT, code=NOT_ASKED)
_DETAILS_NOT_ASKED = Unknown(operation=_DETAILS, code=NOT_ASKED)


@dataclass(slots=True)
class Enrichment:
    """Answers so far, each known or not, filled in while the account is read."""

    report: Known[CredentialReport] = _REPORT_NOT_ASKED
    details: Known[Mapping[str, Known[UserDetails]]] = _DETAILS_NOT_ASKED
    quarantined: Known[frozenset[str]] | None = None
    """Names of quarantined users, where the details were denied; None where nobody asked."""
    root_keys_present: bool | None = None
    """The word of the account summary; None where it has none."""
    passwords: dict[str, Known[bool]] = field(default_factory=dict)
    """Of users newer than the report, by name."""

    @property
    def told_something(self) -> bool:
        """Whether any answer came at all."""
        return not (isinstance(self.report, Unknown) and isinstance(self.details, Unknown))

    @property
    def root_keys(self) -> RootKeys:
        """What the report and the summary together say of the root user's keys."""
        reported: Known[tuple[AccessKey, ...]]
        if isinstance(self.report, Unknown):
            reported = self.report
        else:
            reported = _NO_REPORT if self.report.root is None else self.report.root.keys
        return root_keys(reported, self.root_keys_present)

    @staticmethod
    def row(report: CredentialReport, user: IamUser) -> ReportRow | None:
        """Return what the report has of this very user, not of an earlier one of the same name."""
        return _row(report, user)


def identity_of(user: IamUser, enrichment: Enrichment) -> Identity:
    """Return the user with all that is known of it."""
    report, details = enrichment.report, enrichment.details
    row = None if isinstance(report, Unknown) else _row(report, user)
    unread = report if isinstance(report, Unknown) else _NO_REPORT
    told = details if isinstance(details, Unknown) else details.get(user.name, _NO_DETAILS)
    return Identity(
        name=user.name,
        arn=user.arn,
        path=user.path,
        created_at=user.created_at,
        root=False,
        password_enabled=(
            row.password_enabled if row else enrichment.passwords.get(user.name, unread)
        ),
        mfa=row.mfa if row else unread,
        tags=told if isinstance(told, Unknown) else told.tags,
        groups=told if isinstance(told, Unknown) else told.groups,
        policies=told if isinstance(told, Unknown) else told.policies,
        admin=told if isinstance(told, Unknown) else told.admin,
        quarantined=_quarantined(user, told, enrichment),
    )


def use_of(
    key: AccessKey, listed: Sequence[AccessKey], slots: Sequence[AccessKey]
) -> AccessKey | None:
    """Return a listed key with the last use of its slot in the report; None where that is unclear.

    The report has no ids: a key is known by its creation, if no other key has the same.
    """
    mine = [slot for slot in slots if slot.created_at == key.created_at]
    if len(mine) != 1 or isinstance(mine[0].last_use, Unknown):
        return None
    if sum(each.created_at == key.created_at for each in listed) > 1:
        return None
    return with_use(key, mine[0].last_use)


def with_use(key: AccessKey, last_use: LastUse) -> AccessKey:
    """Return the key with this last use (dataclasses.replace costs four times as much)."""
    return AccessKey(
        id=key.id,
        slot=key.slot,
        status=key.status,
        created_at=key.created_at,
        last_use=last_use,
    )


def root_user(enrichment: Enrichment, *, arn: str) -> list[UserInventory]:
    """Return the root user where there are keys of it; `arn` is its own, by the account's id."""
    keys = enrichment.root_keys.keys
    if not keys:
        return []
    report = enrichment.report
    row = None if isinstance(report, Unknown) else report.root
    unread = report if isinstance(report, Unknown) else _NO_REPORT
    identity = Identity(
        name=ROOT_USER_NAME,
        arn=arn if row is None else row.arn,
        path="/",
        created_at=None if row is None else row.created_at,
        root=True,
        password_enabled=unread if row is None else row.password_enabled,
        mfa=unread if row is None else row.mfa,
        tags={},
        groups=(),
        policies=(),
        admin=True,
        quarantined=False,  # AWS attaches its quarantine policies to IAM users
    )
    return [UserInventory(identity=identity, keys=keys)]


def _row(report: CredentialReport, user: IamUser) -> ReportRow | None:
    row = report.users.get(user.arn)
    if row is None or row.created_at is None:
        return None
    mine, theirs = row.created_at, user.created_at
    same = mine == theirs or mine.replace(microsecond=0) == theirs.replace(microsecond=0)
    return row if same else None


def _quarantined(user: IamUser, told: Known[UserDetails], enrichment: Enrichment) -> Known[bool]:
    if not isinstance(told, Unknown):
        return told.quarantined
    names = enrichment.quarantined
    if names is None or isinstance(names, Unknown):
        return names or told
    return user.name in names
