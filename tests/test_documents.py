"""What the documents show works."""

import re
from pathlib import Path

import yaml

from auditor.targets.file import read_accounts
from auditor.wiring.cases import try_cases
from tests.builders import NOW, compiled

ROOT = Path(__file__).resolve().parent.parent


def yaml_blocks(name: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)


def test_the_policy_in_its_document_loads() -> None:
    text, _, extending, _ = yaml_blocks("docs/policies.md")

    policy = compiled(text, source="docs/policies.md")
    extended = compiled(extending, source="docs/policies.md")

    assert [rule.id for rule in policy.rules] == ["key-too-old", "no-owner"]
    assert policy.exemptions[0].owner == "platform@example.com"
    assert len(extended.rules) == 8


def test_the_test_of_a_policy_in_its_document_holds(tmp_path: Path) -> None:
    house, _, _, cases = yaml_blocks("docs/policies.md")
    (tmp_path / "house.yaml").write_text(house)
    (tmp_path / "cases.yaml").write_text(cases)

    [tried] = try_cases(tmp_path / "cases.yaml", now=NOW)

    assert not tried.differences


def test_the_accounts_file_in_the_readme_can_be_read(tmp_path: Path) -> None:
    [text] = yaml_blocks("README.md")
    (tmp_path / "accounts.yaml").write_text(text)

    first, second = read_accounts(tmp_path / "accounts.yaml")

    assert first.external_id == "an-example"
    assert second.profile == "legacy"


def test_links_between_the_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/*.md")]
    for document in documents:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_workflow_is_yaml() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())

    assert workflow["jobs"]["check"]["steps"][-1] == {"run": "make check"}
