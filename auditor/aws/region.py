"""The region that services with regions are asked in."""

import os
from typing import Any

from botocore.session import Session

from auditor.aws.caller import no_caller
from auditor.aws.configuration import Origin, configured
from auditor.aws.connection import Connection
from auditor.errors import ConfigurationFailure

DEFAULT_REGION = "us-east-1"
REGION_VARIABLE = "AWS_REGION"


def use_region_variable(session: Any) -> None:
    """Take the region of AWS_REGION before any other, as the CLI does; an empty one is not given.

    The SDK for Python reads AWS_DEFAULT_REGION alone.
    """
    if os.environ.get(REGION_VARIABLE):
        session.set_config_variable("region", os.environ[REGION_VARIABLE])


def region_of(connection: Connection) -> str:
    """Return the region as the SDK finds it: given, of the environment, or of the profile.

    Raises AuditError where the profile can't be read.
    """
    session = Session(profile=connection.profile)
    use_region_variable(session)
    try:
        with configured(Origin.of(session)):
            configured_region = session.get_config_variable("region")
    except ConfigurationFailure as failure:
        raise no_caller(failure) from None
    return connection.region or configured_region or DEFAULT_REGION
