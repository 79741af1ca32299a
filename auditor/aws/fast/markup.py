"""XML documents; markup that came before is not parsed again.

The small answers of an operation differ in the texts between their tags and in nothing else, as a
rule. A tree is made by expat and the standard library without a line of Python.
"""

import re
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element, ParseError, XMLParser

from botocore.parsers import ResponseParserError

from auditor.aws.bounds import check_xml
from auditor.aws.fast.shapes import Read, Shape

_split = re.compile(r">([!-%'-;=?-~][ -%'-;=?-~]*)<").split
"""Cuts out the texts that mean themselves in XML: printable ASCII, without `<`, `>` and `&`."""
_LONGEST = 4096
"""Bytes of a document whose markup is remembered: pages of a listing are seldom alike."""
_AT_ONCE = 64 * 1024
"""Bytes given to the parser."""
_MOST = 64
"""Remembered of one account; twenty are usual."""

_Markup: TypeAlias = tuple[str, ...]


class Documents:
    """Reads the documents of one account; not for several threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[Shape, _Markup], Read | None] = {}

    def read(self, body: bytes, shape: Shape) -> Any:
        """Return what the shape reads of a document; raise as `tree` and the shape do."""
        if len(body) > _LONGEST or not body.isascii():
            return shape.read(tree(body))
        parts = _split(body.decode())
        markup = tuple(parts[::2])
        read = self._known.get((shape, markup))
        if read is not None:
            return read(parts[1::2])
        found = shape.read(tree(body))
        if (shape, markup) not in self._known and len(self._known) < _MOST:
            self._known[shape, markup] = _reader(shape, markup)
        return found


def tree(body: bytes) -> Element:
    """Return the root of a document; raise ResponseParserError or ValueError for what is none."""
    check_xml(body)
    parser = XMLParser(encoding="utf-8")  # noqa: S314 -- without a document type there is no attack
    try:
        for at in range(0, len(body), _AT_ONCE):  # between them other threads have their turn
            parser.feed(body[at : at + _AT_ONCE])
        return parser.close()
    except ParseError as error:
        raise ResponseParserError(str(error)) from None


def _reader(shape: Shape, markup: _Markup) -> Read | None:
    """Return what reads documents with this markup, all well-formed or none, by their texts.

    None where a text is anything but the whole text of an element: part of one, behind one, in a
    processing instruction; and where an entity or CDATA could stand for one.
    """
    numbers = [str(number) for number in range(len(markup) - 1)]
    marked = "".join(f">{number}<{part}" for number, part in zip(numbers, markup[1:], strict=True))
    document = markup[0] + marked
    if "<!" in document or "&" in document:
        return None
    root = tree(document.encode())
    having = {element.text: element for element in root.iter()}
    if not having.keys() >= set(numbers):
        return None
    return shape.reader(root, {having[number]: at for at, number in enumerate(numbers)})
