"""The fast reader makes of any answer what the SDK's makes of it."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.aws.fast.connection import Answer
from auditor.aws.fast.shapes import RESULTS, Items, Scalar, Shape, Struct
from auditor.errors import FailureKind
from tests.aws.answers import IAM, answers, both, ok

OPERATIONS = sorted(RESULTS)
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
A_KEY = (
    "<member><AccessKeyId>AKIAIOSFODNN7EXAMPLE</AccessKeyId><Status>Active</Status>"
    "<CreateDate>2026-01-02T03:04:05Z</CreateDate></member>"
)


def keys(metadata: str, rest: str = "") -> bytes:
    return (
        "<ListAccessKeysResponse><ListAccessKeysResult>"
        f"<AccessKeyMetadata>{metadata}</AccessKeyMetadata>{rest}"
        "</ListAccessKeysResult></ListAccessKeysResponse>"
    ).encode()


def malformed(told: Any) -> bool:
    """Whether that is the failure of an answer that can't be read."""
    return isinstance(told, tuple) and told[2:] == (
        "MalformedAnswer",
        FailureKind.UNAVAILABLE,
        None,
    )


@pytest.mark.parametrize("operation", OPERATIONS)
@MANY
@given(data=st.data())
def test_an_answer_means_the_same_to_both(operation: str, data: st.DataObject) -> None:
    fast, sdk = both(operation, ok(data.draw(answers(operation))))

    assert fast == sdk


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_answer_that_breaks_off_or_was_changed_fails_both(
    operation: str, data: st.DataObject
) -> None:
    body = bytearray(data.draw(answers(operation)))
    place = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        del body[place:]
    else:
        body[place] = data.draw(st.sampled_from(b"<>&\x00\xff/ "))

    fast, sdk = both(operation, ok(bytes(body)))

    assert fast == sdk


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"<",
        b"{}",
        b"<html><body>sign in</body></html>",
        b"<!-- nothing -->",
        b"<Other/>",
        b"<a><b></a></b>",
        b"<a>&nbsp;</a>",
        b"<x:a/>",
        b"\xff\xfe<\x00a\x00/\x00>\x00",
        b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
    ],
)
def test_what_is_no_answer_at_all_fails_both(operation: str, body: bytes) -> None:
    fast, sdk = both(operation, ok(body))

    assert malformed(fast)
    assert malformed(sdk)


@pytest.mark.parametrize(
    "page",
    [
        "<html><body><b>Http/1.1 Service Unavailable</b></body></html>",
        "<!DOCTYPE html><html><head><meta charset=utf-8></head></html>",
        "<!doctype html><p>Bad gateway",
        "",
        " \n ",
        "busy",
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: a &amp;"
        " b is not authorized\nto\x7f do</Message></Error><RequestId>1</RequestId></ErrorResponse>",
        "<ErrorResponse xmlns='https://iam.amazonaws.com/doc/2010-05-08/'><Error><Code>NoSuchEntity"
        "</Code></Error></ErrorResponse>",
        "<Response><Errors><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
        "</Errors><RequestID>1</RequestID></Response>",
        "<ErrorResponse><Error><Code>ServiceUnavailable</Code><Message/></Error></ErrorResponse>",
        "<ErrorResponse><Error><Code/><Message>what</Message></Error></ErrorResponse>",
        "<ErrorResponse><Error><Message>what</Message></Error></ErrorResponse>",
        "<ErrorResponse/>",
        "<AccessDenied/>",
    ],
)
@pytest.mark.parametrize("status", [301, 400, 403, 404, 409, 410, 429, 500, 502, 503, 504, 509])
def test_a_refusal_means_the_same_to_both(page: str, status: int) -> None:
    fast, sdk = both("GetAccessKeyLastUsed", Answer(status, None, page.encode()))

    doctype = page.startswith("<!DOCTYPE")
    assert fast[0] == "failed"
    assert fast == sdk or (doctype and malformed(fast))


@given(
    st.sampled_from([400, 403, 500, 503]),
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=400),
    st.sampled_from(["AccessDenied", "ExpiredToken", "RequestTimeout", "New", "SlowDown"]),
)
def test_a_message_is_told_alike(status: int, message: str, code: str) -> None:
    text = "".join(f"&#{ord(each)};" for each in message if each not in "\ufffe\uffff")
    body = f"<E><Error><Code>{code}</Code><Message>{text}</Message></Error></E>"

    fast, sdk = both("ListUsers", Answer(status, None, body.encode()))

    assert fast == sdk


def test_a_page_of_a_thousand_users_and_megabytes_of_policies_mean_the_same_to_both() -> None:
    users = "".join(
        f"<member><UserName>u{n}</UserName><Arn>arn:aws:iam::1:user/u{n}</Arn><Path>/</Path>"
        f"<CreateDate>2026-01-02T03:04:{n % 60:02}Z</CreateDate><UserId>A{n}</UserId></member>"
        for n in range(1000)
    )
    document = "%7B%22Statement%22%3A%5B%5D%7D" + "%20" * 2000
    details = "".join(
        f"<member><UserName>u{n}</UserName><UserPolicyList><member><PolicyName>p</PolicyName>"
        f"<PolicyDocument>{document}</PolicyDocument></member></UserPolicyList></member>"
        for n in range(1000)
    )
    pages = {
        "ListUsers": f"<Users>{users}</Users>",
        "GetAccountAuthorizationDetails": f"<UserDetailList>{details}</UserDetailList>",
    }
    for operation, content in pages.items():
        body = f"<R><{operation}Result>{content}</{operation}Result></R>".encode()

        fast, sdk = both(operation, ok(body))

        assert fast == sdk
        assert len(fast) == 1000 or len(fast[0]) == 1000


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a [<!ENTITY e "e">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>',
    ],
)
def test_a_document_type_is_refused_where_the_sdk_would_read_it(doctype: str) -> None:
    fast, _ = both("ListAccessKeys", ok(doctype.encode() + keys(A_KEY)))

    assert malformed(fast)


@pytest.mark.parametrize(
    "body",
    [
        keys(A_KEY, "<AccessKeyMetadata/>"),
        keys(A_KEY, "<Marker>a</Marker><IsTruncated>true</IsTruncated><Marker>b</Marker>"),
        keys(A_KEY.replace("<Status>", "<Status>Inactive</Status><Status>")),
    ],
)
def test_a_member_that_repeats_is_malformed_whatever_the_sdk_makes_of_it(body: bytes) -> None:
    fast, _ = both("ListAccessKeys", ok(body))

    assert malformed(fast)


def test_elements_nested_without_end_do_no_harm() -> None:
    deep = "<New>" * 200_000 + "</New>" * 200_000

    fast, _ = both("ListAccessKeys", ok(keys(A_KEY, deep)))

    assert len(fast) == 1


def test_all_that_the_model_converts_is_converted_here_too() -> None:
    for operation, shape in RESULTS.items():
        model = IAM.operation_model(operation).output_shape
        here = {path for path, scalar in _scalars(shape) if scalar.convert is not sys.intern}

        assert {path for path in _converted(model) if "RoleDetailList" not in path} <= here, (
            operation
        )


def _scalars(shape: Shape, path: str = "") -> Iterator[tuple[str, Scalar]]:
    match shape:
        case Scalar():
            yield path, shape
        case Struct():
            for name, inner in shape.members.items():
                yield from _scalars(inner, f"{path}/{name}")
        case Items():
            yield from _scalars(shape.item, f"{path}/*")
        case _:
            yield f"{path}/value", Scalar(int)


def _converted(shape: Any, path: str = "") -> Iterator[str]:
    """The members that the SDK makes something else than text of, and may fail to."""
    match shape.type_name:
        case "structure":
            for name, inner in shape.members.items():
                yield from _converted(inner, f"{path}/{name}")
        case "list":
            yield from _converted(shape.member, f"{path}/*")
        case "map":
            yield from _converted(shape.value, f"{path}/value")
        case "timestamp" | "integer" | "long" | "float" | "blob":
            yield path
