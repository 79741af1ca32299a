"""The kinds of change: what each asks of AWS, and how it shows that it is done."""

from auditor.model.plan import ActionKind
from auditor.remediation.actions.activate import ACTIVATE
from auditor.remediation.actions.change import Change
from auditor.remediation.actions.deactivate import DEACTIVATE
from auditor.remediation.actions.delete import DELETE

CHANGES: dict[ActionKind, Change] = {
    ActionKind.DEACTIVATE: DEACTIVATE,
    ActionKind.ACTIVATE: ACTIVATE,
    ActionKind.DELETE: DELETE,
}
"""Those of one call; a rotation is of several, in `rotate`."""

GRANTS: dict[ActionKind, tuple[str, ...]] = {
    ActionKind.DEACTIVATE: ("iam:UpdateAccessKey",),
    ActionKind.ACTIVATE: ("iam:UpdateAccessKey",),
    ActionKind.DELETE: ("iam:DeleteAccessKey",),
    ActionKind.ROTATE: ("iam:CreateAccessKey", "iam:DeleteAccessKey"),
}
"""What each asks for; a rotation deletes the new key where its secret could not be stored."""
