"""What is read by markup that came before is what a parser makes of the document."""

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest
from botocore.parsers import ResponseParserError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.aws.fast import markup
from auditor.aws.fast.markup import Documents, tree
from auditor.aws.fast.parse import result
from auditor.aws.fast.shapes import RESULTS, Items, Places, Read, Struct
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


class Whole(Struct):
    """Reads everything that is in a document."""

    def read(self, element: Element) -> Any:
        return tostring(element)

    def reader(self, element: Element, places: Places) -> Read:
        def read(texts: Sequence[str]) -> bytes:
            for each, at in places.items():
                each.text = texts[at]
            return tostring(element)

        return read


WHOLE = Whole({})


def told(body: bytes, documents: Documents | None = None) -> object:
    """What a document is, or how it is none."""
    try:
        return WHOLE.read(tree(body)) if documents is None else documents.read(body, WHOLE)
    except (ResponseParserError, ValueError) as error:
        return str(error)


def members(operation: str, body: bytes, documents: Documents) -> Any:
    """What an operation's answer tells, or how it tells nothing."""
    try:
        return result(operation, body, documents)
    except (ResponseParserError, ValueError, LookupError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("first", TEXTS[:6])
def test_a_document_with_markup_that_came_before_is_what_it_is(
    document: bytes, first: bytes
) -> None:
    documents = Documents()
    told(document % first, documents)

    for text in TEXTS:
        assert told(document % text, documents) == told(document % text), text


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_answers_and_what_was_made_of_them_are_what_they_are(data: st.DataObject) -> None:
    documents = Documents()
    operation = data.draw(st.sampled_from(sorted(RESULTS)))
    body = data.draw(answers(operation))

    for each in (body, data.draw(mangled([body])), data.draw(mangled([body])), body):
        assert told(each, documents) == told(each)
        assert members(operation, each, documents) == members(operation, each, Documents())


def test_a_shape_reads_by_markup_what_it_reads_of_a_tree() -> None:
    documents, empty = Documents(), Items(RESULTS["ListUsers"])
    body = (
        b"<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member>"
        b"<Strange>%d</Strange><AccessKeyId>AKIA%d</AccessKeyId><Status> </Status>"
        b"<CreateDate>2026-01-0%dT00:00:00Z</CreateDate></member></AccessKeyMetadata>"
        b"<IsTruncated>true</IsTruncated><Marker/></ListAccessKeysResult></ListAccessKeysResponse>"
    )

    for day in (1, 2, 3):
        each = body.replace(b"%d", b"%d" % day)
        [key] = result("ListAccessKeys", each, documents)["AccessKeyMetadata"]
        assert (key["AccessKeyId"], key["Status"], key["CreateDate"].day) == (
            f"AKIA{day}",
            " ",
            day,
        )
        assert documents.read(each, empty) == [{"IsTruncated": True, "Marker": ""}]
    kind, _ = members("ListAccessKeys", body, documents)  # the day is none
    assert kind is ValueError


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16"])
def test_a_document_in_another_encoding_is_none(encoding: str) -> None:
    documents = Documents()
    document = "<a><b>\u3e41\u423c</b><c>0</c></a>".encode(encoding)  # its bytes have `>AB<`

    for _ in range(2):
        assert told(document, documents) == told(document) == "not in UTF-8"


def test_markup_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    documents, parsed = Documents(), list[bytes]()

    def counted(body: bytes) -> Element:
        parsed.append(body)
        return tree(body)

    monkeypatch.setattr(markup, "tree", counted)

    for number in range(10):
        whole = b"<a><b>name-%d</b><c> </c></a>" % number
        assert documents.read(whole, WHOLE) == whole

    assert len(parsed) == 2  # the first document, and what it is remembered by


def test_no_more_is_remembered_than_an_account_needs() -> None:
    documents = Documents()

    for number in range(200):
        body = b"<a>%b</a>" % (b"<b>x</b>" * number)
        assert told(body, documents) == told(body)
    told(b"<c>%b</c>" % (b" " * 5000), documents)

    assert sum(map(len, documents._known.values())) == len(documents._known) == 64


def test_markup_with_as_many_tags_is_told_apart() -> None:
    documents = Documents()

    for _ in range(2):
        for body in (b"<a><b>x</b></a>", b"<a><c>x</c></a>", b"<a> <b>x</b></a>"):
            assert documents.read(body, WHOLE) == body
