"""IAM's answers as XML, made from the service model, and two readers of the same bytes."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import quote
from xml.sax.saxutils import escape

import anyio
from botocore import xform_name
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.handlers import json_decode_policies
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import strategies as st

from auditor.aws.errors import check_answered_by_aws, failures
from auditor.aws.fast.connecting import Route
from auditor.aws.fast.connection import Answer
from auditor.aws.fast.endpoint import Endpoint
from auditor.aws.fast.http import Pool
from auditor.aws.fast.reader import FastReader
from auditor.aws.fast.signing import Target
from auditor.aws.readers import ClientReader
from auditor.errors import AwsFailure
from auditor.model.access_key import AccessKeyId
from auditor.ports import IamReader
from tests.aws.connect import some_calls
from tests.fakes import FakeClock

IAM = ServiceModel(Loader().load_service_model("iam", "service-2"), "iam")
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
URL = "https://iam.amazonaws.com/"

Ask: TypeAlias = Callable[[IamReader], Awaitable[Any]]


async def _users(reader: IamReader) -> Any:
    return [list(page) async for page in reader.users()]


QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"


def _each_of(operation: str, listed: str, member: str, **arguments: str | int | list[str]) -> Ask:
    """Ask for a member of each item on all pages, as the reader does on its way to users."""

    async def ask(reader: Any) -> list[str]:
        found: list[str] = []
        async for page in reader.pages(operation, arguments):
            with failures(f"iam:{operation}"):
                found += [item[member] for item in page[listed]]
        return found

    return ask


ASKED: Mapping[str, Ask] = {
    "GenerateCredentialReport": lambda reader: reader.generate_credential_report(),
    "GetAccessKeyLastUsed": lambda reader: reader.last_use(AccessKeyId("AKIAIOSFODNN7EXAMPLE")),
    "GetAccountAuthorizationDetails": lambda reader: reader.user_details(),
    "GetAccountSummary": lambda reader: reader.root_keys_present(),
    "GetCredentialReport": lambda reader: reader.credential_report(slots=True),
    "GetLoginProfile": lambda reader: reader.has_password("amy"),
    "ListAccessKeys": lambda reader: reader.access_keys("amy"),
    "ListEntitiesForPolicy": _each_of(
        "ListEntitiesForPolicy", "PolicyUsers", "UserName", PolicyArn=QUARANTINE
    ),
    "ListPolicies": _each_of("ListPolicies", "Policies", "Arn", Scope="AWS", OnlyAttached=True),
    "ListUsers": _users,
}
"""What a reader is asked for, by the operation that it then calls."""


class StubPool(Pool):
    """Gives the same answer to every request, and keeps the requests."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(1)
        self.answer = answer
        self.sent: list[bytes] = []

    async def post(self, route: Route, request: bytes) -> Answer:
        self.sent.append(request)
        return self.answer


class SdkParse:
    """An SDK client of IAM whose every request has the same answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __getattr__(self, method: str) -> Any:
        model = IAM.operation_model(OPERATIONS[method])
        response = {
            "status_code": self._answer.status,
            "body": self._answer.body,
            "headers": {"Retry-After": self._answer.retry_after}
            if self._answer.retry_after
            else {},
        }

        async def call(**_: Any) -> Any:
            check_answered_by_aws(operation_model=model, response_dict=response)
            parsed = create_parser("query").parse(response, model.output_shape)
            json_decode_policies(parsed, model)
            if self._answer.status >= 300:
                raise ClientError(parsed, model.name)
            return parsed

        return call


OPERATIONS = {xform_name(operation): operation for operation in ASKED}


class FrozenAlready:
    """The SDK's static credentials."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return Credentials("AKIAIOSFODNN7EXAMPLE", "secret").get_frozen_credentials()


def an_endpoint(**route: Any) -> Endpoint:
    defaults: dict[str, Any] = {
        "url": URL,
        "host": "iam.amazonaws.com",
        "port": 443,
        "tls": None,
        "proxy": None,
        "connect_timeout": 5.0,
        "read_timeout": 30.0,
    }
    made = Route(**(defaults | route))
    port = "" if made.port in {80, 443} else f":{made.port}"
    return Endpoint(
        route=made,
        target=Target(url=made.url, host=f"{made.host}{port}", region="us-east-1", service="iam"),
        user_agent="iamaudit-test",
    )


def a_fast_reader(pool: Pool, endpoint: Endpoint | None = None, **calls: Any) -> FastReader:
    clock = calls.get("clock", FakeClock())
    return FastReader(
        endpoint or an_endpoint(),
        pool,
        FrozenAlready(),
        some_calls(**({"attempts": 1} | calls)),
        partition="aws",
        clock=clock,
    )


def outcome(reader: IamReader, ask: Ask) -> Any:
    """What a reader makes of an answer: a value, or what identifies the failure."""

    async def run() -> Any:
        try:
            return await ask(reader)
        except AwsFailure as failure:
            told = failure.message if failure.code != "MalformedAnswer" else None
            return ("failed", failure.operation, failure.code, failure.kind, told)

    return anyio.run(run)


def both(operation: str, answer: Answer) -> tuple[Any, Any]:
    """What the fast reader and the SDK's reader make of the same answer."""
    sdk = ClientReader(SdkParse(answer), some_calls(attempts=1), "aws")
    ask = ASKED[operation]
    return outcome(a_fast_reader(StubPool(answer)), ask), outcome(sdk, ask)


def ok(body: bytes) -> Answer:
    return Answer(200, None, body)


# What AWS could say: each kind of value well formed, and now and then not.

_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda character: ord(character) >= 32 or character in "\t\n\r"
)
_TEXT = st.text(_CHARACTERS, max_size=20) | st.sampled_from(
    ["amy", "a & b", "<b>", " spaced ", "é日本", "", "true", "&amp;", "]]>"]
)
_DATES = st.datetimes(
    datetime(2006, 1, 1),  # noqa: DTZ001 -- hypothesis wants it so, and adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
_GOOD_TIMES = _DATES.map("{:%Y-%m-%dT%H:%M:%SZ}".format)
_ODD_TIMES = st.one_of(
    _DATES.map(lambda at: at.isoformat()),
    _DATES.map("{:%a, %d %b %Y %H:%M:%S GMT}".format),
    _DATES.map(lambda at: str(int(at.timestamp()))),
    st.sampled_from(["", "never", "2026-02-30T00:00:00Z", "2026-01-02T03:04:60Z", "-1", " "]),
)
_STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.sampled_from(["*", "s3:*", ["iam:*", "*:*"]]),
        "Resource": st.sampled_from(["*", "arn:aws:s3:::b/*"]),
    }
)
_DOCUMENTS = st.one_of(
    st.lists(_STATEMENTS, max_size=3).map(
        lambda statements: quote(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    ),
    st.sampled_from(["", "no json", "%7B%7D", "%5B1%5D", "%FF"]),
)
_REPORTS = st.sampled_from(
    [
        "user,arn,user_creation_time,password_enabled,mfa_active,access_key_1_active\n"
        "<root_account>,arn:aws:iam::1:root,2020-01-02T03:04:05Z,not_supported,true,false\n"
        'amy,arn:aws:iam::1:user/amy,2021-01-02T03:04:05Z,true,false,true\n"a,b",x,N/A,,,\n',
        "user,arn\n",
        "no report at all",
        "user,arn,user_creation_time\namy,arn,yesterday\n",
        "",
    ]
)
_BLOBS = _REPORTS.map(lambda text: base64.b64encode(text.encode()).decode())
_GOOD = {
    "timestamp": _GOOD_TIMES,
    "boolean": st.sampled_from(["true", "false"]),
    "integer": st.sampled_from(["0", "1", "7"]),
    "blob": _BLOBS,
    "string": _TEXT,
}
_ODD: Mapping[str, st.SearchStrategy[str]] = {
    "timestamp": _ODD_TIMES,
    "boolean": st.sampled_from(["TRUE", "", "1"]),
    "integer": st.sampled_from(["", "x", "1.5", " 1 ", "-3"]),
    "blob": st.just("?"),
    "string": st.sampled_from(["Strange", ""]),
}
_UNKNOWN = st.sampled_from(
    ["<New/>", "<New>x</New>", "<New><Users><UserName>no</UserName></Users></New>", "<!-- c -->"]
)
_OFTEN = st.sampled_from([True, True, True, False])
_SELDOM = st.sampled_from([False] * 19 + [True])
_SPACE = st.sampled_from(["", "", "\n  ", " \t\r\n"])


@st.composite
def _written(draw: st.DrawFn, text: str, *, wild: bool) -> str:
    """The text as XML could write it."""
    way = draw(st.sampled_from(["plain", "decimal", "hexadecimal", "cdata"]))
    if way == "cdata" and "]]>" not in text:
        return f"<![CDATA[{text}]]>"
    if way == "decimal":
        return "".join(f"&#{ord(each)};" for each in text)
    if way == "hexadecimal":
        return "".join(f"&#x{ord(each):x};" for each in text)
    if wild and draw(st.booleans()):
        return f"{escape(text)}<!-- and --><x>more</x> after"
    return escape(text)


def _scalar(shape: Any, *, wild: bool) -> st.SearchStrategy[str]:
    """A value of the shape, if wild perhaps one that is none."""
    if shape.type_name == "string" and shape.enum:
        good: st.SearchStrategy[str] = st.sampled_from(shape.enum)
    elif shape.name == "policyDocumentType":
        good = _DOCUMENTS
    else:
        good = _GOOD[shape.type_name]
    return good | _ODD.get(shape.type_name, st.nothing()) if wild else good


@st.composite
def element(draw: st.DrawFn, name: str, shape: Any, *, wild: bool) -> str:
    """An element of a shape of the model, with its members in any order."""
    space = draw(_SPACE)
    match shape.type_name:
        case "structure":
            inner = [
                "<IsTruncated>false</IsTruncated>"
                if member == "IsTruncated" and not wild
                else draw(element(member, inner, wild=wild))
                for member, inner in shape.members.items()
                if member != "RoleDetailList"  # not asked for, and so not read
                and (member in shape.required_members or draw(_OFTEN))
                and not (wild and draw(_SELDOM))
            ]
            if draw(st.booleans()):
                inner.append(draw(_UNKNOWN))
            content = space.join(draw(st.permutations(inner)))
        case "list":
            items = draw(st.integers(0, 2))
            content = space.join(
                draw(element("member", shape.member, wild=wild)) for _ in range(items)
            )
        case "map":
            keys = draw(
                st.lists(st.sampled_from([*shape.key.enum, "New"]), unique=True, max_size=3)
            )
            if draw(st.booleans()):
                keys = [*keys, "AccountAccessKeysPresent"]
            content = space.join(
                f"<entry><key>{key}</key>{draw(element('value', shape.value, wild=wild))}</entry>"
                for key in keys
            )
        case _:
            content = draw(_written(draw(_scalar(shape, wild=wild)), wild=wild))
            space = ""
    if not content and draw(st.booleans()):
        return f"<{name}/>"
    return f"<{name}>{space}{content}{space}</{name}>"


@st.composite
def answers(draw: st.DrawFn, operation: str) -> bytes:
    """A body that could answer the operation."""
    shape = IAM.operation_model(operation).output_shape
    wild = draw(st.booleans())
    if shape is None:
        raise LookupError(operation)
    result = draw(element(f"{operation}Result", shape, wild=wild))
    metadata = "<ResponseMetadata><RequestId>7a62c49f</RequestId></ResponseMetadata>"
    parts: Sequence[str] = draw(st.permutations([result, metadata]))
    prefix = draw(
        st.sampled_from(
            ["", "", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-8"?>\n']
        )
    )
    name = f"{operation}Response"
    document = f'{prefix}<{name} xmlns="{NAMESPACE}">{"".join(parts)}</{name}>'
    return document.encode()
