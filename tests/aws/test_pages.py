"""Refusals that a proxy or a filter wrote in place of AWS."""

import pytest

from auditor.aws.errors import page_failure
from auditor.errors import AwsFailure
from tests.aws.wire import http, readers, saying, serving

PAGE = b"<!DOCTYPE html>\n<html><head><title>\n Blocked by ACME </title></head></html>"


@pytest.mark.parametrize("status", ["302 Found", "403 Forbidden", "407 Proxy", "404 Not Found"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (PAGE, "an HTML page titled 'Blocked by ACME'"),
        (b"<html><body><br>No.</body></html>", "an HTML page"),
        (b"\xef\xbb\xbf <HTML></HTML>", "an HTML page"),
        (b"Access to this site is blocked.", "text"),
        (b"", "an empty answer"),
    ],
)
async def test_a_refusal_that_is_not_of_aws_is_told_by_its_status_in_both_transports(
    status: str, body: bytes, says: str
) -> None:
    async with serving(saying(http(body, status=status))) as server, readers(server.url) as both:
        for reader in (both.fast, both.sdk):
            with pytest.raises(AwsFailure) as caught:
                await reader.generate_credential_report()

            assert caught.value.code == "AnswerNotFromAws"
            assert caught.value.message.startswith(f"HTTP {status[:3]} with {says}: a proxy")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"),
        (400, b'{"__type": "AccessDeniedException"}'),
        (503, PAGE),
        (200, PAGE),
    ],
)
def test_what_aws_may_have_written_is_left_to_its_parser(status: int, body: bytes) -> None:
    assert page_failure("iam:ListUsers", status, body) is None


@pytest.mark.parametrize("operation", ["iam:CreateAccessKey", "secretsmanager:CreateSecret"])
def test_a_page_that_answers_a_secret_is_not_quoted(operation: str) -> None:
    failure = page_failure(operation, 403, b"<html><title>SecretString=hunter2</title></html>")

    assert failure is not None
    assert "hunter2" not in str(failure)
