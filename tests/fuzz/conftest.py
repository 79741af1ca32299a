"""What was tried is counted over all tests of this folder."""

import pytest

from tests.fuzz.trials import write_result


def pytest_sessionfinish(session: pytest.Session) -> None:
    write_result()
