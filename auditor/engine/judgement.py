"""Judging a run: its accounts one by one, as they are read or out of the store."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from auditor.engine.account_judge import AccountJudge, Place, place_of
from auditor.model.account import AccountId
from auditor.model.compliance import ControlResult, Counts
from auditor.model.exemption import ExemptionResult
from auditor.model.finding import JudgedKey
from auditor.model.inventory import AccountInventory
from auditor.model.run import RunResults
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.compliance import control_of
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
        self._done: set[AccountId] = set()
        self._counts: dict[str, dict[str, Counts]] = {
            name: {} for policy in policies for rule in policy.rules for name in rule.controls
        }
        self._exempted: Counter[Place] = Counter()
        self._unread: Counter[Place] = Counter()

    def judged(self) -> Iterator[JudgedKey]:
        """Yield every key of the accounts not judged yet, by account, user and key.

        Raises PolicyError where a rule can't be evaluated.
        """
        for inventory in self._store.accounts(self._run_id):
            account_id = inventory.account.id
            if account_id not in self._done:
                judge = self.of(inventory)
                yield from judge.judged(self._store.users(self._run_id, account_id))
                self.add(judge)

    def of(self, inventory: AccountInventory) -> AccountJudge:
        """Return what judges one account, to be added once its keys are kept."""
        return AccountJudge(inventory, self._policies, partition=self._partition, now=self._now)

    def add(self, judge: AccountJudge) -> None:
        """Take an account for judged."""
        self._done.add(judge.account_id)
        self._exempted += judge.exempted
        self._unread += judge.unread
        for name, counts in judge.controls.items():
            self._counts[name][judge.account_id] = counts

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
            place = place_of(exemption)
            yield ExemptionResult(
                policy_id=exemption.policy_id,
                position=exemption.position,
                rules=None if exemption.rules is None else tuple(sorted(exemption.rules)),
                where=exemption.where,
                reason=exemption.reason,
                owner=exemption.owner,
                expires=exemption.expires,
                expired=exemption.ends_at <= self._now,
                findings=self._exempted[place],
                unread=self._unread[place],
            )
