import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from auditor.demo.emulator import (
    MANAGEMENT_ACCOUNT_ID,
    Drop,
    Emulator,
    Request,
    Response,
)

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


def test_every_request_is_recorded_with_its_parameters(emulator: Emulator, iam: Any) -> None:
    iam.list_users(PathPrefix="/a b/", MaxItems=7)

    assert emulator.requests == [
        Request(
            service="iam",
            operation="ListUsers",
            account_id=MANAGEMENT_ACCOUNT_ID,
            params={"PathPrefix": "/a b/", "MaxItems": "7"},
        )
    ]


def test_a_json_body_is_recorded_as_it_was_sent(
    emulator: Emulator, connect: Any, organization: Any
) -> None:
    root = organization.org.root_id
    connect("organizations").list_accounts_for_parent(ParentId=root, MaxResults=5)

    (request,) = emulator.requests
    assert (request.service, request.operation) == ("organizations", "ListAccountsForParent")
    assert request.params == {"ParentId": root, "MaxResults": 5}


def test_a_request_is_recorded_under_the_account_that_owns_the_credentials(
    emulator: Emulator, connect: Any, member: str
) -> None:
    backend = emulator.backend("iam", member)
    backend.create_user("us-east-1", "alice")
    connect("iam", backend.create_access_key("alice")).list_users()

    assert [request.account_id for request in emulator.requests] == [member]


def test_hooks_are_asked_in_order_and_the_first_answer_wins(emulator: Emulator, iam: Any) -> None:
    emulator.hooks.append(lambda _: None)
    emulator.hooks.append(lambda _: Response(status=400, code="First", message="1"))
    emulator.hooks.append(lambda _: Response(status=400, code="Second", message="2"))

    with pytest.raises(ClientError) as refused:
        iam.list_users()

    assert refused.value.response["Error"] == {"Type": "Sender", "Code": "First", "Message": "1"}


def test_a_hook_that_answers_nothing_changes_nothing(emulator: Emulator, iam: Any) -> None:
    emulator.hooks.append(lambda _: None)

    assert iam.list_users()["Users"] == []


def test_a_hook_answers_organizations_in_json(emulator: Emulator, connect: Any) -> None:
    emulator.hooks.append(
        lambda _: Response(status=400, code="TooManyRequestsException", message="Slow <down>")
    )

    with pytest.raises(ClientError) as refused:
        connect("organizations").list_roots()

    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.value.response["Error"]["Message"] == "Slow <down>"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_hook_can_break_the_connection_without_an_answer(emulator: Emulator, iam: Any) -> None:
    emulator.hooks.append(lambda _: Drop())

    with pytest.raises(HTTPClientError):
        iam.list_users()

    assert len(emulator.requests) == 1


def test_a_slow_hook_holds_up_its_own_request_only(emulator: Emulator, connect: Any) -> None:
    released = threading.Event()

    def hold_up_roles(request: Request) -> None:
        if request.operation == "ListRoles":
            released.wait(timeout=5)

    emulator.hooks.append(hold_up_roles)
    slow = threading.Thread(target=connect("iam").list_roles)
    slow.start()
    connect("iam").list_users()

    assert slow.is_alive()
    released.set()
    slow.join()


def test_requests_in_parallel_are_all_recorded(emulator: Emulator, connect: Any) -> None:
    clients = [connect("iam") for _ in range(8)]

    def ask(client: Any) -> None:
        for _ in range(10):
            client.list_users()

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(emulator.requests) == 80


def test_a_connection_serves_more_than_one_request(emulator: Emulator) -> None:
    with closing(HTTPConnection(urlsplit(emulator.url).netloc, timeout=5)) as connection:
        sockets = []
        for _ in range(2):
            connection.request("POST", "/", "Action=ListUsers", _SIGNED)
            assert connection.getresponse().read()
            sockets.append(connection.sock)

    assert sockets[0] is sockets[1] is not None


def test_consecutive_emulators_do_not_see_each_others_data(session: Any) -> None:
    seen = []
    for _ in range(2):
        with Emulator(clock=_never) as emulator:
            organizations = emulator.backend("organizations", MANAGEMENT_ACCOUNT_ID)
            organizations.create_organization(region="us-east-1")
            organizations.create_account(AccountName="a", Email="a@example.com")
            iam = emulator.backend("iam", MANAGEMENT_ACCOUNT_ID)
            iam.create_user("us-east-1", "alice")
            seen.append((len(organizations.accounts), len(iam.users)))

    assert seen == [(2, 1), (2, 1)]


def test_a_member_of_a_former_organization_belongs_to_none(session: Any) -> None:
    with Emulator(clock=_never) as emulator:
        organizations = emulator.backend("organizations", MANAGEMENT_ACCOUNT_ID)
        organizations.create_organization(region="us-east-1")
        created = organizations.create_account(AccountName="a", Email="a@example.com")
    account_id = created["CreateAccountStatus"]["AccountId"]

    with Emulator(clock=_never) as emulator:
        own = emulator.backend("organizations", account_id)
        own.create_organization(region="us-east-1")

        assert [account.id for account in own.accounts] == [account_id]


def test_nothing_listens_after_the_context_even_with_open_connections() -> None:
    threads = set(threading.enumerate())
    with Emulator(clock=lambda: NOW) as emulator:
        address = ("127.0.0.1", urlsplit(emulator.url).port or 0)
        open_connection = HTTPConnection(*address, timeout=5)
        open_connection.request("POST", "/", "Action=ListUsers", _SIGNED)
        open_connection.getresponse().read()
        started = time.monotonic()

    assert time.monotonic() - started < 1
    with closing(open_connection):
        assert open_connection.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    _eventually(lambda: set(threading.enumerate()) <= threads)


def test_a_second_emulator_at_the_same_time_is_refused(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="one per process"), Emulator(clock=_never):
        pass

    assert emulator.url


def test_the_url_is_known_within_the_context_only() -> None:
    with pytest.raises(RuntimeError, match="within its context"):
        _ = Emulator(clock=_never).url


def test_importing_the_package_does_not_import_moto() -> None:
    code = "import auditor.demo, sys; sys.exit('moto' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20270115/us-east-1/iam/aws4_request",
    "Content-Type": "application/x-www-form-urlencoded",
}


def _never() -> Any:
    raise AssertionError("nobody asked for the time")


def _eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
