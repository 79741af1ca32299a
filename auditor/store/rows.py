"""Values of the model as rows of the store, and back."""

import sqlite3
from dataclasses import asdict
from typing import Any

from auditor.model.access_key import AccessKey, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import Account, AccountId, AccountState, OutcomeKind, Via
from auditor.model.compliance import ControlResult, Counts
from auditor.model.exemption import ExemptionResult
from auditor.model.finding import Finding
from auditor.model.identity import Identity
from auditor.model.inventory import AccountInventory, ReadError
from auditor.model.run import PolicySource, PolicyStamp, RuleStamp, Run
from auditor.model.unknown import Unknown
from auditor.store.encoding import (
    certain,
    dump_facts,
    dump_unknown,
    dumps,
    instant,
    load_facts,
    load_unknown,
    loads,
    parse_instant,
)


def run_row(run: Run) -> dict[str, object]:
    """Return the run itself."""
    return {
        "id": run.id,
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "now": instant(run.now),
        "source": run.source,
        "partition": run.partition,
        "caller_arn": run.caller_arn,
        "policies": dumps([asdict(policy) for policy in run.policies]),
        "rules": dumps([asdict(rule) for rule in run.rules]),
        "api_calls": dumps(dict(run.api_calls)),
        "throttled": run.throttled,
    }


def account_row(run_id: str, account: Account) -> dict[str, object]:
    """Return an account before it is read."""
    return {
        "run_id": run_id,
        "id": account.id,
        "name": account.name,
        "ou": account.ou,
        "state": account.state,
        "tags": None if account.tags is None else dumps(dict(account.tags)),
        "ou_unknown": dump_unknown(account.ou_unknown),
        "tags_unknown": dump_unknown(account.tags_unknown),
        "skip": account.skip,
        "profile": account.profile,
        "external_id": account.external_id,
        "outcome": OutcomeKind.SKIPPED if account.skip else None,
    }


def user_row(run_id: str, account_id: str, identity: Identity) -> dict[str, object]:
    """Return a user."""
    return {
        "run_id": run_id,
        "account_id": account_id,
        "name": identity.name,
        "arn": identity.arn,
        "path": identity.path,
        "created_at": instant(identity.created_at),
        "root": int(identity.root),
        "facts": dump_facts(identity),
    }


def key_row(
    run_id: str, account_id: str, user_name: str, position: int, key: AccessKey
) -> dict[str, object]:
    """Return one key of a user."""
    row: dict[str, object] = {
        "run_id": run_id,
        "account_id": account_id,
        "user_name": user_name,
        "position": position,
        "id": key.id,
        "slot": key.slot,
        "status": key.status,
        "created_at": instant(key.created_at),
    }
    return row | use_columns(key.last_use)


def use_columns(use: LastUse) -> dict[str, object]:
    """Return the columns of a key that tell its last use."""
    names = ("at", "service", "region")
    row: dict[str, object] = dict.fromkeys([*(f"last_used_{name}" for name in names), "unknown"])
    match use:
        case Used(at=at, service=service, region=region):
            row |= {"last_used_state": "used", "last_used_at": instant(at)}
            row |= {"last_used_service": service, "last_used_region": region}
        case NeverUsed():
            row |= {"last_used_state": "never"}
        case Unknown() as unknown:
            row |= {"last_used_state": "unknown", "unknown": dump_unknown(unknown)}
    return row


def finding_row(finding: Finding) -> dict[str, object]:
    """Return a finding, without its place."""
    return {
        "rule_id": finding.rule_id,
        "id": finding.id,
        "title": finding.title,
        "severity": finding.severity,
        "status": finding.status,
        "access_key_id": finding.access_key_id,
        "message": finding.message,
        "remedy": finding.remedy,
        "controls": dumps(finding.controls),
        "exemption": finding.exemption,
        "exemption_unread": finding.exemption_unread,
        "unknown_operation": finding.unknown_operation,
        "unknown_code": finding.unknown_code,
    }


def control_row(
    run_id: str, result: ControlResult, account_id: str, counts: Counts
) -> dict[str, object]:
    """Return one control in one account."""
    return {
        "run_id": run_id,
        "framework": result.control.framework,
        "control": result.control.id,
        "account_id": account_id,
        "unit": result.control.unit,
        **asdict(counts),
    }


def exemption_row(run_id: str, exemption: ExemptionResult) -> dict[str, object]:
    """Return what an exemption did in a run."""
    return {
        "run_id": run_id,
        "policy_id": exemption.policy_id,
        "position": exemption.position,
        "rules": None if exemption.rules is None else dumps(exemption.rules),
        "selects": dumps(dict(exemption.where)),
        "reason": exemption.reason,
        "owner": exemption.owner,
        "expires": exemption.expires,
        "expired": int(exemption.expired),
        "findings": exemption.findings,
        "unread": exemption.unread,
    }


def source_row(run_id: str, position: int, source: PolicySource) -> dict[str, object]:
    """Return the text of a policy that judges a run."""
    return {
        "run_id": run_id,
        "position": position,
        "name": source.name,
        "text": source.text,
        "packs": dumps(dict(source.packs)),
    }


def parse_source(row: sqlite3.Row) -> PolicySource:
    """Return what `source_row` wrote."""
    return PolicySource(name=row["name"], text=row["text"], packs=loads(row["packs"]))


_LISTS = ("controls", "facts")
_NOT_SAID = ("key.idle",)
"""Runs of an older version don't say what a rule looked at: suppose that it looked at the use."""


def parse_run(row: sqlite3.Row, sources: tuple[PolicySource, ...]) -> Run:
    """Return what `run_row` wrote."""
    return Run(
        id=row["id"],
        started_at=certain(row["started_at"]),
        finished_at=parse_instant(row["finished_at"]),
        now=certain(row["now"]),
        source=row["source"],
        partition=row["partition"],
        caller_arn=row["caller_arn"],
        policies=tuple(PolicyStamp(**each) for each in loads(row["policies"])),
        sources=sources,
        rules=tuple(
            RuleStamp(**(each | {name: tuple(each.get(name, _NOT_SAID)) for name in _LISTS}))
            for each in loads(row["rules"])
        ),
        api_calls=loads(row["api_calls"]),
        throttled=row["throttled"],
    )


def parse_inventory(row: sqlite3.Row) -> AccountInventory:
    """Return an account; one that was never read counts as unreachable."""
    return AccountInventory(
        account=Account(
            id=AccountId(row["id"]),
            name=row["name"],
            ou=row["ou"],
            state=None if row["state"] is None else AccountState(row["state"]),
            tags=None if row["tags"] is None else loads(row["tags"]),
            ou_unknown=load_unknown(row["ou_unknown"]),
            tags_unknown=load_unknown(row["tags_unknown"]),
            skip=row["skip"],
            profile=row["profile"],
            external_id=row["external_id"],
        ),
        outcome=OutcomeKind(row["outcome"] or OutcomeKind.UNREACHABLE),
        via=None if row["via"] is None else Via(row["via"]),
        role_arn=row["role_arn"],
        credential_report_at=parse_instant(row["credential_report_at"]),
        root_keys_unknown=load_unknown(row["root_keys_unknown"]),
        errors=tuple(ReadError(**error) for error in loads(row["errors"])),
    )


def parse_identity(row: sqlite3.Row) -> Identity:
    """Return what `user_row` wrote."""
    facts: dict[str, Any] = load_facts(row["facts"])
    return Identity(
        name=row["name"],
        arn=row["arn"],
        path=row["path"],
        created_at=parse_instant(row["created_at"]),
        root=bool(row["root"]),
        **facts,
    )


def parse_key(row: sqlite3.Row) -> AccessKey:
    """Return what `key_row` wrote."""
    return AccessKey(
        id=row["id"],
        slot=row["slot"],
        status=KeyStatus(row["status"]),
        created_at=parse_instant(row["created_at"]),
        last_use=parse_last_use(row),
    )


def parse_last_use(row: sqlite3.Row) -> LastUse:
    """Return the last use that `key_row` wrote."""
    match row["last_used_state"]:
        case "used":
            at = parse_instant(row["last_used_at"])
            if at is None:
                raise ValueError("a used key has a date")
            return Used(at=at, service=row["last_used_service"], region=row["last_used_region"])
        case "never":
            return NeverUsed()
        case _:
            unknown = load_unknown(row["unknown"])
            if unknown is None:
                raise ValueError("an unknown last use has a reason")
            return unknown
