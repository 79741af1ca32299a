"""Whether an exemption applies to a key; what can't be read never exempts."""

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from auditor.model.unknown import Unknown
from auditor.policy.cel import Activation, Unbound
from auditor.policy.compiled import CompiledExemption
from auditor.policy.facts import Case


def exemption_for(
    rule_id: str,
    case: Case,
    exemptions: tuple[CompiledExemption, ...],
    activation: Activation,
    *,
    now: datetime,
) -> CompiledExemption | None:
    """Return the first exemption in force that covers this rule and key."""
    for exemption in exemptions:
        covers = exemption.rules is None or rule_id in exemption.rules
        if covers and now < exemption.ends_at and _matches(exemption, case, activation):
            return exemption
    return None


def _matches(exemption: CompiledExemption, case: Case, activation: Activation) -> bool:
    account, identity = case.account, case.identity
    globs = (
        (exemption.account, account.id),
        (exemption.user, identity.name),
        (exemption.ou, account.ou),
        (exemption.path, identity.path),
        (exemption.key, case.key.id),
    )
    for pattern, text in globs:
        if pattern is not None and (text is None or not fnmatchcase(text, pattern)):
            return False
    if exemption.tags and not _tagged(exemption.tags, identity.tags):
        return False
    if exemption.when is None:
        return True
    decided = exemption.when.decide(activation)
    return not isinstance(decided, Unbound) and decided


def _tagged(wanted: Mapping[str, str], tags: Mapping[str, str] | Unknown) -> bool:
    if isinstance(tags, Unknown):
        return False
    return all(name in tags and fnmatchcase(tags[name], glob) for name, glob in wanted.items())
