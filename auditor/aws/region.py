"""The region that services with regions are asked in."""

from botocore.session import Session

from auditor.aws.caller import no_caller
from auditor.aws.configuration import Origin, configured
from auditor.aws.connection import Connection
from auditor.errors import ConfigurationFailure

DEFAULT_REGION = "us-east-1"


def region_of(connection: Connection) -> str:
    """Return the region as the SDK finds it: given, of the environment, or of the profile.

    Raises AuditError where the profile can't be read.
    """
    session = Session(profile=connection.profile)
    try:
        with configured(Origin.of(session)):
            configured_region = session.get_config_variable("region")
    except ConfigurationFailure as failure:
        raise no_caller(failure) from None
    return connection.region or configured_region or DEFAULT_REGION
