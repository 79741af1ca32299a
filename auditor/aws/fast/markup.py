"""XML documents; markup that came before is not parsed again.

The small answers of an operation differ in the texts between their tags and in nothing else, as a
rule. A tree is made by expat and the standard library without a line of Python.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element, ParseError, XMLParser

from botocore.parsers import ResponseParserError

from auditor.aws.bounds import check_xml
from auditor.aws.fast.shapes import Read, Shape

_TEXT = r">([!-%'-;=?-~][ -%'-;=?-~]*+)<"
"""A text that means itself in XML: printable ASCII, without `<`, `>` and `&`."""
_split = re.compile(_TEXT).split
_LONGEST = 4096
"""Bytes of a document whose markup is remembered: pages of a listing are seldom alike."""
_AT_ONCE = 64 * 1024
"""Bytes given to the parser."""
_MOST = 64
"""Remembered of one account; twenty are usual."""

_Markup: TypeAlias = Sequence[str]
_Texts: TypeAlias = Callable[[str], re.Match[str] | None]


class Documents:
    """Reads the documents of one account; not for several threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[Shape, int], list[tuple[_Texts, Read | None]]] = {}
        """By the number of tags: what tells the texts of a markup, and what reads them."""

    def read(self, body: bytes, shape: Shape) -> Any:
        """Return what the shape reads of a document; raise as `tree` and the shape do."""
        if len(body) > _LONGEST or not body.isascii():
            return shape.read(tree(body))
        document = body.decode()
        alike = (shape, document.count("<"))
        for texts, read in self._known.get(alike, ()):
            found = texts(document)
            if found is not None:
                return shape.read(tree(body)) if read is None else read(found.groups())
        value = shape.read(tree(body))
        if sum(map(len, self._known.values())) < _MOST:
            markup = _split(document)[::2]
            known = self._known.setdefault(alike, [])
            known.append((_texts(markup), _reader(shape, markup)))
        return value


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


def _texts(markup: _Markup) -> _Texts:
    """Return what finds the texts of a document with this markup, and None of any other."""
    return re.compile(_TEXT.join(map(re.escape, markup))).fullmatch


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
