"""Files of the AWS SDK and CLI: a caller is found by them, or one line says what is wrong."""

import json
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.aws.connection import Connection
from auditor.aws.login_cache import Login, LoginCacheError
from auditor.aws.session import Aws
from auditor.engine.tally import Tally
from auditor.errors import AuditError
from tests.builders import NOW
from tests.faults.cloud import CALLER_KEY, CALLER_SECRET, Cloud
from tests.faults.desk import QuickClock, caller_in
from tests.faults.server import FaultServer
from tests.fuzz.trials import inputs, mangled, reshaped, trial

CONFIG = f"""\
[default]
region = us-east-1
s3 =
  addressing_style = path
[profile audit]
region = eu-west-1
ca_bundle =
max_attempts = 3
retry_mode = standard
aws_access_key_id = {CALLER_KEY}
aws_secret_access_key = {CALLER_SECRET}
[profile other]
source_profile = audit
[sso-session corp]
sso_region = us-east-1
""".encode()
CREDENTIALS = f"""\
[audit]
aws_access_key_id = {CALLER_KEY}
aws_secret_access_key={CALLER_SECRET}
# a comment
[other]
aws_access_key_id: {CALLER_KEY}
aws_secret_access_key: {CALLER_SECRET}
aws_session_token = FwoGZXIvYXdzEBYaDN
""".encode()
LOGIN = {
    "accessToken": {
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "sessionToken": "FwoGZXIvYXdzEBYaDN",
        "accountId": "111111111111",
        "expiresAt": "2026-11-24T12:15:00Z",
    },
    "tokenType": "aws_sigv4",
    "refreshToken": "refresh",
    "idToken": "id",
    "clientId": "arn:aws:signin:::devtools/same-device",
    "dpopKey": "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n",
}


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    with caller_in(), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            patch.delenv(name)
        yield


@inputs(1)
@given(
    many=st.lists(
        st.tuples(
            mangled([CONFIG]) | st.binary(max_size=60),
            mangled([CREDENTIALS]) | st.just(CREDENTIALS),
            st.sampled_from(["audit", "other", None]),
        ),
        min_size=40,
        max_size=40,
    )
)
def test_mangled_files_of_the_sdk_give_a_caller_or_one_line(
    many: list[tuple[bytes, bytes, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, refusals = tmp_path_factory.mktemp("files"), list[str]()

    async def ask(url: str, profile: str | None) -> None:
        aws = Aws(
            Connection(profile=profile, endpoint_url=url),
            session_name="iamaudit-fuzz",
            concurrency=1,
            progress=Tally(),
            clock=QuickClock(),
        )
        async with aws.connect() as caller:
            assert caller.account_id

    async def ask_all() -> None:
        async with FaultServer(Cloud(1, accounts=1, users=0, now=NOW)).serving() as server:
            for config, credentials, profile in many:
                (folder / "config").write_bytes(config)
                (folder / "credentials").write_bytes(credentials)
                with trial("files of the SDK"):
                    try:
                        await ask(server.url, profile)
                    except AuditError as error:
                        refusals.append(f"{error} {error.hint}")
                        raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        anyio.run(ask_all)

    assert not any(CALLER_SECRET in each for each in refusals)


@inputs(80)
@given(document=reshaped(LOGIN))
def test_a_sign_in_of_another_shape_is_read_or_refused(document: object) -> None:
    tried_sign_in(json.dumps(document).encode())


@inputs(150)
@given(text=mangled([json.dumps(LOGIN).encode()]) | st.binary(max_size=60))
def test_a_mangled_sign_in_is_read_or_refused(text: bytes) -> None:
    tried_sign_in(text)


def tried_sign_in(text: bytes) -> None:
    """Read a file of the cache of `aws login`; what is read can be written back."""
    with trial("sign-ins", refuses=(LoginCacheError,)):
        login = Login.parsed(text)
        again = Login.parsed(login.to_json().encode())
        assert again.refresh_token == login.refresh_token
