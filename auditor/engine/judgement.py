"""Judging a stored run: every key by every policy, as a stream."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from auditor.model.access_key import AccessKey, NeverUsed, Used
from auditor.model.account import OutcomeKind
from auditor.model.compliance import ControlResult, Counts, Unit
from auditor.model.exemption import ExemptionResult
from auditor.model.finding import Finding, FindingStatus, JudgedKey, VerdictKind, finding_id
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.run import RunResults
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
from auditor.ports import RunStore


class RunJudge:
    """Judges one run; counts the controls on the way."""

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        policies: Sequence[CompiledPolicy],
        *,
        partition: str,
        now: datetime,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._policies = policies
        self._partition = partition
        self._now = now
        self._counts: dict[str, dict[str, Counts]] = {
            name: {} for policy in policies for rule in policy.rules for name in rule.controls
        }
        self._per_key = {name for name in self._counts if control_of(name).unit is Unit.KEY}
        self._exempted: Counter[tuple[str, int]] = Counter()
        self._unread: Counter[tuple[str, int]] = Counter()

    def judged(self) -> Iterator[JudgedKey]:
        """Yield every key with what the policies say, by account, user and key.

        Raises PolicyError where a rule can't be evaluated.
        """
        for inventory in self._store.accounts(self._run_id):
            if inventory.outcome in {OutcomeKind.SKIPPED, OutcomeKind.UNREACHABLE}:
                continue
            whole: dict[str, set[FindingStatus]] = defaultdict(set)
            keys = 0
            self._open_counts(inventory)
            for user in self._store.users(self._run_id, inventory.account.id):
                for judged in self._judge_user(inventory, user):
                    by_control = _by_control(judged.findings)
                    for name, statuses in by_control.items():
                        whole[name] |= statuses
                    if not user.identity.root:
                        keys += 1
                        self._count_key(inventory, by_control)
                    yield judged
            self._count_passed(inventory, keys)
            if inventory.root_keys_unknown is not None:
                rules = self._for_root_keys(inventory)
                for name in {name for rule in rules for name in rule.controls}:
                    whole[name].add(FindingStatus.INDETERMINATE)
                if rules:
                    yield self._unknown_root(inventory, inventory.root_keys_unknown, rules)
            self._count_account(inventory, whole)

    def results(self) -> RunResults:
        """Return what the controls and the exemptions came to, once all keys have been judged."""
        return RunResults(
            controls=tuple(
                ControlResult(control=control_of(name), accounts=accounts)
                for name, accounts in sorted(self._counts.items())
            ),
            exemptions=tuple(self._exemption_results()),
        )

    def _exemption_results(self) -> Iterator[ExemptionResult]:
        """Yield every exemption; each policy holds those of all, so one's are enough."""
        for exemption in self._policies[0].exemptions:
            key = _name(exemption)
            yield ExemptionResult(
                policy_id=exemption.policy_id,
                position=exemption.position,
                rules=None if exemption.rules is None else tuple(sorted(exemption.rules)),
                where=exemption.where,
                reason=exemption.reason,
                owner=exemption.owner,
                expires=exemption.expires,
                expired=exemption.ends_at <= self._now,
                findings=self._exempted[key],
                unread=self._unread[key],
            )

    def _judge_user(self, inventory: AccountInventory, user: UserInventory) -> Iterator[JudgedKey]:
        keys = facts_of_keys(inventory.account, self._partition, user, self._now)
        streams = [judge_keys(keys, policy, now=self._now) for policy in self._policies]
        for position, judgements in enumerate(zip(*streams, strict=True)):
            findings = self._findings(inventory, user, user.keys[position], judgements)
            violations = [
                finding.rule_id
                for finding in findings
                if finding.status is not FindingStatus.INDETERMINATE
            ]
            yield JudgedKey(
                account_id=inventory.account.id,
                user_name=user.identity.name,
                position=position,
                user_class=_same_class(judgements),
                violations=tuple(sorted(violations)),
                findings=findings,
            )

    def _findings(
        self,
        inventory: AccountInventory,
        user: UserInventory,
        key: AccessKey,
        judgements: Sequence[Judgement],
    ) -> tuple[Finding, ...]:
        found = [
            verdict
            for judgement in judgements
            for verdict in judgement.verdicts
            if verdict.kind is not VerdictKind.PASS
        ]
        if not found:
            return ()
        account_id, user_name = inventory.account.id, user.identity.name
        told = ", ".join(_circumstances(key, self._now))
        return tuple(
            self._finding(
                verdict,
                self._status(verdict),
                account_id=account_id,
                user_name=user_name,
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
            self._exempted[_name(verdict.exemption)] += 1
            return FindingStatus.EXEMPT
        if verdict.unread is not None:
            self._unread[_name(verdict.unread)] += 1
        return FindingStatus.OPEN

    def _for_root_keys(self, inventory: AccountInventory) -> list[CompiledRule]:
        """Return the rules that root keys could break, the gravest first."""
        rules = [
            rule
            for policy in self._policies
            for rule in rules_that_root_keys_could_break(
                inventory.account, self._partition, policy, now=self._now
            )
        ]
        return sorted(rules, key=lambda rule: rule.severity.rank)

    def _unknown_root(
        self, inventory: AccountInventory, unknown: Unknown, rules: Sequence[CompiledRule]
    ) -> JudgedKey:
        """Return one indeterminate finding for the account, of the gravest rule."""
        finding = self._finding(
            Verdict(
                rule=rules[0],
                kind=VerdictKind.INDETERMINATE,
                title=rules[0].titles[ROOT_CLASS],
                unknown=unknown,
            ),
            FindingStatus.INDETERMINATE,
            account_id=inventory.account.id,
            user_name=ROOT_USER_NAME,
            key=None,
            message=f"whether the root user has access keys is not known, {unknown.reason}",
        )
        return JudgedKey(
            account_id=inventory.account.id,
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
        account_id: str,
        user_name: str,
        key: AccessKey | None,
        message: str,
    ) -> Finding:
        rule, unknown = verdict.rule, verdict.unknown
        return Finding(
            id=finding_id(
                partition=self._partition,
                account_id=account_id,
                user_name=user_name,
                key="unknown" if key is None else key.id or f"slot-{key.slot}",
                rule_id=rule.id,
            ),
            rule_id=rule.id,
            title=verdict.title,
            severity=rule.severity,
            status=status,
            account_id=account_id,
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

    def _open_counts(self, inventory: AccountInventory) -> None:
        for name in self._per_key:
            self._counts[name][inventory.account.id] = Counts()

    def _count_key(
        self, inventory: AccountInventory, by_control: Mapping[str, set[FindingStatus]]
    ) -> None:
        for name, statuses in by_control.items():
            if name in self._per_key:
                self._counts[name][inventory.account.id].add(statuses)

    def _count_passed(self, inventory: AccountInventory, keys: int) -> None:
        """Count those of the account's keys that nothing was found about."""
        for name in self._per_key:
            counts = self._counts[name][inventory.account.id]
            counts.passed = keys - counts.failed - counts.exempt - counts.indeterminate

    def _count_account(
        self, inventory: AccountInventory, whole: Mapping[str, set[FindingStatus]]
    ) -> None:
        """Count the account once for each control on accounts: its worst key decides.

        An account that was read only in part does not pass, or fail less, for what was not read.
        """
        for name, accounts in self._counts.items():
            control, statuses = control_of(name), whole.get(name, set())
            if control.unit is not Unit.ACCOUNT:
                continue
            settled = inventory.outcome is OutcomeKind.AUDITED or root_only(control)
            if settled or FindingStatus.OPEN in statuses:
                counts = accounts[inventory.account.id] = Counts()
                counts.add(statuses)


def _by_control(findings: Iterable[Finding]) -> dict[str, set[FindingStatus]]:
    statuses: dict[str, set[FindingStatus]] = {}
    for finding in findings:
        for name in finding.controls:
            statuses.setdefault(name, set()).add(finding.status)
    return statuses


def _name(exemption: CompiledExemption) -> tuple[str, int]:
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


def _circumstances(key: AccessKey, now: datetime) -> Iterator[str]:
    old, unused = age(key, now), idle(key, now)
    yield "age unknown" if old is None else f"created {old.days} days ago"
    match key.last_use:
        case Used() as use:
            where = "" if use.region == "N/A" else f" in {use.region}"
            days = 0 if unused is None else unused.days
            yield f"last used {days} days ago for {use.service}{where}"
        case NeverUsed():
            yield "never used"
        case Unknown() as unknown:
            yield f"last use unknown ({unknown.reason})"
