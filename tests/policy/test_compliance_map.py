"""The packs against a map that others made: `compliance-map.csv`, ids only."""

import csv
import re
from pathlib import Path

import pytest

from auditor.policy.compliance import problem_with
from auditor.wiring.policies import load_policies, pack_names

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0005-compliance.md"
TOPICS = {
    "iam_rotate_access_key_90_days": "key-not-rotated",
    "iam_user_accesskey_unused": "key-unused",
    "iam_user_two_active_access_key": "second-active-key",
    "iam_no_root_access_key": "root-access-key",
}
SETUP = "iam_user_no_setup_initial_access_key"
CENTRAL_ROOT = "iam_root_credentials_management_enabled"
PASSWORDS = "iam_user_console_access_unused"

CORRECTIONS = {
    ("cis-aws-1.2.0:1.3", "key-unused"): "the map lacks the version; from Security Hub",
    ("cis-aws-1.2.0:1.4", "key-not-rotated"): "the map lacks the version; from Security Hub",
    ("cis-aws-1.2.0:1.12", "root-access-key"): "the map lacks the version; from Security Hub",
    ("nist-800-53-r5:AC-2(3)", "key-not-rotated"): "Security Hub relates it to IAM.3",
}
"""What our packs carry and the map has not."""
LEFT_OUT = {("aws-fsbp:IAM.26", "key-unused"): "it is about certificates"}
"""What the map has and our packs carry not."""
FOR_PEOPLE = {SETUP, CENTRAL_ROOT}
"""Checks of controls that no rule about a key can answer."""
SLIPS = {"cis-aws-5.0.0:1.1": "cis-aws-5.0.0:1.10"}
"""Ids that the map has wrong, and the right ones."""


def control(framework: str, version: str, number: str) -> str:
    """The control of a row, in our spelling."""
    match framework:
        case "CIS":
            return f"cis-aws-{version if version.count('.') == 2 else f'{version}.0'}:{number}"
        case "AWS-Foundational-Security-Best-Practices":
            return f"aws-fsbp:{number}"
        case "PCI":  # the map adds an index of its own to the requirement
            return f"pci-dss-4.0.1:{number.rpartition('.')[0]}"
        case _:
            return f"nist-800-53-r5:{nist(number)}"


def nist(number: str) -> str:
    """`ac_2_3` is AC-2(3); parts, as in `ac_3_15_a` and `ac_2_g`, count for their control."""
    match = re.fullmatch(r"([a-z]{2})_(\d+)(?:_(\d+))?(?:_[a-z](?:_\d+)?)?", number)
    assert match, number
    family, base, enhancement = match.groups()
    return f"{family.upper()}-{base}" + (f"({enhancement})" if enhancement else "")


def rows() -> list[tuple[str, set[str]]]:
    text = Path(__file__).with_name("compliance-map.csv").read_text("utf-8")
    return [
        (
            control(row["framework"], row["version"], row["requirement_id"]),
            set(row["prowler_checks"].split(";")),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def mapped() -> set[tuple[str, str]]:
    return {(name, TOPICS[check]) for name, checks in rows() for check in checks & set(TOPICS)}


def carried() -> set[tuple[str, str]]:
    found = set()
    for pack in pack_names():
        [policy] = load_policies([pack])
        for rule in policy.rules:
            if rule.controls and pack not in {"baseline", "strict"}:
                topic = re.sub(r"-\d+$", "", rule.id.removeprefix(f"{pack}-"))
                found |= {(name, topic) for name in rule.controls}
    return found


@pytest.mark.parametrize(
    ("framework", "version", "number", "ours"),
    [
        ("CIS", "5.0", "1.13", "cis-aws-5.0.0:1.13"),
        ("CIS", "4.0.1", "1.14", "cis-aws-4.0.1:1.14"),
        ("PCI", "4.0", "8.3.9.1", "pci-dss-4.0.1:8.3.9"),
        ("PCI", "4.0", "8.3.10.1.1", "pci-dss-4.0.1:8.3.10.1"),
        ("NIST-800-53-Revision-5", "", "ac_2_3", "nist-800-53-r5:AC-2(3)"),
        ("NIST-800-53-Revision-5", "", "ac_3_15_a", "nist-800-53-r5:AC-3(15)"),
        ("NIST-800-53-Revision-5", "", "ac_2_g", "nist-800-53-r5:AC-2"),
        ("NIST-800-53-Revision-5", "", "ac_3_3_b_1", "nist-800-53-r5:AC-3(3)"),
    ],
)
def test_the_maps_spelling_is_turned_into_ours(
    framework: str, version: str, number: str, ours: str
) -> None:
    assert control(framework, version, number) == ours


def test_every_control_of_a_pack_is_in_the_map_for_the_same_check_or_a_correction() -> None:
    assert carried() - mapped() == set(CORRECTIONS)


def test_no_control_of_cis_and_fsbp_about_keys_is_left_out_silently() -> None:
    complete = {each for each in mapped() if each[0].startswith(("cis-aws-", "aws-fsbp:"))}

    assert complete - carried() == set(LEFT_OUT)


def test_the_map_has_no_check_that_we_have_not_decided_on() -> None:
    checks = set().union(*(checks for _, checks in rows()))

    assert checks == {*TOPICS, PASSWORDS, *FOR_PEOPLE}


@pytest.mark.parametrize(
    "name",
    sorted(
        {name for name, _ in (*CORRECTIONS, *LEFT_OUT)}
        | {SLIPS.get(name, name) for name, checks in rows() if checks & FOR_PEOPLE}
        | set(SLIPS)
    ),
)
def test_what_differs_from_the_map_is_told_with_its_reason(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text("utf-8")


def test_an_id_that_a_framework_lacks_is_answered_with_those_it_has() -> None:
    assert problem_with("cis-aws-5.0.0:1.14") == (
        "cis-aws-5.0.0 has no control '1.14' about access keys (it has 1.3, 1.11, 1.12, 1.13)"
    )
    assert problem_with("nist-800-53-r5:AC-2(3)") is None
    assert problem_with("acme:SEC-7") is None
