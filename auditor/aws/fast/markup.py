"""XML documents as trees; markup that came before is not parsed again.

The small answers of an operation differ in the texts between their tags and in nothing else, as a
rule. A tree is made by expat and the standard library without a line of Python.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias
from xml.etree.ElementTree import Element, ParseError, XMLParser

from botocore.parsers import ResponseParserError

from auditor.aws.bounds import check_xml

_split = re.compile(r">([!-%'-;=?-~][ -%'-;=?-~]*)<").split
"""Cuts out the texts that mean themselves in XML: printable ASCII, without `<`, `>` and `&`."""
_LONGEST = 4096
"""Bytes of a document whose markup is remembered: pages of a listing are seldom alike."""
_MOST = 64
"""Remembered of one account; twenty are usual."""

_Markup: TypeAlias = tuple[str, ...]
_Known: TypeAlias = tuple[Element, Sequence[Element]]
"""A tree, and its elements that have the texts, in order."""


class Trees:
    """Makes trees of the documents of one account; not for several threads."""

    def __init__(self) -> None:
        self._known: dict[_Markup, _Known | None] = {}

    def tree(self, body: bytes) -> Element:
        """Return the root of a document, good until the next is asked for; raise as `tree`."""
        if len(body) > _LONGEST or not body.isascii():
            return tree(body)
        parts = _split(body.decode())
        markup, texts = tuple(parts[::2]), parts[1::2]
        known = self._known.get(markup)
        if known is None:
            root = tree(body)
            if markup not in self._known and len(self._known) < _MOST:
                self._known[markup] = _known(markup)
            return root
        root, places = known
        for element, text in zip(places, texts, strict=True):
            element.text = text
        return root


def tree(body: bytes) -> Element:
    """Return the root of a document; raise ResponseParserError or ValueError for what is none."""
    check_xml(body)
    parser = XMLParser(encoding="utf-8")  # noqa: S314 -- without a document type there is no attack
    try:
        parser.feed(body)
        return parser.close()
    except ParseError as error:
        raise ResponseParserError(str(error)) from None


def _known(markup: _Markup) -> _Known | None:
    """Return the tree of documents with this markup, all well-formed or none.

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
    return root, [having[number] for number in numbers]
