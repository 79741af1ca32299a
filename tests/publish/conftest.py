"""Stored runs of a few accounts, and the Security Hubs of these accounts, served over HTTP."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from auditor.aws.connection import Connection
from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator
from auditor.demo.policies import trust
from auditor.model.inventory import AccountInventory
from auditor.publish.security_hub import Fate
from auditor.store.runs import SqliteRunStore
from auditor.wiring.publish import (
    Deliveries,
    Delivery,
    PublishOptions,
    publish_to_security_hub,
)
from tests.builders import NOW
from tests.fakes import FakeClock
from tests.store.test_changes import stored

REGION = "us-east-1"
ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
READ = "POST /findings"
IMPORT, UPDATE = f"{READ}/import", "PATCH /findings/batchupdate"

Publish: TypeAlias = Callable[..., Awaitable[Deliveries]]


@dataclass(frozen=True)
class Hubs:
    """The accounts' Security Hubs, and the store that is published from."""

    emulator: Emulator
    path: Path

    def enter(self, account_id: str) -> None:
        """Let the caller into an account."""
        self.emulator.backend("iam", account_id).create_role(
            "iamaudit-read", trust(MANAGEMENT_ACCOUNT_ID), "/", None, "", [], "3600"
        )

    def backend(self, account_id: str = ONE, region: str = REGION) -> Any:
        return self.emulator.backend("securityhub", account_id, region)

    def findings(self, account_id: str = ONE, region: str = REGION) -> dict[str, dict[str, Any]]:
        """What a hub has, by the key that it is about."""
        data = [finding.data for finding in self.backend(account_id, region).findings]
        return {_key_of(each): json.loads(json.dumps(each)) for each in data}

    def states(self, account_id: str = ONE) -> dict[str, str]:
        return {key: each["RecordState"] for key, each in self.findings(account_id).items()}

    def asked(self, operation: str) -> list[Mapping[str, Any]]:
        requests = self.emulator.requests
        return [each.params for each in requests if each.operation == operation]

    def scanned(
        self, run_id: str, inventories: Sequence[AccountInventory], *, days: float = 0, **more: Any
    ) -> None:
        """Store a run that ended so many days after the first."""
        at = NOW + timedelta(days=days)
        store = SqliteRunStore(self.path)
        stored(store, run_id, inventories, started_at=at, now=at, finished_at=at, **more)
        store.close()


def _key_of(finding: Mapping[str, Any]) -> str:
    details = finding["Resources"][0].get("Details", {}).get("AwsIamAccessKey", {})
    return str(details.get("AccessKeyId", finding["GeneratorId"]))


def fates(delivery: Delivery) -> dict[str, int]:
    return {str(fate): number for fate, number in delivery.published.fates.items() if number}


def only(found: Deliveries) -> dict[str, int]:
    """What became of the findings of the one account, which went well."""
    (delivery,) = found.deliveries
    assert delivery.failure is None
    assert delivery.published.rejected == []
    assert delivery.published.fates[Fate.NEWER] == 0
    return fates(delivery)


@pytest.fixture
def hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hubs]:
    with Emulator(clock=lambda: datetime.now(UTC)) as emulator:
        iam = emulator.backend("iam", MANAGEMENT_ACCOUNT_ID)
        iam.create_user(REGION, "operator")
        caller = iam.create_access_key("operator")
        hubs = Hubs(emulator, tmp_path / "iamaudit.db")
        for account_id in (ONE, TWO):
            hubs.enter(account_id)
            emulator.security_hubs.add((account_id, REGION))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", caller.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", caller.secret_access_key)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        yield hubs


@pytest.fixture
def publish(hubs: Hubs) -> Publish:
    async def run(run_id: str = "latest", *, days: float = 0, **options: Any) -> Deliveries:
        chosen = PublishOptions(
            run=run_id, connection=Connection(endpoint_url=hubs.emulator.url), **options
        )
        clock = FakeClock(at=NOW + timedelta(days=days, hours=1))
        return await publish_to_security_hub(hubs.path, chosen, clock=clock)

    return run
