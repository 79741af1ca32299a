"""IAM's pages: MaxItems and Marker in, IsTruncated and Marker out."""

from collections.abc import Mapping

LARGEST_PAGE, PAGE = 1000, 100
LONG_ANSWERS = 32
"""Kept of each kind: to make one takes ten milliseconds, in which at AWS other calls go on."""


def page(form: Mapping[str, str], total: int) -> tuple[range, int | None]:
    """Return the numbers on the page that is asked for, and where the next one begins."""
    size = min(int(form.get("MaxItems") or PAGE), LARGEST_PAGE)
    start = int(form.get("Marker", "0"))
    end = min(start + size, total)
    return range(start, end), end if end < total else None


def token(following: int | None) -> str:
    """Return the end of a page."""
    if following is None:
        return "<IsTruncated>false</IsTruncated>"
    return f"<IsTruncated>true</IsTruncated><Marker>{following}</Marker>"
