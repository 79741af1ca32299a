"""Judging one account: every key by every policy, as a stream."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from auditor.model.access_key import AccessKey, NeverUsed, Used
from auditor.model.account import OutcomeKind
from auditor.model.compliance import Counts, Unit
from auditor.model.finding import Finding, FindingStatus, JudgedKey, VerdictKind, finding_id
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.compiled import (
    ROOT_CLASS,
    CompiledExemption,
    CompiledPolicy,
    CompiledRule,
)
from auditor.policy.compliance import control_of, root_only
from auditor.policy.evaluate import (
    Judgement,
    Verdict,
    judge_keys,
    rules_that_root_keys_could_break,
)
from auditor.policy.facts import age, facts_of_keys, idle

_Found: TypeAlias = tuple[tuple[tuple[str, ...], FindingStatus], ...]
"""What was found of a key: the controls of each finding, and its status."""
Place: TypeAlias = tuple[str, int]
"""An exemption: its policy, and which one of the policy's it is."""


class AccountJudge:
    """Judges one account; `judged` is to be taken once, and what it counts is whole at its end."""

    def __init__(
        self,
        inventory: AccountInventory,
        policies: Sequence[CompiledPolicy],
        *,
        partition: str,
        now: datetime,
    ) -> None:
        self._inventory = inventory
        self._policies = policies
        self._partition = partition
        self._now = now
        self._names = {name for each in policies for rule in each.rules for name in rule.controls}
        self._whole: dict[str, set[FindingStatus]] = defaultdict(set)
        """What was found of the account, by control."""
        self._found: Counter[tuple[_Found, bool]] = Counter()
        """How many keys have the same findings, and whether they are the root user's."""
        self.account_id = inventory.account.id
        self.controls: dict[str, Counts] = {}
        """What each control came to, by its name."""
        self.exempted: Counter[Place] = Counter()
        """Findings that an exemption covers."""
        self.unread: Counter[Place] = Counter()
        """Findings that one may cover, but what it asks could not be read."""

    def judged(self, users: Iterable[UserInventory]) -> Iterator[JudgedKey]:
        """Yield every key of the users with what the policies say, in their order.

        Raises PolicyError where a rule can't be evaluated.
        """
        if self._inventory.outcome in {OutcomeKind.SKIPPED, OutcomeKind.UNREACHABLE}:
            return
        for name in self._names:
            if control_of(name).unit is Unit.KEY:
                self.controls[name] = Counts()
        listed = False
        for user in users:
            listed |= user.identity.root
            for judged in self._user(user):
                found = tuple((finding.controls, finding.status) for finding in judged.findings)
                self._found[found, user.identity.root] += 1
                yield judged
        self._count_keys()
        # A root key that is listed was judged, with what is known of it.
        if self._inventory.root_keys_unknown is not None and not listed:
            yield from self._unknown_root(self._inventory.root_keys_unknown)
        for name in self._names - self.controls.keys():
            self._count_account(name)

    def _count_keys(self) -> None:
        """Count the keys for the controls on keys: the root user's are none of them."""
        for (found, root), times in self._found.items():
            by_control = _by_control(found)
            for name, statuses in by_control.items():
                self._whole[name] |= statuses
            if not root:
                for name, counts in self.controls.items():
                    counts.add(by_control.get(name, ()), times=times)

    def _count_account(self, name: str) -> None:
        """Count the account once for a control on accounts: its worst key decides.

        An account that was read only in part does not pass, or fail less, for what was not read.
        """
        settled = self._inventory.outcome is OutcomeKind.AUDITED or root_only(control_of(name))
        statuses = self._whole[name]
        if settled or FindingStatus.OPEN in statuses:
            self.controls[name] = Counts()
            self.controls[name].add(statuses)

    def _user(self, user: UserInventory) -> Iterator[JudgedKey]:
        keys = facts_of_keys(self._inventory.account, self._partition, user, self._now)
        streams = [judge_keys(keys, policy, now=self._now) for policy in self._policies]
        for position, judgements in enumerate(zip(*streams, strict=True)):
            findings = self._findings(user, user.keys[position], judgements)
            violations = [
                finding.rule_id
                for finding in findings
                if finding.status is not FindingStatus.INDETERMINATE
            ]
            yield JudgedKey(
                account_id=self.account_id,
                user_name=user.identity.name,
                position=position,
                user_class=_same_class(judgements),
                violations=tuple(sorted(violations)),
                findings=findings,
            )

    def _findings(
        self, user: UserInventory, key: AccessKey, judgements: Sequence[Judgement]
    ) -> tuple[Finding, ...]:
        found = [
            verdict
            for judgement in judgements
            for verdict in judgement.verdicts
            if verdict.kind is not VerdictKind.PASS
        ]
        if not found:
            return ()
        told = ", ".join(_circumstances(key, self._now))
        return tuple(
            self._finding(
                verdict,
                self._status(verdict),
                user_name=user.identity.name,
                key=key,
                message=_message(verdict, told),
            )
            for verdict in found
        )

    def _status(self, verdict: Verdict) -> FindingStatus:
        """Return what comes of a verdict, and count its exemption."""
        if verdict.kind is VerdictKind.INDETERMINATE:
            return FindingStatus.INDETERMINATE
        if verdict.exemption is not None:
            self.exempted[place_of(verdict.exemption)] += 1
            return FindingStatus.EXEMPT
        if verdict.unread is not None:
            self.unread[place_of(verdict.unread)] += 1
        return FindingStatus.OPEN

    def _for_root_keys(self) -> list[CompiledRule]:
        """Return the rules that root keys could break, the gravest first."""
        rules = [
            rule
            for policy in self._policies
            for rule in rules_that_root_keys_could_break(
                self._inventory.account, self._partition, policy, now=self._now
            )
        ]
        return sorted(rules, key=lambda rule: rule.severity.rank)

    def _unknown_root(self, unknown: Unknown) -> Iterator[JudgedKey]:
        """Yield one indeterminate finding for the account, of the gravest rule, if there is any."""
        rules = self._for_root_keys()
        for name in {name for rule in rules for name in rule.controls}:
            self._whole[name].add(FindingStatus.INDETERMINATE)
        if not rules:
            return
        finding = self._finding(
            Verdict(
                rule=rules[0],
                kind=VerdictKind.INDETERMINATE,
                title=rules[0].titles[ROOT_CLASS],
                unknown=unknown,
            ),
            FindingStatus.INDETERMINATE,
            user_name=ROOT_USER_NAME,
            key=None,
            message=f"whether the root user has access keys is not known, {unknown.reason}",
        )
        yield JudgedKey(
            account_id=self.account_id,
            user_name=ROOT_USER_NAME,
            position=None,
            user_class=None,
            violations=(),
            findings=(finding,),
        )

    def _finding(
        self,
        verdict: Verdict,
        status: FindingStatus,
        *,
        user_name: str,
        key: AccessKey | None,
        message: str,
    ) -> Finding:
        rule, unknown = verdict.rule, verdict.unknown
        return Finding(
            id=finding_id(
                partition=self._partition,
                account_id=self.account_id,
                user_name=user_name,
                key=_place_of(key),
                rule_id=rule.id,
            ),
            rule_id=rule.id,
            title=verdict.title,
            severity=rule.severity,
            status=status,
            account_id=self.account_id,
            user_name=user_name,
            access_key_id=key.id if key else None,
            message=message,
            remedy=rule.remedy,
            controls=rule.controls,
            exemption=verdict.exemption.reason if verdict.exemption else None,
            exemption_unread=verdict.unread.reason if verdict.unread else None,
            unknown_operation=unknown.operation if unknown else None,
            unknown_code=unknown.code if unknown else None,
        )


def _place_of(key: AccessKey | None) -> str:
    """Return what tells a key from the user's others; for one of the root user its slot."""
    if key is None or (key.id is None and key.slot is None):
        return "unknown"
    return key.id or f"slot-{key.slot}"


def _by_control(found: _Found) -> dict[str, set[FindingStatus]]:
    statuses: dict[str, set[FindingStatus]] = {}
    for controls, status in found:
        for name in controls:
            statuses.setdefault(name, set()).add(status)
    return statuses


def place_of(exemption: CompiledExemption) -> Place:
    """Return which exemption it is."""
    return exemption.policy_id, exemption.position


def _same_class(judgements: Sequence[Judgement]) -> str | None:
    """Return the class that all policies put the user in, or None."""
    classes = {judgement.user_class for judgement in judgements}
    return classes.pop() if len(classes) == 1 else None


def _message(verdict: Verdict, told: str) -> str:
    """Say what was found about a key, in one line; `told` are its circumstances."""
    if verdict.unknown is not None:
        return f"{verdict.title}: could not be judged, {verdict.unknown.reason}"
    message = f"{verdict.title}: {told}"
    if verdict.unread is None:
        return message
    doubt = f"may be exempt ({verdict.unread.reason}), but what that asks could not be read"
    return f"{message}; {doubt}"


_RECORDED_SINCE = datetime(2015, 4, 22, tzinfo=UTC)  # AWS has no earlier uses on record


def _never(key: AccessKey) -> str:
    if key.created_at is not None and key.created_at < _RECORDED_SINCE:
        return "not used since AWS began to record uses (2015-04-22)"
    return "never used"


def _circumstances(key: AccessKey, now: datetime) -> Iterator[str]:
    old, unused = age(key, now), idle(key, now)
    yield "age unknown" if old is None else f"created {old.days} days ago"
    match key.last_use:
        case Used() as use:
            where = "" if use.region == "N/A" else f" in {use.region}"
            when = "after the time judged at" if unused is None else f"{unused.days} days ago"
            yield f"last used {when} for {use.service}{where}"
        case NeverUsed():
            yield _never(key)
        case Unknown() as unknown:
            yield f"last use unknown ({unknown.reason})"
