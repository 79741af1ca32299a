"""What AWS answers, well and badly, as values and failures."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from botocore.parsers import ResponseParserError

from auditor.aws.errors import failures
from auditor.aws.readers import ClientReader
from auditor.errors import AwsFailure, FailureKind
from auditor.model.access_key import AccessKeyId, KeyStatus, NeverUsed, Used
from tests.aws.connect import some_calls
from tests.builders import KEY_ID

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class StubClient:
    """Gives one answer, or raises it, for every call."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        async def call(**_: Any) -> Any:
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

        return call


def a_reader(answer: Any) -> ClientReader:
    return ClientReader(StubClient(answer), some_calls(attempts=1), "aws")


def last_used(**members: Any) -> dict[str, Any]:
    return {"AccessKeyLastUsed": members}


async def test_only_a_missing_date_in_a_good_answer_means_never() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)

    never = await a_reader(last_used(ServiceName="N/A", Region="N/A")).last_use(KEY_ID)
    used = await a_reader(last_used(ServiceName="s3", Region="N/A", LastUsedDate=at)).last_use(
        KEY_ID
    )

    assert never == NeverUsed()
    assert used == Used(at=at, service="s3", region="N/A")


@pytest.mark.parametrize("answer", [{}, last_used(), {"AccessKeyLastUsed": None}])
async def test_an_answer_without_what_it_should_have_is_no_never(answer: Any) -> None:
    with pytest.raises(AwsFailure, match="MalformedAnswer"):
        await a_reader(answer).last_use(KEY_ID)


@pytest.mark.parametrize("status", [{"Status": "Suspended"}, {"Status": None}, {}])
async def test_a_status_that_nobody_knows_costs_that_status_alone(status: dict[str, Any]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    good = {"AccessKeyId": "AKIA2", "Status": "Active", "CreateDate": at}
    strange = {"AccessKeyId": KEY_ID, "CreateDate": at, **status}

    keys = await a_reader({"AccessKeyMetadata": [strange, good]}).access_keys("amy")

    assert [key.status for key in keys] == [KeyStatus.UNKNOWN, KeyStatus.ACTIVE]


@pytest.mark.parametrize("lacking", ["ServiceName", "Region"])
async def test_a_date_of_use_counts_without_a_service_or_region(lacking: str) -> None:
    used = {"ServiceName": "s3", "Region": "eu-west-1", "LastUsedDate": datetime(2026, 1, 2)}  # noqa: DTZ001
    del used[lacking]

    use = await a_reader(last_used(**used)).last_use(KEY_ID)

    assert isinstance(use, Used)
    assert use.at == datetime(2026, 1, 2, tzinfo=UTC)  # without a zone it is UTC


async def test_a_service_without_a_date_is_no_never() -> None:
    with pytest.raises(AwsFailure, match="MalformedAnswer"):
        await a_reader(last_used(ServiceName="s3", Region="us-east-1")).last_use(KEY_ID)


@pytest.mark.parametrize(
    ("answer", "ask"),
    [
        (
            {
                "AccessKeyMetadata": [
                    {
                        "UserName": "breakglass",
                        "AccessKeyId": KEY_ID,
                        "Status": "Active",
                        "CreateDate": datetime(2026, 1, 2, tzinfo=UTC),
                    }
                ]
            },
            lambda reader: reader.access_keys("bob"),
        ),
        (
            {"UserName": "breakglass", **last_used(ServiceName="N/A", Region="N/A")},
            lambda reader: reader.last_use(KEY_ID, user_name="bob"),
        ),
        ({"LoginProfile": {"UserName": "breakglass"}}, lambda reader: reader.has_password("bob")),
    ],
)
async def test_an_answer_about_another_user_is_a_failure(answer: Any, ask: Any) -> None:
    with pytest.raises(AwsFailure, match="AnotherUser"):
        await ask(a_reader(answer))


async def test_a_summary_that_does_not_say_is_no_proof_that_root_has_no_key() -> None:
    with pytest.raises(AwsFailure, match="MalformedAnswer"):
        await a_reader({"SummaryMap": {}}).root_keys_present()
    assert not await a_reader({"SummaryMap": {"AccountAccessKeysPresent": 0}}).root_keys_present()
    assert await a_reader({"SummaryMap": {"Users": 7}}).user_count() == 7


@pytest.mark.parametrize(
    "answer", [ResponseParserError(f"unable to parse <Secret>{SECRET}"), {}, {"Users": [{}]}]
)
async def test_what_cannot_be_read_is_a_failure_that_repeats_nothing_of_it(answer: Any) -> None:
    with pytest.raises(AwsFailure, match="MalformedAnswer") as caught:
        [page async for page in a_reader(answer).users()]

    assert caught.value.kind is FailureKind.UNAVAILABLE
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, FailureKind.DENIED),
        ("AccessDeniedException", 400, FailureKind.DENIED),
        ("NoSuchEntity", 404, FailureKind.GONE),
        ("Throttling", 400, FailureKind.THROTTLED),
        ("ExpiredToken", 403, FailureKind.CREDENTIALS),
        ("Strange", 503, FailureKind.UNAVAILABLE),
        ("Strange", 400, FailureKind.OTHER),
    ],
)
async def test_each_error_code_has_its_kind(code: str, status: int, kind: FailureKind) -> None:
    error = ClientError(
        {
            "Error": {"Code": code, "Message": "told\nmore"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "GetAccessKeyLastUsed",
    )

    with pytest.raises(AwsFailure) as caught:
        await a_reader(error).last_use(AccessKeyId("AKIA1"))

    assert (caught.value.code, caught.value.kind, caught.value.message) == (code, kind, "told")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="https://iam"), FailureKind.UNAVAILABLE),
        (NoCredentialsError(), FailureKind.CREDENTIALS),
    ],
)
async def test_a_call_that_did_not_get_through_is_a_failure(
    error: Exception, kind: FailureKind
) -> None:
    with pytest.raises(AwsFailure) as caught:
        await a_reader(error).generate_credential_report()

    assert caught.value.kind is kind


def test_messages_are_one_short_line_without_control_characters() -> None:
    answer = {"Error": {"Code": "X", "Message": "\x1b[31m" + "x" * 999 + "\nsecond"}}

    with pytest.raises(AwsFailure) as caught, failures("iam:X"):
        raise ClientError(answer, "X")

    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) <= 300


def test_a_bug_is_no_failure_of_awss() -> None:
    with pytest.raises(AssertionError), failures("iam:X"):
        raise AssertionError("ours")
