"""A command that hands out credentials ends in time, or costs whoever wanted them."""

from pathlib import Path

import anyio
import pytest
from aiobotocore.session import AioSession

from auditor.aws.configuration import Origin
from auditor.aws.providers import _ProcessProvider
from auditor.errors import ConfigurationFailure


async def test_a_command_that_does_not_end_is_given_up_and_killed(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    command = f"sh -c 'while true; do touch {beat}; sleep 0.05; done'"
    profiles = {"profiles": {"slow": {"credential_process": command}}}
    origin = Origin.of(AioSession()).of_profile("slow")
    provider = _ProcessProvider("slow", lambda: profiles, origin, longest=0.5)

    with pytest.raises(ConfigurationFailure, match="sh did not end within"):
        await provider.load()

    await anyio.sleep(0.3)
    last = beat.stat().st_mtime_ns
    await anyio.sleep(0.3)
    assert beat.stat().st_mtime_ns == last
