"""Profiles of `aws login` (login_session), by both transports, against a server that checks."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.credentials.cases import Case
from tests.credentials.home import SCAN, Home
from tests.credentials.signin import CACHE, REFRESH, SESSION, SignIn, cache_file
from tests.credentials.test_during_a_run import as_its_owner, contents, read_only
from tests.faults.cloud import MANAGEMENT

PROFILE = f"region = us-east-1\nlogin_session = {SESSION}\n"
CONFIG = f"[profile prof]\n{PROFILE}"
FRESH, EXPIRING, EXPIRED = timedelta(minutes=14), timedelta(minutes=2), timedelta(minutes=-5)


async def scan(
    home: Home, transport: str = "fast", *options: str, config: str = CONFIG, **variables: str
) -> Any:
    environment = home.set_up(Case(config=config, variables=variables))
    ran = await home.scan(environment, transport, *(options or ("--profile", "prof")))
    assert REFRESH not in ran.stdout + ran.stderr
    assert home.sources.login.key_text not in ran.stdout + ran.stderr
    return ran


def cache(home: Home) -> Path:
    return home.folder / CACHE


@pytest.fixture
async def login(home: Home) -> AsyncIterator[SignIn]:
    yield home.sources.login
    assert home.sources.login.refused == []


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize(("lasts", "renewals"), [(FRESH, 0), (EXPIRING, 1), (EXPIRED, 1)], ids=str)
async def test_a_sign_in_is_used_and_renewed_once_where_it_ends_soon(
    home: Home, login: SignIn, transport: str, lasts: timedelta, renewals: int
) -> None:
    login.sign_in(cache(home), lasts=lasts)

    ran = await scan(home, transport)

    assert (ran.stderr, ran.code) == ("", 0)
    assert login.asked == renewals


async def test_what_is_written_back_is_the_clis_format_and_the_owners_alone(
    home: Home, login: SignIn
) -> None:
    file = login.sign_in(cache(home), lasts=EXPIRED, unknown={"kept": True})
    before = json.loads(file.read_text())

    await scan(home)

    after = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in cache(home).iterdir()] == [file.name]
    assert after["refreshToken"] == login.token
    assert after["accessToken"].keys() == before["accessToken"].keys()
    assert after["accessToken"]["accessKeyId"] != before["accessToken"]["accessKeyId"]
    assert after["accessToken"]["expiresAt"].endswith("Z")
    changed = {"accessToken", "refreshToken"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }


@pytest.mark.parametrize("transport", ["fast", "sdk"])
async def test_a_renewed_sign_in_serves_though_the_cache_can_not_be_written(
    home: Home, login: SignIn, transport: str
) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)
    environment = home.set_up(Case(config=CONFIG))
    before = contents(home.folder / ".aws")

    with read_only(home.folder / ".aws"):
        options = ("--profile", "prof", "--transport", transport, "--output", "out")
        ran = await as_its_owner(home, environment, *SCAN, *options)

    assert (ran.stderr, ran.code) == ("", 0)
    assert login.asked == 1
    assert contents(home.folder / ".aws") == before


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"error": "TOKEN_EXPIRED"}), ("has ended", "TOKEN_EXPIRED")),
        ((401, {"error": "AUTHCODE_EXPIRED"}), ("has ended", "AUTHCODE_EXPIRED")),
        ((403, {"error": "USER_CREDENTIALS_CHANGED"}), ("has ended", "USER_CREDENTIALS_CHANGED")),
        ((403, {"error": "INSUFFICIENT_PERMISSIONS"}), ("signin:CreateOAuth2Token",)),
        ((400, {"error": "INVALID_REQUEST"}), ("INVALID_REQUEST",)),
        ((400, {"error": f"{REFRESH} {REFRESH}"}), ("HTTP 400",)),
        ((404, []), ("HTTP 404",)),
    ],
    ids=str,
)
@pytest.mark.parametrize("transport", ["fast", "sdk"])
async def test_a_refused_renewal_names_the_profile_and_the_command_that_helps(
    home: Home, login: SignIn, transport: str, answer: tuple[int, Any], says: tuple[str, ...]
) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)
    body = answer[1] | {"message": REFRESH} if isinstance(answer[1], dict) else answer[1]
    login.answers = answer[0], json.dumps(body)

    ran = await scan(home, transport)

    assert ran.code == 2
    assert len(ran.stderr.splitlines()) == 1
    for each in (*says, "login_session of profile prof", "aws login --profile prof"):
        assert each in ran.stderr


@pytest.mark.parametrize(
    "answer",
    [(200, "{}"), (200, "<html>"), (200, "[" * 100_000), (429, "{}"), (503, "")],
    ids=["empty", "a page", "too deep", "throttled", "unavailable"],
)
async def test_an_answer_that_is_none_is_not_the_operators_fault(
    home: Home, login: SignIn, answer: tuple[int, str]
) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)
    login.answers = answer

    ran = await scan(home)

    assert ran.code == 4
    assert len(ran.stderr.splitlines()) == 1
    assert "signin:CreateOAuth2Token" in ran.stderr
    assert "check the network" not in ran.stderr


ACCESS = {
    "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
    "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "sessionToken": "token",
    "expiresAt": "2099-01-01T00:00:00Z",
}
DAMAGED = {
    "is not JSON": "{",
    "is not a JSON object": "[]",
    "has no accessToken": "{}",
    "has no accessKeyId": json.dumps({"accessToken": ACCESS | {"accessKeyId": None}}),
    "has no secretAccessKey": json.dumps({"accessToken": ACCESS | {"secretAccessKey": 5}}),
    "has no sessionToken": json.dumps({"accessToken": ACCESS | {"sessionToken": ""}}),
    "not a time": json.dumps({"accessToken": ACCESS | {"expiresAt": "soon"}}),
    "no time zone": json.dumps({"accessToken": ACCESS | {"expiresAt": "2099-01-01T00:00:00"}}),
    "has no refreshToken": json.dumps({"accessToken": ACCESS}),
    "has no clientId": json.dumps({"accessToken": ACCESS, "refreshToken": REFRESH}),
    "has no dpopKey": json.dumps(
        {"accessToken": ACCESS, "refreshToken": REFRESH, "clientId": "client"}
    ),
    "too large": " " * (1024 * 1024 + 1),
}


@pytest.mark.parametrize("says", DAMAGED)
async def test_a_damaged_cache_is_named_with_what_is_wrong(home: Home, says: str) -> None:
    file = cache_file(cache(home))
    file.parent.mkdir(parents=True)
    file.write_text(DAMAGED[says])

    ran = await scan(home)

    assert ran.code == 2
    assert len(ran.stderr.splitlines()) == 1
    for each in (says, file.name, "login_session of profile prof", "aws login --profile prof"):
        assert each in ran.stderr
    assert ACCESS["secretAccessKey"] not in ran.stderr


@pytest.mark.parametrize("key", ["", "-----BEGIN X-----\nAAAA\n-----END X-----\n", "%", "é"])
async def test_a_key_that_can_not_sign_is_named(home: Home, login: SignIn, key: str) -> None:
    login.sign_in(cache(home), lasts=EXPIRED, dpopKey=key)

    ran = await scan(home)

    assert ran.code == 2
    assert "dpopKey" in ran.stderr
    assert "aws login --profile prof" in ran.stderr


@pytest.mark.parametrize("value", [SESSION, ""])
async def test_a_profile_without_a_sign_in_is_named_with_the_command(
    home: Home, value: str
) -> None:
    config = f"[default]\nregion = us-east-1\nlogin_session = {value}\n"

    ran = await scan(home, "fast", "--region", "us-east-1", config=config)

    assert ran.code == 2
    for each in ("there is no sign-in", "login_session of the default profile", "aws login"):
        assert each in ran.stderr


async def test_a_sign_in_with_indented_lines_below_it_is_named(home: Home) -> None:
    config = "[default]\nregion = us-east-1\nlogin_session =\n  nested = yes\n"

    ran = await scan(home, "fast", "--region", "us-east-1", config=config)

    assert ran.code == 2
    assert "login_session of the default profile" in ran.stderr


async def test_a_pipe_in_place_of_the_cache_is_not_waited_for(home: Home) -> None:
    cache(home).mkdir(parents=True)
    os.mkfifo(cache_file(cache(home)))

    ran = await scan(home)

    assert ran.code == 2
    assert "regular file" in ran.stderr


@pytest.mark.parametrize("transport", ["fast", "sdk"])
async def test_a_role_is_assumed_with_a_sign_in_as_its_source(
    home: Home, login: SignIn, transport: str
) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)
    role = f"role_arn = arn:aws:iam::{MANAGEMENT}:role/Auditor\nsource_profile = src\n"
    config = f"[profile prof]\nregion = us-east-1\n{role}[profile src]\n{PROFILE}"

    ran = await scan(home, transport, config=config)

    assert (ran.stderr, ran.code) == ("", 0)
    assert login.asked == 1


async def test_a_broken_sign_in_below_a_role_is_named_by_its_own_profile(home: Home) -> None:
    role = f"role_arn = arn:aws:iam::{MANAGEMENT}:role/Auditor\nsource_profile = src\n"
    config = f"[profile prof]\nregion = us-east-1\n{role}[profile src]\n{PROFILE}"

    ran = await scan(home, config=config)

    assert ran.code == 2
    assert "aws login --profile src" in ran.stderr


async def test_the_folder_of_the_variable_is_used_and_an_empty_one_is_not_given(
    home: Home, login: SignIn
) -> None:
    login.sign_in(home.folder / "other", lasts=FRESH)
    elsewhere = await scan(home, AWS_LOGIN_CACHE_DIRECTORY="~/other")
    login.sign_in(cache(home), lasts=FRESH)
    empty = await scan(home, AWS_LOGIN_CACHE_DIRECTORY="")

    assert (elsewhere.code, empty.code) == (0, 0)


async def test_two_processes_at_once_both_go_on(home: Home, login: SignIn) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)

    both = await asyncio.gather(scan(home, "fast"), scan(home, "sdk"))

    assert [ran.code for ran in both] == [0, 0]
    login.refused.clear()  # the slower one asked with a token that held no more


async def test_a_sign_in_that_another_process_renewed_meanwhile_is_used(
    home: Home, login: SignIn
) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)
    login.answers = 401, json.dumps({"error": "TOKEN_EXPIRED", "message": "-"})
    login.before_answer = lambda: (login.sign_in(cache(home), lasts=FRESH), None)[1]

    ran = await scan(home)

    assert (ran.stderr, ran.code) == ("", 0)
    assert login.asked == 1


async def test_an_account_with_a_broken_sign_in_costs_that_account_alone(
    home: Home, login: SignIn
) -> None:
    login.sign_in(cache(home), lasts=FRESH)
    config = CONFIG + "[profile broken]\nregion = us-east-1\nlogin_session = nobody\n"
    accounts = f"- {{id: '500000000000', profile: broken}}\n- id: '{MANAGEMENT}'\n"
    (home.folder / "all.yaml").write_text(accounts)

    ran = await scan(home, "fast", "--profile", "prof", "--accounts", "@all.yaml", config=config)

    assert ran.code == 3
    found = {each["id"]: each for each in ran.report["accounts"]}
    assert found[MANAGEMENT]["outcome"] == "audited"
    assert "aws login --profile broken" in json.dumps(found["500000000000"]) + ran.stderr


async def test_a_sign_in_that_ends_in_the_middle_is_renewed_again(
    home: Home, login: SignIn
) -> None:
    login.sign_in(cache(home), lasts=EXPIRED)
    login.lasts = timedelta(seconds=1)

    ran = await scan(home)

    assert (ran.stderr, ran.code) == ("", 0)
