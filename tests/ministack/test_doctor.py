"""`iamaudit doctor` against a server that checks permissions."""

import json

import pytest

from auditor.model.permission import KEY_ACTIONS, ORGANIZATION_ACTIONS, SCAN_ACTIONS
from tests.command import Ran, Run
from tests.ministack.seed import Estate


@pytest.fixture
def amy(estate: Estate) -> str:
    """A user of the member with a key, so that every operation has something to ask about."""
    return estate.add_user("amy").user_name


def let_read(estate: Estate, *actions: str) -> None:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    estate.root("iam", estate.member_id).put_role_policy(
        RoleName="iamaudit-read",
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def doctor(run: Run, estate: Estate, *arguments: str, accounts: str | None = None) -> Ran:
    return run(
        "doctor",
        "--accounts",
        accounts or estate.member_id,
        *("--external-id", estate.external_id),
        *arguments,
        variables=estate.variables,
    )


@pytest.mark.usefixtures("amy")
def test_a_role_with_the_least_policy_lacks_nothing(run: Run, estate: Estate) -> None:
    let_read(estate, *SCAN_ACTIONS)

    ran = doctor(run, estate)

    assert (ran.code, ran.stderr) == (0, "")
    assert "10 of 10" in ran.stdout
    assert ran.stdout.endswith("Nothing is missing.\n")


@pytest.mark.usefixtures("amy")
@pytest.mark.parametrize("lacking", SCAN_ACTIONS)
def test_a_role_that_lacks_one_operation_is_told_exactly_that_one(
    run: Run, estate: Estate, lacking: str
) -> None:
    let_read(estate, *(action for action in SCAN_ACTIONS if action != lacking))

    ran = doctor(run, estate)

    assert ran.code == 3
    problems = [line for line in ran.stdout.splitlines() if line.startswith(estate.member_id + ":")]
    missing = [line for line in problems if "can't be told" not in line]
    assert len(missing) == 1, problems
    told, _, granted = missing[0].partition("; grant it: ")
    assert told == f"{estate.member_id}: {lacking} is missing; no identity-based policy allows it"
    assert lacking in json.loads(granted)["Action"]


def test_a_scan_without_enrichment_needs_three_operations(run: Run, estate: Estate) -> None:
    estate.add_user("amy")
    let_read(estate, *KEY_ACTIONS)

    assert doctor(run, estate, "--for", "scan").code == 0
    assert doctor(run, estate).code == 3


def test_without_any_key_the_last_use_can_not_be_told_and_that_does_not_count(
    run: Run, estate: Estate
) -> None:
    let_read(estate, *SCAN_ACTIONS)

    ran = doctor(run, estate)

    assert ran.code == 0
    assert "iam:GetAccessKeyLastUsed can't be told: no access key was found" in ran.stdout


def test_a_role_that_does_not_let_us_in_names_both_statements(run: Run, estate: Estate) -> None:
    ran = doctor(run, estate, "--role-name", "nobody")

    assert ran.code == 4
    [line] = [line for line in ran.stdout.splitlines() if "sts:AssumeRole" in line and "{" in line]
    granted, _, trusted = line.partition("; have the role, and let it trust the caller: ")
    resource = json.loads(granted[granted.index("{") :])["Resource"]
    trust = json.loads(trusted)
    assert resource == [f"arn:aws:iam::{estate.member_id}:role/nobody"]
    assert trust["Principal"] == {"AWS": [estate.caller.user_arn]}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": estate.external_id}}


@pytest.mark.usefixtures("amy")
def test_one_account_of_two_is_incomplete_and_the_other_is_still_told(
    run: Run, estate: Estate
) -> None:
    let_read(estate, *SCAN_ACTIONS)

    ran = doctor(run, estate, accounts=f"{estate.member_id},399999999999")

    assert ran.code == 3
    assert "10 of 10" in ran.stdout
    assert "399999999999: sts:AssumeRole is missing" in ran.stdout


@pytest.mark.usefixtures("amy")
def test_an_organization_that_can_not_be_read_is_told_operation_by_operation(
    run: Run, estate: Estate
) -> None:
    let_read(estate, *SCAN_ACTIONS)
    needed = {"ListRoots", "ListAccountsForParent", "ListOrganizationalUnitsForParent"}

    ran = doctor(run, estate, accounts=f"org,{estate.member_id}")

    assert ran.code == 3
    lines = [line for line in ran.stdout.splitlines() if line.startswith("organization: ")]
    assert {line.split()[1] for line in lines} == {f"organizations:{name}" for name in needed}
    assert all(json.loads(line[line.index("{") :]) for line in lines)
    assert "10 of 10" in ran.stdout


def test_an_organization_that_can_be_read_is_examined(run: Run, estate: Estate) -> None:
    estate.allow(estate.caller, "sts:AssumeRole", *ORGANIZATION_ACTIONS, *SCAN_ACTIONS)

    ran = doctor(run, estate, accounts="org")

    assert "organization:" not in ran.stdout
    assert "own credentials" in ran.stdout


def test_wrong_credentials_reach_nothing(run: Run, estate: Estate) -> None:
    wrong = {**estate.variables, "AWS_SECRET_ACCESS_KEY": "wrong"}

    ran = run("doctor", variables=wrong)

    assert ran.code == 4
    assert ran.stdout.startswith("credentials: AWS does not accept the credentials: ")


def test_nothing_is_written(run: Run, estate: Estate) -> None:
    amy = estate.add_user("amy")
    before = everything(estate)

    doctor(run, estate)

    assert everything(estate) == before
    assert estate.keys(amy)


def everything(estate: Estate) -> object:
    found = estate.root("iam", estate.member_id).get_account_authorization_details()
    return {name: value for name, value in found.items() if name != "ResponseMetadata"}
