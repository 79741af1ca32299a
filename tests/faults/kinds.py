"""What can go wrong, by name; and what AWS says where it refuses."""

from collections.abc import Mapping
from enum import StrEnum

from bench.fake_aws.answers import RefusedError
from tests.faults.cloud import EXPIRED


class Fault(StrEnum):
    """What can go wrong, by what is seen of it."""

    THROTTLED = "throttled"
    TOO_MANY = "429 with Retry-After"
    ERROR = "500 with an error document"
    UNAVAILABLE = "503 with an HTML page"
    BARE = "500 without a body"
    DENIED = "denied"
    EXPIRED = "expired token"
    SKEWED = "clock skew"
    SUSPENDED = "account suspended"
    RESET_BEFORE = "reset before the answer"
    RESET_UNHEARD = "reset after the deed, before the answer"
    RESET_DURING = "reset during the body"
    RESET_AFTER = "reset after the body"
    CLOSED = "closed before the answer"
    HANGS = "hangs"
    HANGS_MIDWAY = "hangs in the body"
    DRIPS = "slow drip"
    DRIPS_FOREVER = "endless drip"
    CUT = "truncated body"
    CUT_CHUNKS = "truncated chunks"
    UNENDED = "body that ends with the connection"
    CHUNKED = "body in chunks"
    EMPTY = "200 without a body"
    HTML = "200 with an HTML page"
    JSON = "200 in the other protocol"
    WRONG_TYPE = "wrong content type"
    TWICE = "answer sent twice"
    NO_DATES = "malformed dates"
    SAME_MARKER = "repeated marker"
    ENDLESS_SAME = "endless markers, same page"
    ENDLESS_EMPTY = "endless markers, empty pages"
    NO_MARKER = "truncated without a marker"
    OVERLAP = "overlapping pages"
    IN_PROGRESS = "report in progress"
    REPORT_EXPIRED = "report expired"
    REPORT_MISSING = "report missing"
    REPORT_NOT_READY = "report not ready after all"
    REPORT_LIMIT = "report asked for too often"
    STALE = "stale report, root key made or deleted since"
    SPOILT_VALUE = "one spoilt value in the report"
    BOM = "report with a byte order mark"
    NO_ZONE = "dates without a zone"
    ANOTHERS = "another user's name"
    MARKER_ALONE = "marker without IsTruncated"
    MARKER_AT_END = "marker, and IsTruncated false"
    NEW_STATUS = "a key status that is new"
    BARE_USE = "last use without service and region"
    PACKED = "no room for a session policy"
    PACKED_LONG = "no room for a long session policy"
    REGION_DISABLED = "region disabled"
    DENIED_ANEW = "denied, with an authorization id"
    ECHOED = "error that repeats the secret"


_WHY = (
    "User: arn:aws:sts::100000000001:assumed-role/iamaudit-read/x is not authorized to perform this"
    " because no identity-based policy allows it. For complete details, call the"
    " GetRequestAuthorizationDetails API with the following authorization id:"
    " EXAMPLE1a2b3c4d5e6f7g8h9i0j"
)
_PACKED = RefusedError(400, "PackedPolicyTooLarge", "Packed size is 104% of the limit")

REFUSALS: Mapping[Fault, RefusedError] = {
    Fault.THROTTLED: RefusedError(400, "Throttling", "Rate exceeded"),
    Fault.TOO_MANY: RefusedError(429, "TooManyRequestsException", "Too many requests"),
    Fault.ERROR: RefusedError(500, "InternalFailure", "An internal error occurred"),
    Fault.DENIED: RefusedError(403, "AccessDenied", "not authorized to perform this"),
    Fault.DENIED_ANEW: RefusedError(403, "AccessDenied", _WHY),
    Fault.PACKED: _PACKED,
    Fault.PACKED_LONG: _PACKED,
    Fault.REGION_DISABLED: RefusedError(
        403, "RegionDisabledException", "STS is not activated in this region for this account"
    ),
    Fault.EXPIRED: EXPIRED,
    Fault.SKEWED: RefusedError(
        403, "SignatureDoesNotMatch", "Signature not yet current: 20301124T120000Z is still later"
    ),
    Fault.REPORT_EXPIRED: RefusedError(410, "ReportExpired", "The credential report has expired"),
    Fault.REPORT_MISSING: RefusedError(410, "ReportNotPresent", "No report is present"),
    Fault.REPORT_NOT_READY: RefusedError(404, "ReportInProgress", "A report is being made"),
    Fault.REPORT_LIMIT: RefusedError(409, "LimitExceeded", "Too many reports were asked for"),
}
HARMLESS = frozenset(
    {
        *(Fault.RESET_AFTER, Fault.UNENDED, Fault.CHUNKED, Fault.WRONG_TYPE, Fault.DRIPS),
        *(Fault.BOM, Fault.NO_ZONE, Fault.BARE_USE, Fault.MARKER_ALONE, Fault.MARKER_AT_END),
        *(Fault.PACKED, Fault.PACKED_LONG),  # a scan goes on with a shorter policy, or none
    }
)
"""After these the answer is whole, and must be taken as such."""
HANGING = frozenset({Fault.HANGS, Fault.HANGS_MIDWAY, Fault.DRIPS_FOREVER})
"""These end only where the one who asked gives up."""
UNDONE = frozenset(
    {*REFUSALS, Fault.UNAVAILABLE, Fault.BARE, Fault.RESET_BEFORE, Fault.HANGS, Fault.ECHOED}
)
"""The cloud never hears of a request that one of these strikes."""
