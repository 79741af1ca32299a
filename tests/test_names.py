"""Names that operators give are what AWS takes: on the command line, in files, in every command."""

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from auditor.errors import AuditError
from auditor.model import names
from auditor.targets.file import read_accounts
from tests.command import Run

OFFLINE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ONE, TWO = "111111111111", "222222222222"
ARN = f"arn:aws:iam::{TWO}:role/audit"

TAKEN = [
    (names.ROLE_NAME, "iamaudit-read"),
    (names.ROLE_NAME, "a+=,.@_-Z9"),
    (names.ROLE_NAME, "ops/team.x/read"),
    (names.ROLE_NAME, "x" * 64),
    (names.ROLE_NAME, "p" * 510 + "/x"),
    (names.ROLE_ARN, ARN),
    (names.ROLE_ARN, f"arn:aws-us-gov:iam::{TWO}:role/aws-reserved/sso.amazonaws.com/x_1"),
    (names.EXTERNAL_ID, "a:b/c@d"),
    (names.EXTERNAL_ID, "x" * 1224),
    (names.SOURCE_IDENTITY, "eve@example.com"),
    (names.SOURCE_IDENTITY, "x" * 64),
    (names.REGION, "eu-west-1"),
    (names.REGION, "us-isob-east-1"),
]
REFUSED = [
    *(
        (names.ROLE_NAME, text)
        for text in (
            "", " ", "a b", "../x", "a/../x", ".", "..", "./x", "a//x", "//x", "x/", "/", "a\n",
            "x" * 65, "p" * 511 + "/x", ARN, "r\u00f6le", "a*", "${x}", "a:b", "\u202ex",
        )
    ),
    *(
        (names.ROLE_ARN, text)
        for text in (
            "", "audit", f"arn:aws:iam::{TWO}:user/x", f"arn:aws:iam::{TWO}:role/",
            f"arn:aws:iam::{TWO}:role/a b", f"arn:aws:iam::{TWO}:role/{'x' * 65}",
            f"arn:aws:iam::{TWO}:role/x\n", "arn:aws:iam::22222222222:role/x",
            f"arn:x:iam::{TWO}:role/x", f"arn:aws:sts::{TWO}:assumed-role/x/y",
        )
    ),
    *((names.EXTERNAL_ID, text) for text in ("", "x", "a b", "x" * 1225, "ab\n", "\u00e4\u00e4")),
    *((names.SOURCE_IDENTITY, text) for text in ("", "x", "a b", "x" * 65, "a:b", "a/b", "ab\n")),
    *(
        (names.REGION, text)
        for text in (
            "", "eu west", "evil.example/#", "us-east-1@evil", "EU-WEST-1", "-a", "a-", "1234",
            "x" * 64, "eu-west-1\n", "a.b", "a:80",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), TAKEN)
def test_what_aws_takes_is_taken(kind: names.Kind, text: str) -> None:
    assert names.checked(kind, text, option="--option") == text


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_what_aws_would_not_take_is_refused_with_the_option_and_what_to_write(
    kind: names.Kind, text: str
) -> None:
    with pytest.raises(AuditError, match=r"^--option") as caught:
        names.checked(kind, text, option="--option")

    assert caught.value.hint


def test_a_leading_slash_is_no_part_of_a_role_name() -> None:
    assert names.checked(names.ROLE_NAME, "/ops/read", option="--role-name") == "ops/read"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(names.EXTERNAL_ID, "externalIdType"), (names.SOURCE_IDENTITY, "sourceIdentityType")],
)
def test_the_table_is_what_the_service_model_of_sts_says(kind: names.Kind, shape: str) -> None:
    loader = botocore.session.get_session().get_component("data_loader")
    said: dict[str, Any] = loader.load_service_model("sts", "service-2")["shapes"][shape]
    pattern = re.compile(said["pattern"].replace("\\/", "/"), re.ASCII)
    texts = [text for mine, text in (*TAKEN, *REFUSED) if mine is kind]

    for text in texts:
        fits = said["min"] <= len(text) <= said["max"] and pattern.fullmatch(text) is not None
        assert names.fits(kind, text) is fits


WRONG = [
    ("--role-name", ARN, "role_arn"),
    ("--role-name", "", "--role-name is empty"),
    ("--role-name", "../x", "--role-name"),
    ("--write-role-name", "a b", "--write-role-name"),
    ("--external-id", "a b", "--external-id"),
    ("--source-identity", "x" * 65, "--source-identity"),
    ("--region", "evil.example/#", "--region"),
]
COMMANDS = [
    ("scan",),
    ("doctor",),
    ("accounts",),
    ("apply", "plan.json"),
    ("undo", "20260101T000000Z-00000000"),
    ("keys", "list"),
    ("publish", "securityhub"),
    ("permissions", "caller"),
    ("deploy", "cloudformation", "--trusted-account", ONE, "--with-write-role"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_such_a_name_before_it_asks_aws(
    run: Run, command: tuple[str, ...]
) -> None:
    known = run(*(part for part in command[:2] if part.isalpha()), "--help").stdout
    tried = 0
    for option, text, said in WRONG:
        if not re.search(rf"^│ [* ]*{option} ", known, re.M):
            continue
        tried += 1
        ran = run(*command, option, text, variables=OFFLINE)

        assert (option, ran.code, ran.stdout) == (option, 2, "")
        assert said in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    assert tried


def refused(tmp_path: Path, text: str) -> str:
    file = tmp_path / "accounts.yaml"
    file.write_text(text)
    with pytest.raises(AuditError) as caught:
        read_accounts(file)
    return f"{caught.value}; {caught.value.hint}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("role_arn", f"arn:aws:iam::{ONE}:role/a b"),
        ("role_arn", f"arn:aws:iam::{ONE}:role/{'x' * 65}"),
        ("role_arn", "audit"),
        ("role_arn", f"arn:aws:iam::{TWO}:role/x"),
        ("external_id", "a b"),
        ("external_id", "x"),
        ("profile", ""),
    ],
)
def test_names_in_a_file_of_accounts_are_held_to_the_same(
    tmp_path: Path, key: str, text: str
) -> None:
    said = refused(tmp_path, f"- id: '{ONE}'\n  {key}: '{text}'\n")

    assert f"accounts.yaml:2:{len(key) + 5}: 0.{key}: " in said
    assert "Value error" not in said


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("role", "../x"),
        ("role", "a b"),
        ("role", f"arn:aws:iam::{ONE}:user/x"),
        ("external_id", "x"),
    ],
)
def test_names_in_a_file_of_c7n_org_are_held_to_the_same(
    tmp_path: Path, key: str, text: str
) -> None:
    said = refused(tmp_path, f"accounts:\n- account_id: '{ONE}'\n  {key}: '{text}'\n")

    assert f"accounts.yaml:3:{len(key) + 5}: 0.{key}: " in said
    assert "Value error" not in said
