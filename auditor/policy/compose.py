"""Several policies that judge together: their rules must differ, their exemptions are shared."""

from collections.abc import Sequence
from dataclasses import replace

from auditor.errors import PolicyError
from auditor.model.run import PolicySource
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.loader import ReadPack, load, rule_ids


def compose(sources: Sequence[PolicySource], read_pack: ReadPack) -> list[CompiledPolicy]:
    """Return the policies in order; raise PolicyError naming every mistake in all of them.

    An exemption covers the rules of all of them. A pack that a source brings along stands for the
    one of the same name that `read_pack` has.
    """
    read = [(source, _reader(source, read_pack)) for source in sources]
    ids: list[frozenset[str]] = []
    if len(read) > 1:  # or there are no rules elsewhere, and the policy need not be read twice
        ids = [rule_ids(source.text, source=source.name, read_pack=pack) for source, pack in read]
    policies: list[CompiledPolicy] = []
    mistakes: list[PolicyError] = []
    for source, pack in read:
        try:
            policies.append(
                load(
                    source.text,
                    source=source.name,
                    read_pack=pack,
                    elsewhere=frozenset().union(*ids),
                )
            )
        except PolicyError as error:
            mistakes.append(error)
    if mistakes:
        raise PolicyError("\n".join(map(str, mistakes)), hint=mistakes[-1].hint)
    _refuse_clashes(policies)
    if not any(policy.rules for policy in policies):
        raise PolicyError(
            "there are only exemptions, and no rules to judge by", hint="give a policy with rules"
        )
    exemptions = tuple(exemption for policy in policies for exemption in policy.exemptions)
    return [replace(policy, exemptions=exemptions) for policy in policies]


def _reader(source: PolicySource, read_pack: ReadPack) -> ReadPack:
    return lambda name: source.packs[name] if name in source.packs else read_pack(name)


def _refuse_clashes(policies: Sequence[CompiledPolicy]) -> None:
    owners: dict[str, str] = {}
    for policy in policies:
        for rule in policy.rules:
            if rule.id in owners:
                raise PolicyError(
                    f"the policies {owners[rule.id]} and {policy.stamp.id}"
                    f" both have a rule {rule.id!r}",
                    hint="rename one of the rules, or give one policy only",
                )
            owners[rule.id] = policy.stamp.id
    ids = [policy.stamp.id for policy in policies]
    for name in ids:
        if ids.count(name) > 1:
            raise PolicyError(
                f"two of the policies are called {name!r}",
                hint="give each policy once, or change the id of one",
            )
