"""Answers and names larger than any of AWS's: a failure of that call, by both transports."""

from pathlib import Path

import pytest

from auditor.aws import tls
from auditor.aws.fast import connection
from auditor.errors import AwsFailure
from auditor.model.unknown import Unknown
from auditor.ports import IamReader
from tests.aws.wire import http, readers, saying, serving

XMLNS = 'xmlns="https://iam.amazonaws.com/doc/2010-05-08/"'
LONG = "x" * 10_000_000


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def answer(operation: str, result: str) -> bytes:
    inner = f"<{operation}Result>{result}</{operation}Result>"
    return f"<{operation}Response {XMLNS}>{inner}</{operation}Response>".encode()


def users(name: str = "u", arn: str = "arn:aws:iam::111111111111:user/u", path: str = "/") -> bytes:
    return answer(
        "ListUsers",
        f"<Users><member><UserName>{name}</UserName><Arn>{arn}</Arn><Path>{path}</Path>"
        "<UserId>AIDA</UserId><CreateDate>2026-01-01T00:00:00Z</CreateDate></member></Users>"
        "<IsTruncated>false</IsTruncated>",
    )


def details(*, name: str = "u", group: str = "g", tag: str = "t", arn: str = "a") -> bytes:
    return answer(
        "GetAccountAuthorizationDetails",
        f"<UserDetailList><member><UserName>{name}</UserName><GroupList><member>{group}</member>"
        f"</GroupList><Tags><member><Key>{tag}</Key><Value>{tag}</Value></member></Tags>"
        f"<AttachedManagedPolicies><member><PolicyArn>{arn}</PolicyArn></member>"
        "</AttachedManagedPolicies></member></UserDetailList><GroupDetailList/><Policies/>"
        "<IsTruncated>false</IsTruncated>",
    )


async def ask(reader: IamReader) -> None:
    async for _ in reader.users():
        pass


async def ask_for_details(reader: IamReader) -> None:
    await reader.user_details()


async def codes(body: bytes, *, of_details: bool = False, status: str = "200 OK") -> list[str]:
    """What both transports say of an answer."""
    found = []
    async with serving(saying(http(body, status=status))) as server, readers(server.url) as both:
        for reader in (both.fast, both.sdk):
            with pytest.raises(AwsFailure) as failed:
                await (ask_for_details if of_details else ask)(reader)
            assert len(str(failed.value)) < 1000
            found.append(failed.value.code)
    return found


@pytest.mark.parametrize(
    "body",
    [users(name=LONG), users(arn=LONG), users(path=LONG)],
    ids=["a name", "an ARN", "a path"],
)
async def test_a_user_whose_name_aws_would_never_send_is_malformed(body: bytes) -> None:
    assert await codes(body) == ["MalformedAnswer"] * 2


async def test_details_of_a_user_whose_name_aws_would_never_send_are_malformed() -> None:
    assert await codes(details(name=LONG), of_details=True) == ["MalformedAnswer"] * 2


@pytest.mark.parametrize("member", ["group", "tag", "arn"])
async def test_details_with_a_name_aws_would_never_send_cost_their_user_alone(member: str) -> None:
    body = details(**{member: LONG})

    async with serving(saying(http(body))) as server, readers(server.url) as both:
        for reader in (both.fast, both.sdk):
            [found] = (await reader.user_details()).values()
            assert isinstance(found, Unknown)
            assert len(repr(found)) < 1000


async def test_an_error_code_without_end_is_cut_off() -> None:
    error = f"<ErrorResponse {XMLNS}><Error><Code>{LONG}</Code><Message>{LONG}</Message></Error>"

    for code in await codes(f"{error}</ErrorResponse>".encode(), status="400 No"):
        assert len(code) < 400


async def test_an_answer_without_end_is_cut_off_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, tls):
        monkeypatch.setattr(module, "LARGEST_ANSWER", 10_000)

    assert await codes(users() + b" " * 11_000) == ["HTTPClientError"] * 2


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>',
    ],
)
async def test_a_document_type_is_refused_by_both(doctype: str) -> None:
    assert await codes(doctype.encode() + users()) == ["MalformedAnswer", "HTTPClientError"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
async def test_a_document_type_does_not_hide_in_another_encoding(encoding: str) -> None:
    text = '<!DOCTYPE a [<!ENTITY e "e">]>' + users().decode()

    assert await codes(text.encode(encoding)) == ["MalformedAnswer", "HTTPClientError"]


async def test_what_is_not_too_large_is_taken_by_both() -> None:
    longest = saying(http(users(name="u" * 2048)))
    async with serving(longest) as server, readers(server.url) as both:
        for reader in (both.fast, both.sdk):
            [[user]] = [page async for page in reader.users()]
            assert user.name == "u" * 2048
