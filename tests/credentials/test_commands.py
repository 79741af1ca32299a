"""Broken credentials and settings in the commands beside `scan`."""

import json

import pytest

from tests.credentials.cases import BASE, ENVIRONMENT, KEYS, Case
from tests.credentials.home import SCAN, Home
from tests.faults.cloud import MANAGEMENT

DAMAGED = Case(config="[default]\nregion=us-east-1\nregion=eu-west-1\n")
NO_PROCESS = Case(config="[default]\nregion = us-east-1\ncredential_process = /gone\n")
MEMBER = f"{int(MANAGEMENT) + 1:012}"
CALLS = {
    "accounts": ("accounts",),
    "doctor": ("doctor",),
    "keys list": ("keys", "list", "--user", "amy"),
    "apply": ("apply", "reports/latest/plan.json", "--yes", "--max-actions", "100"),
    "publish securityhub": ("publish", "securityhub"),
}


async def scanned(home: Home) -> None:
    environment = home.set_up(Case(variables=ENVIRONMENT))
    ran = await home.run(environment, *SCAN, "--accounts", "org", "--remediate", "dry-run")
    assert ran.code == 0, ran.stderr
    plan = json.loads((home.folder / "reports/latest/plan.json").read_text())
    assert plan["actions"]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (DAMAGED, ".aws/config: line 3: region is given twice in [default]"),
        (NO_PROCESS, "credential_process of the default profile in"),
    ],
    ids=["a damaged file", "a process that is not installed"],
)
@pytest.mark.parametrize("name", CALLS)
async def test_the_callers_configuration_is_a_mistake_of_usage_in_each_command(
    name: str, case: Case, says: str, home: Home
) -> None:
    await scanned(home)
    environment = home.set_up(case)

    ran = await home.run(environment, *CALLS[name])

    assert ran.code == 2, ran.stderr + ran.stdout
    assert len(ran.stderr.splitlines()) == 1
    assert says in ran.stderr


async def test_a_plan_needs_no_credentials_and_protects_the_keys_of_broken_profiles(
    home: Home,
) -> None:
    await scanned(home)
    plan = home.folder / "reports/latest/plan.json"
    own = json.loads(plan.read_text())["actions"][0]["access_key_id"]
    environment = home.set_up(
        Case(
            config=f"[profile good]\n{KEYS}[profile bad]\nAWS_Access_Key_ID: '{own}'\n"
            "credential_process = /gone\nsource_profile = nowhere\nregion = a b\n"
        )
    )

    ran = await home.run(environment, "plan")

    assert ran.code == 0, ran.stderr
    planned = [each["access_key_id"] for each in json.loads(plan.read_text())["actions"]]
    assert planned
    assert own not in planned


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_doctor_names_the_account_whose_profile_is_broken(first: bool, home: Home) -> None:
    profile = "credential_process = /gone\n"
    environment = home.set_up(Case(profile=profile, variables=ENVIRONMENT))
    lines = [f"- {{id: '{MANAGEMENT}', profile: prof}}\n", f"- id: '{MEMBER}'\n"]
    (home.folder / "all.yaml").write_text("".join(lines if first else lines[::-1]))

    ran = await home.run(environment, "doctor", "--accounts", "@all.yaml")

    assert ran.code == 3, ran.stderr + ran.stdout
    assert f"{MANAGEMENT}: configuration failed; " in ran.stdout
    assert "credential_process of profile prof in" in ran.stdout
    assert f"{MEMBER}: configuration" not in ran.stdout


async def test_an_apply_goes_on_in_the_accounts_whose_profiles_are_whole(home: Home) -> None:
    role = f"role_arn = arn:aws:iam::{MEMBER}:role/Auditor\nsource_profile = base\n"
    environment = home.set_up(Case(profile=role, more=BASE, variables=ENVIRONMENT))
    (home.folder / "all.yaml").write_text(
        f"- {{id: '{MEMBER}', profile: prof}}\n- id: '{MANAGEMENT}'\n"
    )
    for id_ in (MEMBER, MANAGEMENT):
        home.sources.cloud.add_idle_key(id_)
    scan = await home.run(environment, *SCAN, "--accounts", "@all.yaml", "--remediate", "dry-run")
    assert scan.code == 0, scan.stderr
    broken = home.set_up(Case(profile="credential_process = /gone\n", variables=ENVIRONMENT))
    plan = "reports/latest/plan.json"
    accounts = [
        each["account_id"] for each in json.loads((home.folder / plan).read_text())["actions"]
    ]
    assert set(accounts) == {MEMBER, MANAGEMENT}

    ran = await home.run(broken, "apply", plan, "--yes", "--max-actions", "100")

    assert ran.code == 4, ran.stderr + ran.stdout
    changed = {each.account for each in home.sources.cloud.calls if "Update" in each.operation}
    assert changed == {MANAGEMENT}
    assert "credential_process" in " ".join(ran.stdout.split())
