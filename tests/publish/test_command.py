"""`iamaudit publish securityhub`, as a person runs it."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from auditor.cli.publish import _show
from auditor.demo.emulator import Request, Response
from auditor.ports import Rejected
from auditor.publish.security_hub import Fate, Published
from auditor.wiring.publish import Deliveries, Delivery
from tests.builders import a_user_with, an_account, an_inventory
from tests.command import Ran, Run
from tests.publish.conftest import IMPORT, ONE, TWO, Hubs
from tests.store.test_changes import old

Command = Callable[..., Ran]


@pytest.fixture
def command(hubs: Hubs, run: Run, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Publish the stored run of two accounts."""
    inventories = [
        an_inventory(a_user_with(old(key)), account=an_account(account_id, name=name))
        for account_id, key, name in ((ONE, "AKIA1", "[red]one"), (TWO, "AKIA2", None))
    ]
    hubs.scanned("one", inventories)
    (key,) = hubs.emulator.backend("iam", "123456789012").access_keys.values()
    variables = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_ENDPOINT_URL": hubs.emulator.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "300",
    }

    def publish(*arguments: str) -> Ran:
        store = str(hubs.path)
        return run("publish", "securityhub", "--store", store, *arguments, variables=variables)

    return publish


def test_what_was_published_is_told_by_account(hubs: Hubs, command: Command) -> None:
    ran = command()

    lines = [line.split() for line in ran.stdout.splitlines()]
    assert (ran.code, ran.stderr) == (0, "")
    assert [ONE, "[red]one", "us-east-1", "1", "0", "0", "0"] in lines
    assert "Run one published: 2 new, 0 updated, 0 archived, 0 not looked at" in ran.stdout
    assert hubs.states() == {"AKIA1": "ACTIVE"}


def test_one_account_without_security_hub_keeps_no_other_from_it(
    hubs: Hubs, command: Command
) -> None:
    hubs.emulator.security_hubs.remove((TWO, "us-east-1"))

    ran = command("--region", "us-east-1")

    assert ran.code == 3
    (line,) = [each for each in ran.stdout.splitlines() if "InvalidAccessException" in each]
    assert line.startswith(f"{TWO}, us-east-1: securityhub:GetFindings: ")
    assert "aws securityhub enable-security-hub --region us-east-1" in line
    assert hubs.states() == {"AKIA1": "ACTIVE"}


def test_a_region_without_security_hub_takes_nothing(command: Command) -> None:
    ran = command("--region", "eu-west-1")

    assert ran.code == 4
    (line,) = [each for each in ran.stdout.splitlines() if "InvalidAccessException" in each]
    assert line.startswith(f"{ONE}, {TWO}, eu-west-1: ")


def test_who_may_not_publish_is_told_what_grants_it(hubs: Hubs, command: Command) -> None:
    def deny(request: Request) -> Response | None:
        if request.operation != IMPORT or request.account_id != ONE:
            return None
        return Response(status=403, code="AccessDeniedException", message="not authorized")

    hubs.emulator.hooks.append(deny)

    ran = command()

    assert ran.code == 3
    told = f"{ONE}, us-east-1: securityhub:BatchImportFindings: AccessDeniedException: "
    assert f"{told}not authorized; grant what iamaudit permissions publish prints" in ran.stdout


def test_a_dry_run_says_so(hubs: Hubs, command: Command) -> None:
    ran = command("--dry-run")

    assert ran.code == 0
    assert "Run one would be published: 2 new, " in ran.stdout
    assert not hubs.asked(IMPORT)


def test_wrong_usage_exits_with_2_before_aws_is_asked(hubs: Hubs, command: Command) -> None:
    ran = command("--run", "two")

    assert (ran.code, ran.stdout) == (2, "")
    assert not hubs.emulator.requests


def shown(*deliveries: Delivery) -> list[str]:
    out = io.StringIO()
    found = Deliveries(run_id="one", deliveries=deliveries, expected=2, interrupted=False)
    _show(found, Console(file=out, width=300), dry_run=False)
    return out.getvalue().splitlines()


def a_delivery(account_id: str, **values: Any) -> Delivery:
    return Delivery(
        account=an_account(account_id), region="us-east-1", published=Published(**values)
    )


def test_findings_that_were_not_taken_are_told_together() -> None:
    refused = [
        Rejected(id=f"iamaudit/{n}", code="InvalidInput", message="\x1b[31mno") for n in "ab"
    ]

    lines = shown(*(a_delivery(id_, rejected=refused) for id_ in (ONE, TWO)))

    told = "2 findings not taken, such as iamaudit/a: InvalidInput: \\u001b[31mno; publish again"
    assert f"{ONE}, {TWO}, us-east-1: {told}" in lines


def test_security_hub_that_is_closed_to_a_finding_is_to_be_enabled() -> None:
    refused = Rejected(id="iamaudit/a", code="InvalidAccess", message="no")

    [line] = [each for each in shown(a_delivery(ONE, rejected=[refused])) if "not taken" in each]

    assert "aws securityhub enable-security-hub --region us-east-1" in line


def test_a_run_that_is_not_the_latest_is_told() -> None:
    fates = dict.fromkeys(Fate, 0) | {Fate.NEWER: 3}

    lines = shown(a_delivery(ONE, fates=fates))

    assert any("a later run was published there" in line for line in lines)
