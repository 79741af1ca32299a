from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeAlias

import boto3
import pytest
from botocore.config import Config

from auditor.demo.emulator import MANAGEMENT_ACCOUNT_ID, Emulator

Connect: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="session")
def session() -> Any:
    return boto3.Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
    )


@pytest.fixture
def watch() -> SimpleNamespace:
    return SimpleNamespace(now=datetime(2027, 1, 15, 12, 0, 0, 987_654, tzinfo=UTC))


@pytest.fixture
def emulator(watch: SimpleNamespace) -> Iterator[Emulator]:
    with Emulator(clock=lambda: watch.now) as emulator:
        yield emulator


@pytest.fixture
def connect(emulator: Emulator, session: Any) -> Iterator[Connect]:
    """A client of the emulator that never retries, as the management account or with a key."""
    with ExitStack() as clients:

        def client(service: str, key: Any = None, token: str | None = None) -> Any:
            credentials = {}
            if key is not None:
                credentials = {
                    "aws_access_key_id": key.access_key_id,
                    "aws_secret_access_key": key.secret_access_key,
                    "aws_session_token": token,
                }
            made = session.client(
                service,
                endpoint_url=emulator.url,
                config=Config(retries={"total_max_attempts": 1}),
                **credentials,
            )
            return clients.enter_context(closing(made))

        yield client


@pytest.fixture
def iam(connect: Connect) -> Any:
    return connect("iam")


@pytest.fixture
def users(emulator: Emulator) -> Any:
    """moto's IAM backend of the management account."""
    return emulator.backend("iam", MANAGEMENT_ACCOUNT_ID)


@pytest.fixture
def organization(emulator: Emulator) -> Any:
    """moto's Organizations backend, with an organization of the management account alone."""
    backend = emulator.backend("organizations", MANAGEMENT_ACCOUNT_ID)
    backend.create_organization(region="us-east-1", FeatureSet="ALL")
    return backend


@pytest.fixture
def member(organization: Any) -> str:
    """The id of a member account; its role is OrganizationAccountAccessRole."""
    created = organization.create_account(AccountName="member", Email="m@example.com")
    return str(created["CreateAccountStatus"]["AccountId"])
