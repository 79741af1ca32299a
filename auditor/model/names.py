"""What AWS takes for the names that operators give: one pattern for each kind.

From the service models of STS and IAM, and the endpoints of regions.
"""

import re
from dataclasses import dataclass

from auditor.errors import AuditError

_NAME = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9+=,.@_-]+"
_LONGEST_ROLE = 64
_LONGEST_PATH = 512
_IN_A_FILE = "give a role's ARN as role_arn of the account, in a file: --accounts @FILE"
_ROLE_HINT = "write up to 64 letters, digits, and any of + = , . @ _ -, after a path if any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of name."""

    pattern: re.Pattern[str]
    hint: str
    """What to write."""


ROLE_NAME = Kind(pattern=re.compile(rf"/?((?:{_NAME}/)*{_NAME})", re.ASCII), hint=_ROLE_HINT)
ROLE_ARN = Kind(
    pattern=re.compile(
        r"arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role/((?:[!-.0-~]+/)*[\w+=,.@-]+)", re.A
    ),
    hint="write it as in arn:aws:iam::111122223333:role/iamaudit-read",
)
EXTERNAL_ID = Kind(
    pattern=re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII),
    hint="write 2 to 1,224 letters, digits, and any of + = , . @ : / _ -",
)
SOURCE_IDENTITY = Kind(
    pattern=re.compile(r"[\w+=,.@-]{2,64}", re.ASCII),
    hint="write 2 to 64 letters, digits, and any of + = , . @ _ -",
)
REGION = Kind(
    pattern=re.compile(r"(?![0-9]+\Z)(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII),
    hint="write its name, as in eu-west-1",
)


def fits(kind: Kind, text: str) -> bool:
    """Whether AWS takes the text for a name of this kind."""
    found = kind.pattern.fullmatch(text)
    if found is None:
        return False
    if kind not in {ROLE_NAME, ROLE_ARN}:
        return True
    path, slash, name = found[1].rpartition("/")
    return len(name) <= _LONGEST_ROLE and len(path) + 2 * len(slash) <= _LONGEST_PATH


def checked(kind: Kind, text: str, *, option: str) -> str:
    """Return the name; raise AuditError where AWS would not take it.

    `option` is who gives it, for the message: `--role-name`. A role name comes without a slash in
    front.
    """
    if fits(kind, text):
        return text.removeprefix("/") if kind is ROLE_NAME else text
    if not text.strip():
        raise AuditError(f"{option} is empty", hint=kind.hint)
    hint = _IN_A_FILE if kind is ROLE_NAME and text.startswith("arn:") else kind.hint
    raise AuditError(f"{option}: {text!r} is not one that AWS takes", hint=hint)
