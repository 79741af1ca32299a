"""Policies by the names that operators give: packs that we ship, and files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable

from auditor.errors import PolicyError
from auditor.model.run import PolicySource, RuleStamp, Run
from auditor.paths import expanded, read_text
from auditor.policy.compiled import CompiledPolicy, CompiledRule
from auditor.policy.compose import compose
from auditor.policy.loader import HINT, load, rule_ids
from auditor.policy.trial import try_policy

LARGEST = 1024 * 1024
"""Bytes of a policy, or of a file of cases: YAML takes ten seconds for these."""


def load_policies(names: Sequence[str]) -> list[CompiledPolicy]:
    """Return the policies by pack name or file, in order; raise PolicyError."""
    return compose([policy_source(name) for name in names], read_pack)


def tried_policies(names: Sequence[str], *, now: datetime) -> list[CompiledPolicy]:
    """Return the policies as `load_policies` does; raise PolicyError also where one can't judge.

    Each is tried on synthetic keys, so that a condition that fails for ordinary users stops a scan
    before its first call.
    """
    policies = load_policies(names)
    tried = (try_policy(each, now=now, thorough=False) for each in policies)
    failures = {str(error): error for trial in tried for error in trial.failures}
    if failures:
        raise _failed(list(failures.values()))
    return policies


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPolicy:
    """A policy without mistakes, and what to think about in it."""

    policy: CompiledPolicy
    warnings: tuple[str, ...]


def check_policies(names: Sequence[str], *, now: datetime) -> list[CheckedPolicy]:
    """Return the policies, each checked by itself; raise PolicyError with the mistakes of all.

    Their exemptions may name rules of any pack and of each other.
    """
    sources = [policy_source(name) for name in names]
    known = [*sources, *(policy_source(name) for name in pack_names())]
    ids = frozenset().union(
        *(rule_ids(each.text, source=each.name, read_pack=read_pack) for each in known)
    )
    checked: list[CheckedPolicy] = []
    mistakes: list[PolicyError] = []
    for each in sources:
        try:
            policy = load(each.text, source=each.name, read_pack=read_pack, elsewhere=ids)
        except PolicyError as error:
            mistakes.append(error)
        else:
            trial = try_policy(policy, now=now)
            mistakes += trial.failures
            checked.append(CheckedPolicy(policy=policy, warnings=trial.warnings))
    if mistakes:
        raise _failed(mistakes)
    return checked


def _failed(errors: Sequence[PolicyError]) -> PolicyError:
    """Return one error that names all; each with its own hint where the hints differ."""
    hints = {error.hint for error in errors}
    if len(hints) == 1:
        return PolicyError("\n".join(map(str, errors)), hint=hints.pop())
    lines = [str(each) if each.hint == HINT else f"{each}; {each.hint}" for each in errors]
    return PolicyError("\n".join(lines), hint=HINT)


def stored_policies(run: Run) -> list[CompiledPolicy]:
    """Return the policies that judged a run, as they were then; raise PolicyError."""
    if not run.sources:
        raise PolicyError(
            f"the run {run.id} was kept without its policies", hint="name them with --policy"
        )
    return compose(run.sources, read_pack)


def stamps(policies: Sequence[CompiledPolicy]) -> tuple[RuleStamp, ...]:
    """Return the rules of the policies as reports show them, in order."""
    return tuple(_stamp(policy, rule) for policy in policies for rule in policy.rules)


def _facts(policy: CompiledPolicy, rule: CompiledRule) -> set[str]:
    """Return what the rule's verdict depends on, through classes and exemptions, too."""
    facts = set(rule.when.facts)
    by_class = "user.class" in facts or len({id(values) for values in rule.values.values()}) > 1
    conditions = [each.when for each in policy.classes] if by_class else []
    conditions += [
        each.when
        for each in policy.exemptions
        if each.when is not None and (each.rules is None or rule.id in each.rules)
    ]
    return facts.union(*(each.facts for each in conditions))


def policy_source(name: str) -> PolicySource:
    """Return the text of a pack that we ship, or of a file; raise PolicyError."""
    return PolicySource(name=name, text=_policy_text(name))


def _stamp(policy: CompiledPolicy, rule: CompiledRule) -> RuleStamp:
    return RuleStamp(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        when=rule.when.text,
        remedy=rule.remedy,
        controls=rule.controls,
        facts=tuple(sorted(_facts(policy, rule))),
    )


def pack_names() -> list[str]:
    """Return the names of the packs that we ship, in order."""
    return sorted(each.name.removesuffix(".yaml") for each in _packs().iterdir())


def read_pack(name: str) -> str:
    """Return the text of a pack that we ship; raise KeyError naming those there are."""
    if name not in pack_names():
        raise KeyError(f"there is no pack {name!r} (there are {', '.join(pack_names())})")
    return (_packs() / f"{name}.yaml").read_text(encoding="utf-8")


def _packs() -> Traversable:
    return resources.files("auditor.policy") / "packs"


def _policy_text(name: str) -> str:
    """Read a pack that we ship, or a file."""
    if name in pack_names():
        return read_pack(name)
    path = expanded(name)
    try:
        return read_text(path, largest=LARGEST)
    except UnicodeDecodeError:
        raise PolicyError(f"{name}: it is not UTF-8 text", hint="name a YAML file") from None
    except OSError as error:
        raise PolicyError(
            f"there is no policy {name!r}: {error.strerror}",
            hint=f"name one of our packs ({', '.join(pack_names())}) or a readable file",
        ) from None
