"""`policy explain`: one key of a stored run, rule by rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from auditor.errors import AuditError
from auditor.model.account import AccountId
from auditor.model.run import Run
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.explain import Explained, explain
from auditor.policy.facts import Case, cases, facts_of, shared_values
from auditor.store.damage import reads
from auditor.store.runs import SqliteRunStore
from auditor.wiring.policies import load_policies, stored_policies


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedKey:
    """One key, and what each policy says about it."""

    case: Case
    policies: tuple[tuple[CompiledPolicy, Explained], ...]


def explain_key(
    store_file: Path,
    run: str,
    key: str,
    *,
    policies: Sequence[str] = (),
    now: datetime | None = None,
) -> tuple[Run, datetime, list[ExplainedKey]]:
    """Return the run, the instant that it is judged at, and the keys; raise AuditError.

    `key` is an access key id, or `ACCOUNT/USER` for all keys of a user, as for root users, whose
    keys have no known id.
    """
    chosen = load_policies(policies) if policies else None
    store = SqliteRunStore(store_file, create=False)
    try:
        stored = store.run(run)
        judges = stored_policies(stored) if chosen is None else chosen
        at = now or stored.now
        found = [
            ExplainedKey(
                case=case,
                policies=tuple((policy, explain(facts, policy, now=at)) for policy in judges),
            )
            for account_id, user_name in store.find(stored.id, key)
            for case in _cases(store, stored, account_id, user_name)
            if "/" in key or case.key.id == key
            for facts in [facts_of(case, _shared(case, at), at)]
        ]
    finally:
        store.close()
    if not found:
        raise AuditError(
            f"there is no key {key!r} in run {stored.id}",
            hint="name an access key id, or ACCOUNT/USER, as in 111111111111/alice",
        )
    return stored, at, found


@reads
def _cases(store: SqliteRunStore, run: Run, account_id: AccountId, user_name: str) -> list[Case]:
    account = next(each.account for each in store.accounts(run.id) if each.account.id == account_id)
    user = next(each for each in store.users(run.id, account_id) if each.identity.name == user_name)
    return list(cases(account, run.partition, user))


def _shared(case: Case, now: datetime) -> dict[str, object]:
    return shared_values(case.account, case.partition, case.identity, now)
