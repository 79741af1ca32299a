"""Values of the model as rows of the store, and back."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from typing import TypeAlias

from auditor.model.access_key import AccessKey, KeyStatus, LastUse, NeverUsed, Used
from auditor.model.account import Account, AccountId, AccountState, OutcomeKind, Via
from auditor.model.compliance import ControlResult, Counts
from auditor.model.exemption import ExemptionResult
from auditor.model.finding import JudgedKey
from auditor.model.identity import Identity
from auditor.model.inventory import AccountInventory, ReadError, UserInventory
from auditor.model.run import PolicySource, PolicyStamp, RuleStamp, Run
from auditor.model.unknown import Unknown
from auditor.store.encoding import (
    ERROR,
    POLICY,
    RULE,
    certain,
    dump_facts,
    dump_names,
    dump_unknown,
    dumps,
    instant,
    load_facts,
    load_mapping,
    load_records,
    load_unknown,
    parse_instant,
)

NO_KEY = -1
"""The position of a finding of which it is not known whether there is a key."""

Row: TypeAlias = tuple[object, ...]
"""A row of a table that has many, in the order of the schema's columns.

Enums are made plain text: SQLite's binding asks around what to do with a subclass of `str`.
"""


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


def user_row(run_id: str, account_id: str, identity: Identity) -> Row:
    """Return a user."""
    return (
        run_id,
        account_id,
        identity.name,
        identity.arn,
        identity.path,
        instant(identity.created_at),
        int(identity.root),
        dump_facts(identity),
    )


def key_rows(run_id: str, account_id: str, user: UserInventory) -> Iterator[Row]:
    """Yield the keys of a user."""
    for position, key in enumerate(user.keys):
        yield (
            run_id,
            account_id,
            user.identity.name,
            position,
            key.id,
            key.slot,
            str(key.status),
            instant(key.created_at),
            *use_columns(key.last_use),
        )


def use_columns(use: LastUse) -> Row:
    """Return the columns of a key that tell its last use, in order."""
    match use:
        case Used(at=at, service=service, region=region):
            return ("used", instant(at), service, region, None)
        case NeverUsed():
            return ("never", None, None, None, None)
        case Unknown() as unknown:
            return ("unknown", None, None, None, dump_unknown(unknown))


def judged_row(run_id: str, key: JudgedKey) -> Row:
    """Return what the policies say about a key."""
    return (*_place(run_id, key), key.user_class, dump_names(key.violations))


def finding_rows(run_id: str, key: JudgedKey) -> Iterator[Row]:
    """Yield the findings about a key."""
    place = _place(run_id, key)
    for finding in key.findings:
        yield (
            *place,
            finding.rule_id,
            finding.id,
            finding.title,
            str(finding.severity),
            str(finding.status),
            finding.access_key_id,
            finding.message,
            str(finding.remedy),
            dump_names(finding.controls),
            finding.exemption,
            finding.unknown_operation,
            finding.unknown_code,
            finding.exemption_unread,
        )


def _place(run_id: str, key: JudgedKey) -> Row:
    position = NO_KEY if key.position is None else key.position
    return (run_id, key.account_id, key.user_name, position)


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
    return PolicySource(name=row["name"], text=row["text"], packs=load_mapping(row["packs"], str))


_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What an id may be: a folder of reports is called so, and nothing else may become a path."""
_LISTS = ("controls", "facts")
_NOT_SAID = ("key.idle",)
"""Runs of an older version don't say what a rule looked at: suppose that it looked at the use."""


def parse_run(row: sqlite3.Row, sources: tuple[PolicySource, ...]) -> Run:
    """Return what `run_row` wrote."""
    if not _RUN_ID.fullmatch(row["id"]):
        raise ValueError("no id of a run")
    return Run(
        id=row["id"],
        started_at=certain(row["started_at"]),
        finished_at=parse_instant(row["finished_at"]),
        now=certain(row["now"]),
        source=row["source"],
        partition=row["partition"],
        caller_arn=row["caller_arn"],
        policies=tuple(PolicyStamp(**each) for each in load_records(row["policies"], POLICY)),
        sources=sources,
        rules=tuple(
            RuleStamp(**(each | {name: tuple(each.get(name, _NOT_SAID)) for name in _LISTS}))
            for each in load_records(row["rules"], RULE)
        ),
        api_calls=load_mapping(row["api_calls"], int),
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
            tags=None if row["tags"] is None else load_mapping(row["tags"], str),
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
        errors=tuple(ReadError(**error) for error in load_records(row["errors"], ERROR)),
    )


def parse_identity(row: sqlite3.Row) -> Identity:
    """Return what `user_row` wrote."""
    _, _, name, arn, path, created_at, root, facts = row
    return Identity(
        name=name,
        arn=arn,
        path=path,
        created_at=parse_instant(created_at),
        root=bool(root),
        **load_facts(facts),
    )


def parse_key(row: sqlite3.Row) -> AccessKey:
    """Return what `key_rows` wrote."""
    _, _, _, _, key_id, slot, status, created_at, *use = row
    return AccessKey(
        id=key_id,
        slot=slot,
        status=KeyStatus(status),
        created_at=parse_instant(created_at),
        last_use=_parse_use(*use),
    )


_NEVER_USED = NeverUsed()


def _parse_use(
    state: str, at: str | None, service: str, region: str, unknown: str | None
) -> LastUse:
    """Return the last use that `use_columns` wrote."""
    match state:
        case "used":
            if at is None:
                raise ValueError("a used key has a date")
            return Used(at=certain(at), service=service, region=region)
        case "never":
            return _NEVER_USED
        case _:
            reason = load_unknown(unknown)
            if reason is None:
                raise ValueError("an unknown last use has a reason")
            return reason
