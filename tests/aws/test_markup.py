"""A tree made of markup that came before is the tree that a parser makes."""

from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest
from botocore.parsers import ResponseParserError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.aws.fast import markup
from auditor.aws.fast.markup import Trees, tree
from auditor.aws.fast.shapes import RESULTS
from tests.aws.answers import answers
from tests.fuzz.trials import mangled

TEXTS = [b"plain", b"a b", b" b", b"b ", b"0", b"1", b"", b"]]", b"'\"", b"/", b"x>1", b"&amp;",
         b"&#49;", b"\r", b"\t", b"\x7f", b"\x00", "é".encode(), b"\xff", b"<b/>", b"]]>",
         b"<!-- 0 -->", b"<![CDATA[1]]>", b"<?a 1?>"]  # fmt: skip
DOCUMENTS = [
    b"<a>%b</a>",
    b"<?xml version='1.0'?>\n<a x='1'>\n <b>%b</b>\n <c>0</c></a>\n",
    b"<a>1<b>%b</b>2</a>",
    b"<a><b>%b</b>after</a>",
    b"<a>x>%b</a>",
    b"<a><!-- >%b< --></a>",
    b"<a><![CDATA[>%b<]]></a>",
    b"<a><?p >%b<?></a>",
    b"<a x='>%b'>1</a>",
    b"<a><b>%b</b><c>&#48;</c></a>",
    b"<a><b>%b</b><c><![CDATA[0]]></c></a>",
    b"<a><b>1<?p?>%b</b><c>2<!-- 3 -->4</c></a>",
    b"<n:a xmlns:n='u'><n:b>%b</n:b><b n:x=''>1</b></n:a>",
    b">%b<a/>",
    b"<a/>%b",
]


def told(make: Any, body: bytes) -> object:
    """What a document is, or how it is none."""
    try:
        root: Element = make(body)
    except (ResponseParserError, ValueError) as error:
        return str(error)
    return tostring(root)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("first", TEXTS[:6])
def test_a_document_with_markup_that_came_before_is_what_it_is(
    document: bytes, first: bytes
) -> None:
    trees = Trees()
    told(trees.tree, document % first)

    for text in TEXTS:
        assert told(trees.tree, document % text) == told(tree, document % text), text


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_answers_and_what_was_made_of_them_are_what_they_are(data: st.DataObject) -> None:
    trees = Trees()
    operation = data.draw(st.sampled_from(sorted(RESULTS)))
    body = data.draw(answers(operation))

    for each in (body, data.draw(mangled([body])), data.draw(mangled([body])), body):
        assert told(trees.tree, each) == told(tree, each)


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16"])
def test_a_document_in_another_encoding_is_none(encoding: str) -> None:
    trees = Trees()
    document = "<a><b>\u3e41\u423c</b><c>0</c></a>".encode(encoding)  # its bytes have `>AB<`

    for _ in range(2):
        assert told(trees.tree, document) == told(tree, document) == "not in UTF-8"


def test_markup_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, parsed = Trees(), list[bytes]()

    def counted(body: bytes) -> Element:
        parsed.append(body)
        return tree(body)

    monkeypatch.setattr(markup, "tree", counted)

    for number in range(10):
        root = trees.tree(b"<a><b>name-%d</b><c> </c></a>" % number)
        assert root.findtext("b") == f"name-{number}"

    assert len(parsed) == 2  # the first document, and what it is remembered by


def test_no_more_is_remembered_than_an_account_needs() -> None:
    trees = Trees()

    for number in range(200):
        body = b"<a>%b</a>" % (b"<b>x</b>" * number)
        assert told(trees.tree, body) == told(tree, body)
    trees.tree(b"<c>%b</c>" % (b" " * 5000))

    assert len(trees._known) == 64
