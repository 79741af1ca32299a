"""The region that services with regions are asked in."""

from botocore.exceptions import ProfileNotFound
from botocore.session import Session

from auditor.aws.connection import Connection

DEFAULT_REGION = "us-east-1"


def region_of(connection: Connection) -> str:
    """Return the region as the SDK finds it: given, of the environment, or of the profile."""
    try:
        configured = Session(profile=connection.profile).get_config_variable("region")
    except ProfileNotFound:
        configured = None
    return connection.region or configured or DEFAULT_REGION
