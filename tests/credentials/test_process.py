"""Providers of credentials: a command ends in time, and a refused parameter is named."""

from pathlib import Path

import anyio
import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ParamValidationError

from auditor.aws.configuration import Origin, configured
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


def test_a_parameter_that_the_sdk_refuses_is_named_without_its_value() -> None:
    report = "Invalid length for parameter RoleArn, value: wJalrXUtnFEMI, valid min length: 20"
    origin = Origin.of(AioSession()).of_profile("a")

    with (
        pytest.raises(ConfigurationFailure, match="RoleArn is not what AWS takes") as caught,
        configured(origin, "assume-role"),
    ):
        raise ParamValidationError(report=report)

    assert "profile a" in str(caught.value)
    assert "wJalrXUtnFEMI" not in f"{caught.value} {caught.value.hint}"
