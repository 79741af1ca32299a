"""Every request that the fast reader could send is signed as botocore would sign it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from auditor.aws.fast.reader import form
from auditor.aws.fast.shapes import RESULTS
from auditor.aws.fast.signing import CONTENT_TYPE, Signer, Target
from auditor.aws.readers import Arguments

IAM = ServiceModel(Loader().load_service_model("iam", "service-2"), "iam")
HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)
NAME = st.one_of(
    HOSTILE,
    st.text("abcXYZ019_+=,.@-", min_size=1, max_size=64),
    st.sampled_from(
        ["a&b=c", "a b", "a+b", "%2e", "é/日本", "~", "../..", "'\";\r\n", "\x00", "*"]
    ),
)
LONG = st.text("ABCDEFGH2345", min_size=16, max_size=32)
ARGUMENTS: dict[str, st.SearchStrategy[Arguments]] = {
    "GenerateCredentialReport": st.just({}),
    "GetAccessKeyLastUsed": st.fixed_dictionaries({"AccessKeyId": LONG}),
    "GetAccountAuthorizationDetails": st.fixed_dictionaries(
        {"Filter": st.just(["User", "Group", "LocalManagedPolicy"]), "MaxItems": st.just(1000)},
        optional={"Marker": NAME},
    ),
    "GetAccountSummary": st.just({}),
    "GetCredentialReport": st.just({}),
    "GetLoginProfile": st.fixed_dictionaries({"UserName": NAME}),
    "ListAccessKeys": st.fixed_dictionaries(
        {"UserName": NAME, "MaxItems": st.just(1000)}, optional={"Marker": NAME}
    ),
    "ListEntitiesForPolicy": st.fixed_dictionaries(
        {
            "PolicyArn": NAME.map("arn:aws:iam::aws:policy/".__add__),
            "EntityFilter": st.just("User"),
        },
        optional={"Marker": NAME},
    ),
    "ListPolicies": st.fixed_dictionaries(
        {"Scope": st.just("AWS"), "OnlyAttached": st.just(True)}, optional={"Marker": NAME}
    ),
    "ListUsers": st.fixed_dictionaries({"MaxItems": st.just(1000)}, optional={"Marker": NAME}),
}
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
CREDENTIALS = st.builds(
    ReadOnlyCredentials,
    LONG.map("AKIA".__add__),
    PRINTABLE,
    st.none() | PRINTABLE | st.just("") | st.just("two  words"),
)
TARGETS = st.builds(
    lambda endpoint, region: Target(
        url=endpoint, host=endpoint.split("/")[2], region=region, service="iam"
    ),
    st.sampled_from(
        [
            "https://iam.amazonaws.com/",
            "https://iam.us-gov.amazonaws.com/",
            "http://127.0.0.1:4566/",
            "http://gateway.example:8080/aws//iam/./v1/../é ü/",
            "http://gateway.example/no-slash",
            "http://[::1]:5000/",
        ]
    ),
    st.sampled_from(["us-east-1", "us-gov-west-1", "cn-north-1"]),
)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
REQUESTS = st.sampled_from(sorted(RESULTS)).flatmap(
    lambda operation: st.tuples(st.just(operation), ARGUMENTS[operation])
)


def headers_by_botocore(
    target: Target, body: bytes, credentials: ReadOnlyCredentials, now: datetime
) -> dict[str, str]:
    request = AWSRequest(
        method="POST",
        url=target.url,
        data=body,
        headers={"Content-Type": CONTENT_TYPE, "User-Agent": "anything"},
    )
    signer = SigV4Auth(credentials, target.service, target.region)
    request.context["timestamp"] = f"{now:%Y%m%dT%H%M%SZ}"  # add_auth() takes the machine's time
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    return dict(request.headers.items())


def headers(
    signer: Signer, credentials: ReadOnlyCredentials, body: bytes, now: datetime
) -> dict[str, str]:
    lines = signer.headers(credentials, body, now).removesuffix("\r\n").split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


@given(REQUESTS, CREDENTIALS, TARGETS, TIMES)
def test_every_request_is_signed_as_botocore_signs_it(
    asked: tuple[str, Arguments], credentials: ReadOnlyCredentials, target: Target, now: datetime
) -> None:
    body = form(*asked)

    signed = headers(Signer(target), credentials, body, now)

    expected = headers_by_botocore(target, body, credentials, now)
    assert signed == {name: expected[name] for name in expected if name.startswith(("X-", "Auth"))}


@given(REQUESTS)
def test_every_form_says_what_botocores_says(asked: tuple[str, Arguments]) -> None:
    operation, arguments = asked
    model: OperationModel = IAM.operation_model(operation)

    request: dict[str, Any] = create_serializer("query").serialize_to_request(arguments, model)

    expected = AWSRequest(method="POST", url="https://x/", data=request["body"]).prepare().body
    assert sorted(form(operation, arguments).split(b"&")) == sorted(expected.encode().split(b"&"))


@given(st.lists(st.tuples(CREDENTIALS, TIMES), min_size=2, max_size=4), TARGETS)
def test_a_key_is_never_used_for_other_credentials_or_another_day(
    uses: list[tuple[ReadOnlyCredentials, datetime]], target: Target
) -> None:
    signer, body = Signer(target), form("ListUsers", {})

    for credentials, now in uses * 2:
        signed = signer.headers(credentials, body, now)
        assert signed == Signer(target).headers(credentials, body, now)


@given(
    CREDENTIALS,
    TIMES,
    st.lists(st.tuples(st.integers(-3_000_000, 3_000_000), st.binary()), min_size=2, max_size=8),
    TARGETS,
)
def test_what_is_kept_for_a_second_is_for_that_second_alone(
    credentials: ReadOnlyCredentials,
    now: datetime,
    uses: list[tuple[int, bytes]],
    target: Target,
) -> None:
    signer = Signer(target)

    for microseconds, body in uses:
        at = now + timedelta(microseconds=microseconds)
        signed = headers(signer, credentials, body, at)
        expected = headers_by_botocore(target, body, credentials, at)
        assert signed == {name: expected[name] for name in signed}


def test_a_key_is_derived_once_a_day_for_the_same_credentials() -> None:
    target = Target(url="https://iam.x/", host="iam.x", region="us-east-1", service="iam")
    signer, keys = Signer(target), []

    for hour in range(30):
        now = datetime(2026, 1, 1 + hour // 24, hour % 24, tzinfo=UTC)
        signer.headers(ReadOnlyCredentials("AKIA1", "secret", None), b"", now)
        keys.append(signer._key)

    assert len({id(key) for key in keys}) == 2


def test_nothing_that_is_shown_of_a_signer_has_a_secret() -> None:
    target = Target(url="https://iam.x/", host="iam.x", region="us-east-1", service="iam")
    signer = Signer(target)
    signer.headers(ReadOnlyCredentials("AKIA1", "the-secret", "the-token"), b"", datetime.now(UTC))

    for kept in (signer._key, signer._moment):
        assert "the-secret" not in repr(kept)
        assert "the-token" not in repr(kept)
