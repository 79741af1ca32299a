"""`iamaudit deploy`: what is printed is right by the tools of those who deploy it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from hcl2.utils import SerializationOptions

from auditor.aws.permissions import Purpose, least, policy_document
from auditor.errors import AuditError
from auditor.wiring.deploy import CLOUDFORMATION, TERRAFORM, _cfn, _hcl, check_role, make_trust
from tests.command import Run, runs_in

UNQUOTED = SerializationOptions(strip_string_quotes=True)
CFN_LINT = Path(sys.executable).with_name("cfn-lint")
TRUSTED = ("--trusted-account", "111111111111")
AUDIT = "arn:aws:iam::111111111111:role/audit"
CHANGE = "arn:aws:iam::111111111111:role/change"
FULL = (
    *("--trusted-principal", AUDIT, "--external-id", "an=example", "--role-name", "ops/read"),
    *("--organization-id", "o-abcdefghij", "--allow-source-identity"),
    *("--with-write-role", "--write-role-name", "write", "--write-principal", CHANGE),
)
CHOICES = {
    "read": TRUSTED,
    "write": (*TRUSTED, "--with-write-role"),
    "delete": (*TRUSTED, "--with-write-role", "--allow-delete"),
    "rotate": (*TRUSTED, "--with-write-role", "--allow-rotate"),
    "full": FULL,
}
WRITE = {
    "write": least(Purpose.APPLY, partition="P", account_id="A"),
    "delete": least(Purpose.APPLY, partition="P", account_id="A", delete=True),
    "rotate": least(Purpose.ROTATE, partition="P", account_id="A", secrets_in="A"),
    "full": least(Purpose.APPLY, partition="P", account_id="A"),
}
CONDITION = {"StringEquals": {"sts:ExternalId": "an=example", "aws:PrincipalOrgID": "o-abcdefghij"}}


class Cloud(yaml.SafeLoader):
    """YAML with CloudFormation's tags as plain text."""


Cloud.add_constructor("!GetAtt", lambda loader, node: node.value)


def cloudformation(run: Run, *options: str) -> dict[str, Any]:
    ran = run("deploy", "cloudformation", *options)
    assert (ran.code, ran.stderr) == (0, "")
    return dict(yaml.load(ran.stdout, Loader=Cloud))  # noqa: S506 -- a safe loader


def terraform(run: Run, *options: str) -> dict[str, dict[str, Any]]:
    """The resources by type and name, their texts without quotes."""
    ran = run("deploy", "terraform", *options)
    assert (ran.code, ran.stderr) == (0, "")
    read = hcl2.loads(ran.stdout, serialization_options=UNQUOTED)
    return {
        f"{kind}.{name}": body
        for block in read["resource"]
        for kind, named in block.items()
        for name, body in named.items()
    }


def plain(value: object, place: Mapping[str, str]) -> Any:
    """The value with P and A for a language's words for partition and account."""
    text = json.dumps(value).replace(place["partition"], "P").replace(place["account_id"], "A")
    return json.loads(text, object_hook=lambda each: each.get("Fn::Sub", each))


def test_a_choice_has_what_its_write_role_needs() -> None:
    assert set(WRITE) == set(CHOICES) - {"read"}


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Any]]:
    """What cfn-lint has against the template of each choice; it takes long to start."""
    folder = tmp_path_factory.mktemp("linted")
    files = {choice: folder / f"{choice}.yaml" for choice in CHOICES}
    for choice, file in files.items():
        file.write_text(runs_in(folder)("deploy", "cloudformation", *CHOICES[choice]).stdout)
        assert file.stat().st_size
    ran = subprocess.run(
        [CFN_LINT, "--format", "json", *files.values()],
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(ran.stdout)
    assert bool(told) == bool(ran.returncode), ran.stderr
    return {
        choice: [each for each in told if each["Filename"] == str(file)]
        for choice, file in files.items()
    }


@pytest.mark.parametrize("choice", CHOICES)
def test_cfn_lint_has_nothing_to_say(linted: Mapping[str, list[Any]], choice: str) -> None:
    assert linted[choice] == []


@pytest.mark.parametrize("choice", CHOICES)
def test_the_template_grants_what_the_table_says(run: Run, choice: str) -> None:
    roles = cloudformation(run, *CHOICES[choice])["Resources"]

    policies = {
        name: plain(role["Properties"]["Policies"][0]["PolicyDocument"], CLOUDFORMATION)
        for name, role in roles.items()
    }
    assert policies.pop("ReadRole") == policy_document(least(Purpose.ENRICH))
    assert policies == ({"WriteRole": policy_document(WRITE[choice])} if choice in WRITE else {})


@pytest.mark.parametrize("choice", CHOICES)
def test_the_configuration_grants_what_the_table_says(run: Run, choice: str) -> None:
    resources = terraform(run, *CHOICES[choice])

    policies = dict(policies_of(resources))
    assert policies.pop("iamaudit_read") == policy_document(least(Purpose.ENRICH))
    assert policies == (
        {"iamaudit_write": policy_document(WRITE[choice])} if choice in WRITE else {}
    )


def test_publishing_is_granted_to_the_role_for_reading_by_name(run: Run) -> None:
    role = cloudformation(run, *TRUSTED, "--allow-publish")["Resources"]["ReadRole"]

    granted = [*least(Purpose.ENRICH), *least(Purpose.PUBLISH)]
    assert role["Properties"]["Policies"][0]["PolicyDocument"] == policy_document(granted)


def policies_of(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, body in resources.items():
        kind, _, label = name.partition(".")
        if kind.strip('"') == "aws_iam_role_policy":
            yield label.strip('"'), plain(encoded(body["policy"]), TERRAFORM)


def encoded(text: str) -> Any:
    """What a `jsonencode(…)` encodes, as the parser reads it."""
    inner = text.removeprefix("${").removesuffix("}").strip()
    assert inner.startswith("jsonencode("), inner
    body = inner.removeprefix("jsonencode(").removesuffix(")")
    return hcl2.loads(f"x = {body}", serialization_options=UNQUOTED)["x"]


def test_both_roles_trust_whom_they_are_told_to(run: Run) -> None:
    roles = cloudformation(run, *FULL)["Resources"]

    read, write = (
        roles[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
        for name in ("ReadRole", "WriteRole")
    )
    assert (read["Principal"], write["Principal"]) == ({"AWS": [AUDIT]}, {"AWS": [CHANGE]})
    assert read["Condition"] == write["Condition"] == CONDITION
    assert read["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]
    assert roles["ReadRole"]["Properties"]["Path"] == "/ops/"
    assert roles["ReadRole"]["Properties"]["RoleName"] == "read"


def test_the_plain_trust_policy_says_the_same(run: Run) -> None:
    options = ("--trusted-principal", AUDIT, "--external-id", "an=example")

    ran = run("deploy", "trust-policy", *options, "--organization-id", "o-abcdefghij")

    assert json.loads(ran.stdout)["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [AUDIT]},
            "Action": ["sts:AssumeRole"],
            "Condition": CONDITION,
        }
    ]


@pytest.mark.parametrize(
    "hostile",
    ['"', "${aws:username}", "%{ if true }", "{{ 7 * 7 }}", "*", "a\nb", "a: b", "\u202e", "<b>"],
)
@pytest.mark.parametrize(
    "option",
    [
        "--trusted-account",
        "--trusted-principal",
        "--external-id",
        "--organization-id",
        "--role-name",
        "--write-role-name",
        "--write-principal",
    ],
)
def test_hostile_input_is_refused(option: str, hostile: str) -> None:
    text = f"{AUDIT}{hostile}" if option.endswith("principal") else f"ab{hostile}"

    with pytest.raises(AuditError, match=r"not one that AWS takes|not an account"):
        given(option, text)


def given(option: str, text: str) -> None:
    """What the option's value goes through."""
    if option.endswith("role-name"):
        check_role(text, option=option)
        return
    make_trust(
        [text] if option == "--trusted-account" else ["111111111111"],
        [text] if option.endswith("principal") else [],
        external_id=text if option == "--external-id" else None,
        organization_id=text if option == "--organization-id" else None,
        source_identity=False,
    )


def test_even_what_slipped_through_would_stay_text() -> None:
    hostile = 'a"${file("/etc/passwd")}%{ if true }\n'

    assert hcl2.loads(f"x = {_hcl(hostile)}")
    assert "$${file" in _hcl(hostile)
    assert "%%{" in _hcl(hostile)
    assert yaml.safe_load(_cfn(hostile)) == hostile


@pytest.mark.parametrize(
    "wrong",
    [
        ["cloudformation"],
        ["terraform", *TRUSTED, "--allow-rotate"],
        ["terraform", *TRUSTED, "--write-principal", AUDIT],
        ["terraform", *TRUSTED, "--with-write-role", "--write-role-name", "iamaudit-read"],
        ["trust-policy", "--trusted-principal", "arn:aws:sts::111111111111:assumed-role/a/b"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_the_mend(run: Run, wrong: list[str]) -> None:
    ran = run("deploy", *wrong)

    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("iamaudit: ")
    assert "; " in ran.stderr
