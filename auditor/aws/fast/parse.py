"""IAM's XML answers, read by expat in one pass into the wanted members and nothing else.

A document type is refused, so there are no entities but XML's own; an element that repeats where
one is documented is malformed; how deep elements are nested costs nothing.
"""

import http.client
from typing import Any
from xml.parsers import expat

from botocore.parsers import ResponseParserError

from auditor.aws.errors import AnsweredFailure
from auditor.aws.fast.shapes import ENTRY, ERROR, RESULTS, Entries, Items, Scalar, Shape, Struct

_SERVER_ERROR = 500
_ANSWERS = {name: Struct({f"{name}Result": shape}) for name, shape in RESULTS.items()}


def result(operation: str, body: bytes) -> dict[str, Any]:
    """Return the members of an operation's result.

    Raises what the SDK's parser does for what it can't parse: ResponseParserError, LookupError or
    ValueError.
    """
    answer = _Document(_ANSWERS[operation]).read(body)
    found: dict[str, Any] = answer[f"{operation}Result"]
    return found


def refusal(operation: str, status: int, retry_after: str | None, body: bytes) -> AnsweredFailure:
    """Return the failure that an answer with an error status means; raise as `result` does.

    `operation` is the action. A server's error without a document goes by its number.
    """
    stripped = body.strip() if status >= _SERVER_ERROR else body
    if status >= _SERVER_ERROR and (not stripped or stripped.startswith(b"<html>")):
        code, message = str(status), http.client.responses.get(status)
    else:
        answer = _Document(ERROR).read(body)
        error = (answer.get("Errors") or answer).get("Error", {})
        code, message = error.get("Code"), error.get("Message")
    return AnsweredFailure(
        operation=operation, code=code, message=message, status=status, retry_after=retry_after
    )


class _Document:
    """One document; `root` is the shape of its outermost element, whatever that is called."""

    __slots__ = ("_here", "_outer", "_reading", "_shape", "_skipped", "_text")

    def __init__(self, root: Shape) -> None:
        self._shape: Shape = Items(root)
        self._here: Any = []
        """The value of the element at hand, as far as it has been read."""
        self._outer: list[tuple[str, Shape, Any]] = []
        self._text: list[str] = []
        self._reading = False
        """Whether text belongs to the element at hand."""
        self._skipped = 0
        """How many elements are open from the outermost unwanted one on."""

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the value of the root."""
        parser = expat.ParserCreate("utf-8", "}")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(body, True)
        except expat.ExpatError as error:
            raise ResponseParserError(str(error)) from None
        root: dict[str, Any] = self._here[0]
        return root

    def _start(self, name: str, _: object) -> None:
        if self._skipped:
            self._skipped += 1
            return
        name = name[name.rfind("}") + 1 :]  # its namespace comes first
        shape = self._shape
        inner: Shape | None
        if isinstance(shape, Struct):
            inner = shape.members.get(name)
            if inner is None and shape is ENTRY:
                raise ValueError("a map has an unknown element")
        elif isinstance(shape, Items):
            inner = shape.item
        else:
            inner = ENTRY if isinstance(shape, Entries) else None
        if inner is None:
            self._skipped = 1
            self._reading = False  # text after an element within text is not the SDK's either
            return
        self._outer.append((name, shape, self._here))
        self._shape = inner
        if isinstance(inner, Scalar):
            self._text.clear()
            self._reading = True
        else:
            self._here = {} if isinstance(inner, Struct) else []

    def _end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        shape, value = self._shape, self._here
        if isinstance(shape, Scalar):
            self._reading = False
            value = shape.convert("".join(self._text))
        elif isinstance(shape, Entries):
            value = {entry["key"]: entry["value"] for entry in value}
        name, self._shape, self._here = self._outer.pop()
        if not isinstance(self._shape, Struct):
            self._here.append(value)
        elif name in self._here:
            raise ValueError("an element repeats")
        else:
            self._here[name] = value

    def _characters(self, text: str) -> None:
        if self._reading:
            self._text.append(text)


def _refuse_doctype(*_: object) -> None:
    raise ValueError("a document type")
