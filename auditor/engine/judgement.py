"""Judging a stored run: every key by every policy, as a stream."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from auditor.model.access_key import AccessKey, NeverUsed, Used
from auditor.model.account import OutcomeKind
from auditor.model.compliance import ControlResult, Counts, Unit
from auditor.model.finding import Finding, FindingStatus, JudgedKey, VerdictKind, finding_id
from auditor.model.identity import ROOT_USER_NAME
from auditor.model.inventory import AccountInventory, UserInventory
from auditor.model.unknown import Unknown
from auditor.policy.compiled import ROOT_CLASS, CompiledPolicy, CompiledRule
from auditor.policy.compliance import control_of
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

    def judged(self) -> Iterator[JudgedKey]:
        """Yield every key with what the policies say, by account, user and key.

        Raises PolicyError where a rule can't be evaluated.
        """
        for inventory in self._store.accounts(self._run_id):
            if inventory.outcome in {OutcomeKind.SKIPPED, OutcomeKind.UNREACHABLE}:
                continue
            root: list[Mapping[str, set[FindingStatus]]] = []
            self._open_counts(inventory)
            for user in self._store.users(self._run_id, inventory.account.id):
                for judged, by_control in self._judge_user(inventory, user):
                    if user.identity.root:
                        root.append(by_control)
                    else:
                        self._count_key(inventory, by_control)
                    yield judged
            if inventory.root_keys_unknown is not None:
                rules = self._for_root_keys(inventory)
                controls = {name for rule in rules for name in rule.controls}
                root.append({name: {FindingStatus.INDETERMINATE} for name in controls})
                if rules:
                    yield self._unknown_root(inventory, inventory.root_keys_unknown, rules)
            self._count_root(inventory, root)

    def results(self) -> list[ControlResult]:
        """Return the counts of the controls, once all keys have been judged."""
        return [
            ControlResult(control=control_of(name), accounts=accounts)
            for name, accounts in sorted(self._counts.items())
        ]

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
        return self._make(
            verdict.rule,
            account_id=inventory.account.id,
            user_name=user.identity.name,
            key=key,
            title=verdict.title,
            status=status,
            message=_message(verdict, key, self._now),
            exemption=verdict.exemption.reason if verdict.exemption else None,
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
            unknown_operation=unknown.operation if unknown else None,
            unknown_code=unknown.code if unknown else None,
        )

    def _open_counts(self, inventory: AccountInventory) -> None:
        for name, accounts in self._counts.items():
            if control_of(name).unit is Unit.KEY:
                accounts[inventory.account.id] = Counts()

    def _count_key(
        self, inventory: AccountInventory, by_control: Mapping[str, set[FindingStatus]]
    ) -> None:
        for name, accounts in self._counts.items():
            if control_of(name).unit is Unit.KEY:
                accounts[inventory.account.id].add(by_control.get(name, ()))

    def _count_root(
        self, inventory: AccountInventory, root: Sequence[Mapping[str, set[FindingStatus]]]
    ) -> None:
        """Count the account once: its worst root key decides."""
        for name, accounts in self._counts.items():
            if control_of(name).unit is Unit.ACCOUNT:
                counts = accounts[inventory.account.id] = Counts()
                counts.add({status for each in root for status in each.get(name, ())})


def _same_class(judgements: Sequence[Judgement]) -> str | None:
    """Return the class that all policies put the user in, or None."""
    classes = {judgement.user_class for judgement in judgements}
    return classes.pop() if len(classes) == 1 else None


def _message(verdict: Verdict, key: AccessKey, now: datetime) -> str:
    """Say what was found about this key, in one line."""
    if verdict.unknown is not None:
        return f"{verdict.title}: could not be judged, {verdict.unknown.reason}"
    return f"{verdict.title}: {', '.join(_circumstances(key, now))}"


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
