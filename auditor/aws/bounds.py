"""How large an answer may be, and what an XML document may not hold."""

from datetime import UTC, datetime

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of a body; more is a failure."""
_MOST_TAGS = 2_000_000
"""A page of 1,000 users, each with ten policies and all their groups and tags, has a quarter."""
_LONGEST_NAME = 2048
"""Characters of an ARN; names, paths and tags are shorter."""


def check_xml(body: bytes) -> None:
    """Raise ValueError for a document with a document type, or with more elements than any answer.

    Without a document type there are no entities but XML's own; a tree takes more memory than its
    text. Raises it for UTF-16 as well, which expat knows by itself, and in which both would hide.
    """
    if b"\0" in body:
        raise ValueError("not in UTF-8")
    if b"<!DOCTYPE" in body:  # in UTF-8 it can't be written otherwise
        raise ValueError("a document type")
    if body.count(b"<") > _MOST_TAGS:
        raise ValueError("too many elements")


def named(text: str) -> str:
    """Return a name, an ARN or another id of AWS's; raise ValueError for one that is too long."""
    if len(text) > _LONGEST_NAME:
        raise ValueError("a name is too long")
    return text


def utc(at: datetime) -> datetime:
    """Return the instant in UTC; a time without a zone is UTC, as all of AWS's are.

    At either end of the calendar UTC may have no such year: the nearest instant is taken.
    """
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        first, last = datetime.min, datetime.max  # noqa: DTZ901 -- they get their zone below
        nearest = first if at.year == first.year else last
        return nearest.replace(microsecond=0, tzinfo=UTC)
