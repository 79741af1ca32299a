from collections.abc import Iterator
from itertools import count

import pytest

from tests.ministack.seed import Estate, ministack, seed

_numbers = count(1)


@pytest.fixture(scope="session")
def ministack_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack for all tests of this folder."""
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture
def estate(ministack_url: str, monkeypatch: pytest.MonkeyPatch) -> Estate:
    """Two fresh accounts, and the environment of a principal of the first."""
    estate = seed(ministack_url, number=next(_numbers))
    for name, value in estate.variables.items():
        monkeypatch.setenv(name, value)
    return estate
