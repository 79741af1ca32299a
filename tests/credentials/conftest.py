from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.credentials.home import Home
from tests.credentials.sources import Sources, a_cloud
from tests.faults.sso import IdentityCenter


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    cloud = a_cloud()
    async with Sources(cloud, IdentityCenter(cloud)).serving() as sources:
        yield Home(tmp_path, sources)
