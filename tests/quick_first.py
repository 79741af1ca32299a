"""A plugin of the mutation run: the tests that took least come first, properties try little.

A mutant is killed by the first test that fails, so the order decides how long that takes.
"""

import json
import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

_DURATIONS = Path("mutmut-stats.json")
MOST_EXAMPLES = "IAMAUDIT_TEST_MOST_EXAMPLES"
"""The variable that caps what the properties of the policy language try."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by what each took when the run measured them."""
    if _DURATIONS.exists():
        took = json.loads(_DURATIONS.read_text())["duration_by_test"]
        items.sort(key=lambda item: took.get(item.nodeid, 0.0))


def capped(examples: int) -> settings:
    """Return how much a property tries: the same in every run, and none made smaller if capped."""
    most = os.environ.get(MOST_EXAMPLES)
    return settings(
        max_examples=examples if most is None else min(examples, int(most)),
        phases=list(Phase) if most is None else [Phase.explicit, Phase.generate],
        deadline=None,
        derandomize=True,
    )
