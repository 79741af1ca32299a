"""What AWS, or whoever stands between, may send: read or called a failure, never a traceback."""

import asyncio
from typing import Any

import anyio
import pytest
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from auditor.aws import credential_report
from auditor.aws.fast import parse
from auditor.aws.fast.markup import Documents
from auditor.aws.fast.shapes import RESULTS
from auditor.errors import AwsFailure
from tests.aws.answers import ASKED, answers
from tests.aws.wire import COMPLETE, Spoken, http, readers, serving
from tests.builders import NOW
from tests.fuzz.trials import inputs, mangled, trial

MALFORMED = (ResponseParserError, LookupError, ValueError)
"""What `parse` promises to raise; the call around it makes a failure of these."""
OPERATIONS = sorted(RESULTS)
ERRORS = [
    b"<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
    b"<RequestId>1</RequestId></ErrorResponse>",
    b"<Response><Errors><Error><Code>AccessDenied</Code></Error></Errors></Response>",
    b"<html><body>503</body></html>",
]
REPORT = (
    b"user,arn,user_creation_time,password_enabled,password_last_used,mfa_active,"
    b"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    b"access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active\n"
    b"<root_account>,arn:aws:iam::1:root,2020-01-02T03:04:05Z,not_supported,N/A,true,false,N/A,"
    b"N/A,N/A,N/A,false\n"
    b"amy,arn:aws:iam::1:user/amy,2021-01-02T03:04:05+00:00,true,no_information,false,true,"
    b"2021-01-02T03:04:05+00:00,2026-01-02T03:04:05+00:00,eu-west-1,s3,false\n"
)


@inputs(300)
@given(data=st.data())
def test_a_mangled_answer_is_read_or_malformed(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    body = data.draw(mangled([data.draw(answers(operation))]))

    with trial("XML answers", refuses=MALFORMED):
        assert isinstance(parse.result(operation, body, Documents()), dict)


@inputs(150)
@given(body=st.binary(max_size=200) | mangled(ERRORS), status=st.integers(300, 599))
def test_a_mangled_refusal_is_a_failure_or_malformed(body: bytes, status: int) -> None:
    with trial("XML refusals", refuses=MALFORMED):
        assert isinstance(parse.refusal("iam:ListUsers", status, None, body), AwsFailure)


@inputs(400)
@given(content=st.binary(max_size=200) | mangled([REPORT]))
def test_a_mangled_credential_report_is_read_or_a_failure(content: bytes) -> None:
    with trial("credential reports", refuses=(AwsFailure,)):
        credential_report.parse(content, NOW)


HEADER, *ROWS = (line.split(",") for line in REPORT.decode().splitlines())
# Values that a row may have one day, and none that the reader knows.
ODD = st.sampled_from(["soon", "maybe", "2026-02-30", "TRUE ", "-", "1", "9999-13-01"]) | st.text(
    st.characters(exclude_characters=',"\r\n\0', exclude_categories=["Cs"]), max_size=8
)


@inputs(150)
@given(data=st.data())
def test_an_odd_value_in_a_row_leaves_the_other_row_and_its_own_flags_as_they_are(
    data: st.DataObject,
) -> None:
    good = credential_report.parse(REPORT, NOW)
    row, column = data.draw(st.integers(0, 1)), data.draw(st.integers(2, len(HEADER) - 1))
    rows = [list(each) for each in ROWS]
    rows[row][column] = data.draw(ODD)
    text = "\n".join(",".join(each) for each in (HEADER, *rows)).encode()
    with trial("rows of credential reports"):
        found = credential_report.parse(text, NOW)

    arn = ROWS[1][HEADER.index("arn")]
    pairs = [(found.root, good.root), (found.users.get(arn), good.users[arn])]
    spoilt, others = pairs[row], pairs[1 - row]
    assert others[0] == others[1]
    assert spoilt[0] is not None
    assert spoilt[1] is not None
    if HEADER[column] != "password_enabled":
        assert spoilt[0].password_enabled == spoilt[1].password_enabled
    if HEADER[column] != "mfa_active":
        assert spoilt[0].mfa == spoilt[1].mfa
    if not HEADER[column].startswith("access_key"):
        assert spoilt[0].keys == spoilt[1].keys


HEADS = [
    http(),
    b"HTTP/1.1 100 Continue\r\n\r\n" + http(),
    b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(COMPLETE), COMPLETE),
    b"HTTP/1.0 200 OK\r\n\r\n" + COMPLETE,
]


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@inputs(4)
@given(many=st.lists(mangled(HEADS) | st.binary(max_size=64), min_size=40, max_size=40))
def test_mangled_bytes_on_the_wire_are_an_answer_or_a_failure(many: list[bytes]) -> None:
    left = list(many)

    async def speak(_: Spoken, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop())
        writer.close()

    async def ask() -> None:
        async with serving(speak) as server, readers(server.url) as both:
            while left:
                with trial("HTTP on the wire", refuses=(AwsFailure,)):
                    await both.fast.generate_credential_report()

    anyio.run(ask)


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<?xml version="1.0" encoding="UTF-16"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a+AD4-',
        b"<a>" * 200_000,
        b"<a>" + b"<b/>" * 2_000_001 + b"</a>",
        b"<a " + b"x" * 1_000_000 + b"='1'/>",
    ],
    ids=["entity", "external", "utf-16", "utf-7", "deep", "many", "long name"],
)
def test_an_answer_that_attacks_the_parser_is_malformed_at_once(body: bytes) -> None:
    with trial("XML answers", refuses=MALFORMED):
        found: Any = parse.result("ListUsers", body, Documents())
        assert found is None


def test_each_operation_is_tried() -> None:
    assert set(OPERATIONS) == set(ASKED)
