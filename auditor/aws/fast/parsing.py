"""The parser of answers, set as aiohttp sets its own: both transports take, and refuse, the same.

Both are llhttp. aiohttp accepts a bare LF at the end of a line, and limits headers.
"""

from typing import Any

from httptools import HttpResponseParser

_LONGEST_HEADER = 8190
_MOST_HEADERS = 128


class UnacceptableHeaderError(ValueError):
    """Raised for a header that aiohttp would not take."""


def response_parser(protocol: Any) -> HttpResponseParser:
    """Return a parser that calls the methods of a protocol."""
    parser = HttpResponseParser(protocol)
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_optional_cr_before_lf=True,
        lenient_spaces_after_chunk_size=True,
    )
    return parser


def check_reason(reason: bytes) -> None:
    """Raise UnacceptableHeaderError for words behind the status that are too many."""
    if len(reason) > _LONGEST_HEADER:
        raise UnacceptableHeaderError("the head of the answer is too large")


def check_header(name: bytes, value: bytes, number: int) -> None:
    """Raise UnacceptableHeaderError for a header, the `number`th of its answer."""
    if len(name) + len(value) > _LONGEST_HEADER or number > _MOST_HEADERS:
        raise UnacceptableHeaderError("the head of the answer is too large")
    if b"\0" in value:
        raise UnacceptableHeaderError("a header holds a null byte")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError:
            raise UnacceptableHeaderError("a header is not text") from None
