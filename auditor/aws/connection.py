"""How the operator wants AWS to be reached."""

from dataclasses import dataclass

ANSWER_READ_TIMEOUTS = 4
"""A server that lets a byte drip now and then must not hold a run up for hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach AWS, as the operator gave it."""

    role_names: tuple[str, ...] = ("iamaudit-read",)
    """Tried in order in each account but the caller's own; may contain a path."""
    write_role_name: str = "iamaudit-write"
    """Assumed to change something in an account but the caller's own; may contain a path."""
    external_id: str | None = None
    source_identity: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    allow_http: bool = False
    """Whether an endpoint beyond this machine may do without TLS."""
    connect_timeout: float = 5.0
    """Seconds."""
    read_timeout: float = 30.0
    """Seconds without a byte; a whole answer may take `ANSWER_READ_TIMEOUTS` times as long."""
