from collections.abc import Iterator

import pytest

from tests.faults.desk import caller_in


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    with caller_in():
        yield
