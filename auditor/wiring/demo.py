"""The demo's organization, served on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from auditor.errors import AuditError
from auditor.wiring.clock import SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAws:
    """AWS as served by the demo."""

    url: str
    environment: Mapping[str, str] = field(repr=False)
    """Variables for a principal of the management account."""
    role_name: str


@contextmanager
def demo_aws() -> Iterator[DemoAws]:
    """Serve the demo's organization on the loopback; raise AuditError where moto is missing."""
    try:
        from auditor.demo.emulator import Emulator  # noqa: PLC0415 -- an extra, and slow to import
        from auditor.demo.organization import build  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise AuditError(
            f"the demo needs {error.name}", hint="pip install 'iamaudit[demo]'"
        ) from None
    clock = SystemClock()
    with Emulator(clock=clock.now) as emulator:
        organization = build(emulator, now=clock.now())
        yield DemoAws(
            url=emulator.url,
            environment={
                **organization.environment,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            role_name=organization.role_name,
        )
