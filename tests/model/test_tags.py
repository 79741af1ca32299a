"""IAM compares tag keys without case; so does whatever looks for a tag by its key."""

import pytest

from auditor.model.identity import owner_of
from auditor.model.plan import Protection
from auditor.model.tags import values_of

SPELLINGS = ["breakglass", "BreakGlass", "BREAKGLASS"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("asked", ["breakglass", "BREAKGLASS"])
def test_a_protection_by_tag_holds_in_every_spelling_of_the_key(asked: str, spelling: str) -> None:
    assert Protection(tag=asked).by_tag({spelling: "yes"})


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_a_protection_by_a_tags_value_holds_in_every_spelling(value: str) -> None:
    assert Protection(tag="keep=true").by_tag({"Keep": value})


def test_one_of_two_spellings_is_enough_for_a_protection() -> None:
    assert Protection(tag="keep=yes").by_tag({"keep": "no", "Keep": "yes"})


def test_another_value_or_key_protects_nobody() -> None:
    assert not Protection(tag="keep=yes").by_tag({"keep": "no", "keeper": "yes"})


def test_the_owner_is_found_in_every_spelling() -> None:
    assert owner_of({"OWNER": "mail team"}) == "mail team"


def test_every_spelling_of_a_key_counts() -> None:
    assert values_of({"a": "1", "A": "2", "b": "3"}, "a") == ["1", "2"]
