"""Judging a stored run: every key by every policy, as a stream."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
    judge_user,
    rules_that_root_keys_could_break,
)
from auditor.policy.facts import age, idle
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
        self._per_key = [name for name in self._counts if control_of(name).unit is Unit.KEY]
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
            self._open_counts(inventory)
            for user in self._store.users(self._run_id, inventory.account.id):
                for judged, by_control in self._judge_user(inventory, user):
                    for name, statuses in by_control.items():
                        whole[name] |= statuses
                    if not user.identity.root:
                        self._count_key(inventory, by_control)
                    yield judged
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

    def _judge_user(
        self, inventory: AccountInventory, user: UserInventory
    ) -> Iterator[tuple[JudgedKey, Mapping[str, set[FindingStatus]]]]:
        streams = [
            judge_user(inventory.account, self._partition, user, policy, now=self._now)
            for policy in self._policies
        ]
        for position, judgements in enumerate(zip(*streams, strict=True)):
            key = user.keys[position]
            findings: list[Finding] = []
            by_control: dict[str, set[FindingStatus]] = defaultdict(set)
            for verdict in (each for judgement in judgements for each in judgement.verdicts):
                if verdict.kind is VerdictKind.PASS:
                    continue
                finding = self._finding(inventory, user, key, verdict)
                findings.append(finding)
                for name in finding.controls:
                    by_control[name].add(finding.status)
            violations = [
                finding.rule_id
                for finding in findings
                if finding.status is not FindingStatus.INDETERMINATE
            ]
            yield (
                JudgedKey(
                    account_id=inventory.account.id,
                    user_name=user.identity.name,
                    position=position,
                    user_class=_same_class(judgements),
                    violations=tuple(sorted(violations)),
                    findings=tuple(findings),
                ),
                by_control,
            )

    def _finding(
        self, inventory: AccountInventory, user: UserInventory, key: AccessKey, verdict: Verdict
    ) -> Finding:
        status = FindingStatus.OPEN
        if verdict.kind is VerdictKind.INDETERMINATE:
            status = FindingStatus.INDETERMINATE
        elif verdict.exemption is not None:
            status = FindingStatus.EXEMPT
            self._exempted[_name(verdict.exemption)] += 1
        elif verdict.unread is not None:
            self._unread[_name(verdict.unread)] += 1
        return self._make(
            verdict.rule,
            account_id=inventory.account.id,
            user_name=user.identity.name,
            key=key,
            title=verdict.title,
            status=status,
            message=_message(verdict, key, self._now),
            exemption=verdict.exemption.reason if verdict.exemption else None,
            unread=verdict.unread.reason if verdict.unread else None,
            unknown=verdict.unknown,
        )

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
        finding = self._make(
            rules[0],
            account_id=inventory.account.id,
            user_name=ROOT_USER_NAME,
            key=None,
            title=rules[0].titles[ROOT_CLASS],
            status=FindingStatus.INDETERMINATE,
            message=f"whether the root user has access keys is not known, {unknown.reason}",
            exemption=None,
            unread=None,
            unknown=unknown,
        )
        return JudgedKey(
            account_id=inventory.account.id,
            user_name=ROOT_USER_NAME,
            position=None,
            user_class=None,
            violations=(),
            findings=(finding,),
        )

    def _make(
        self,
        rule: CompiledRule,
        *,
        account_id: str,
        user_name: str,
        key: AccessKey | None,
        title: str,
        status: FindingStatus,
        message: str,
        exemption: str | None,
        unread: str | None,
        unknown: Unknown | None,
    ) -> Finding:
        name = "unknown" if key is None else key.id or f"slot-{key.slot}"
        return Finding(
            id=finding_id(
                partition=self._partition,
                account_id=account_id,
                user_name=user_name,
                key=name,
                rule_id=rule.id,
            ),
            rule_id=rule.id,
            title=title,
            severity=rule.severity,
            status=status,
            account_id=account_id,
            user_name=user_name,
            access_key_id=key.id if key else None,
            message=message,
            remedy=rule.remedy,
            controls=rule.controls,
            exemption=exemption,
            exemption_unread=unread,
            unknown_operation=unknown.operation if unknown else None,
            unknown_code=unknown.code if unknown else None,
        )

    def _open_counts(self, inventory: AccountInventory) -> None:
        for name in self._per_key:
            self._counts[name][inventory.account.id] = Counts()

    def _count_key(
        self, inventory: AccountInventory, by_control: Mapping[str, set[FindingStatus]]
    ) -> None:
        for name in self._per_key:
            self._counts[name][inventory.account.id].add(by_control.get(name, ()))

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


def _name(exemption: CompiledExemption) -> tuple[str, int]:
    return exemption.policy_id, exemption.position


def _same_class(judgements: Sequence[Judgement]) -> str | None:
    """Return the class that all policies put the user in, or None."""
    classes = {judgement.user_class for judgement in judgements}
    return classes.pop() if len(classes) == 1 else None


def _message(verdict: Verdict, key: AccessKey, now: datetime) -> str:
    """Say what was found about this key, in one line."""
    if verdict.unknown is not None:
        return f"{verdict.title}: could not be judged, {verdict.unknown.reason}"
    told = f"{verdict.title}: {', '.join(_circumstances(key, now))}"
    if verdict.unread is None:
        return told
    return f"{told}; may be exempt ({verdict.unread.reason}), but what that asks could not be read"


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
