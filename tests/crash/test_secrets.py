"""Every secret that AWS handed out, sought in everything that was printed or written."""

import json
import signal
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from auditor.demo.emulator import Request, Response
from auditor.demo.wire import Call, HttpAnswer
from tests.crash.estate import (
    Desk,
    Estate,
    Spoil,
    apply_of,
    kept_in_files,
    kept_in_vaults,
)

DENIED = Response(status=403, code="AccessDeniedException", message="not authorized")
FILE, VAULT = "file:secrets", "secretsmanager"
Command = tuple[str, ...]


def secrets_of(estate: Estate) -> set[str]:
    """All that any answer handed out, and what the server knows besides: the caller's own."""
    organization = estate.world.organization
    known = {
        key.secret_access_key
        for account in (organization.management_account_id, *organization.member_account_ids)
        for key in estate.iam(account).access_keys.values()
    }
    return known | estate.emulator.handed_out | {organization.secret_access_key}


def forms(secret: str) -> set[bytes]:
    """A secret as it may be written."""
    return {
        secret.encode(),
        quote(secret, safe="").encode(),
        json.dumps(secret)[1:-1].replace("/", "\\/").encode(),
        b64encode(secret.encode()).rstrip(b"="),
    }


def found(secrets: set[str], texts: dict[str, bytes]) -> list[str]:
    """Where any of the secrets is, once for each time that it is there."""
    sought = {form for secret in secrets for form in forms(secret)}
    return [where for where, text in texts.items() for form in sought for _ in _times(form, text)]


def _times(form: bytes, text: bytes) -> range:
    return range(text.count(form))


def left_by(desk: Desk) -> dict[str, bytes]:
    """All that was printed, and every file but those of the sink."""
    files = [each for each in desk.folder.rglob("*") if each.is_file()]
    sink = desk.folder / "secrets"
    texts = {
        str(each.relative_to(desk.folder)): each.read_bytes()
        for each in files
        if not each.is_relative_to(sink)
    }
    printed = {f"printed {number}": each.encode() for number, each in enumerate(desk.printed)}
    return texts | printed


def in_accounts(estate: Estate) -> tuple[str, ...]:
    return ("--account", estate.accounts[0])


def test_the_search_finds_what_is_there(desk: Desk, estate: Estate) -> None:
    secret = next(iter(secrets_of(estate)))
    (desk.reports / "stray.txt").write_text(f"?token={quote(secret, safe='')}&")

    assert found({secret}, left_by(desk)) == ["reports/stray.txt"]


SCAN = ("scan", "--log-level", "debug", "--remediate", "apply", "--yes", "--allow-rotate")
AGAIN: list[Command] = [
    ("plan", "--allow-rotate", "--sink", FILE),
    ("apply", "reports/latest/plan.json", "--yes", "--allow-rotate", "--sink", FILE),
    ("history", "latest"),
    ("undo", "latest", "--yes"),
]


@pytest.mark.parametrize(
    ("sink", "commands"), [(FILE, AGAIN), (VAULT, [])], ids=["a folder", "Secrets Manager"]
)
def test_scans_plans_applies_and_reports_hold_no_secret(
    desk: Desk, estate: Estate, sink: str, commands: list[Command]
) -> None:
    desk.run(*SCAN, "--accounts", *estate.accounts, "--sink", sink)
    for command in commands:
        desk.run(*command)

    made = _made(estate, desk)
    assert len(made) == 5
    assert all(len(each) == 40 for each in made.values())
    assert found(secrets_of(estate), left_by(desk)) == []
    written = {path.name for path in desk.folder.rglob("*")}
    assert {"iamaudit.db", "plan.json", "report.html", "report.json"} <= written


def _made(estate: Estate, desk: Desk) -> dict[str, str]:
    """The secrets that a sink has, each as the server made it."""
    kept = kept_in_files(desk.folder / "secrets") | kept_in_vaults(estate)
    assert (
        kept.items()
        <= {
            key: str(each.secret_access_key)
            for account in estate.accounts
            for key, each in estate.iam(account).access_keys.items()
        }.items()
    )
    return kept


@pytest.mark.parametrize("sink", [FILE, VAULT])
def test_operations_on_one_users_keys_hold_no_secret(desk: Desk, estate: Estate, sink: str) -> None:
    account = in_accounts(estate)
    commands: list[Command] = [
        ("keys", "create", "--user", "old-01", *account, "--sink", sink),
        ("keys", "rotate", "--user", "old-02", *account, "--sink", sink, "--json"),
        ("keys", "create", "--user", "old-01", *account, "--sink", sink),
        ("keys", "tour"),
    ]

    codes = [desk.run(*command).code for command in commands]

    assert codes == [0, 0, 2, 0]
    assert len(_made(estate, desk)) == 2
    assert found(secrets_of(estate), left_by(desk)) == []


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["as text", "as JSON"])
def test_a_secret_that_is_to_be_shown_is_shown_once_and_kept_nowhere(
    desk: Desk, estate: Estate, as_json: tuple[str, ...]
) -> None:
    account = in_accounts(estate)
    before = set(estate.keys(estate.accounts[0], "old-01"))

    ran = desk.run("keys", "create", "--user", "old-01", *account, "--show-secret", *as_json)

    [new] = set(estate.keys(estate.accounts[0], "old-01")) - before
    secret = estate.secret(estate.accounts[0], new)
    assert ran.code == 0, ran
    assert ran.stdout.count(secret) == 1
    assert found(secrets_of(estate), left_by(desk)) == ["printed 0"]


def _at(operation: str, spoil: Callable[[HttpAnswer], HttpAnswer | Response]) -> Spoil:
    def only(call: Call, answer: HttpAnswer) -> HttpAnswer | Response | None:
        return spoil(answer) if call.request.operation == operation else None

    return only


def denied(_: HttpAnswer) -> Response:
    return DENIED


def without_its_end(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, body=answer.body[:-30])


def as_an_error(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, status=400)


def as_half_an_error(answer: HttpAnswer) -> HttpAnswer:
    return as_an_error(without_its_end(answer))


def as_text(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, headers=(("Content-Type", "text/plain"),))


def with_the_secret_first_as_half_an_error(answer: HttpAnswer) -> HttpAnswer:
    content = json.loads(answer.body)
    first = {"SecretString": content.pop("SecretString"), **content}
    return as_half_an_error(replace(answer, body=json.dumps(first).encode()))


SPOILS = {
    "the key's answer truncated": (_at("CreateAccessKey", without_its_end), VAULT),
    "the key's answer an error": (_at("CreateAccessKey", as_an_error), VAULT),
    "the key's answer half an error": (_at("CreateAccessKey", as_half_an_error), VAULT),
    "the sink denied": (_at("CreateSecret", denied), VAULT),
    "the sink not to be read": (_at("GetSecretValue", denied), VAULT),
    "the sink's answer truncated": (_at("GetSecretValue", without_its_end), VAULT),
    "the sink's answer an error": (_at("GetSecretValue", as_an_error), VAULT),
    "the sink's answer half an error": (
        _at("GetSecretValue", with_the_secret_first_as_half_an_error),
        VAULT,
    ),
    "the role's answer truncated": (_at("AssumeRole", without_its_end), FILE),
    "the role's answer half an error": (_at("AssumeRole", as_half_an_error), FILE),
}


@pytest.mark.parametrize(
    ("spoil", "sink"),
    [pytest.param(*case, id=name) for name, case in SPOILS.items()],
)
def test_a_rotation_that_fails_lets_no_secret_slip(
    desk: Desk, estate: Estate, spoil: Spoil, sink: str
) -> None:
    estate.emulator.spoils.append(spoil)
    handed_out = len(estate.emulator.handed_out)

    rotated = desk.run("keys", "rotate", "--user", "old-01", *in_accounts(estate), "--sink", sink)
    applied = desk.run(*apply_of("rotate", "--sink", sink))

    assert len(estate.emulator.handed_out) > handed_out
    assert (rotated.code, applied.code) == (4, 4)
    assert found(secrets_of(estate), left_by(desk)) == []


def test_for_a_folder_that_takes_no_secret_no_key_is_made(desk: Desk, estate: Estate) -> None:
    (desk.folder / "secrets").write_text("in the way")
    account = in_accounts(estate)

    created = desk.run("keys", "create", "--user", "old-01", *account, "--sink", FILE)
    applied = desk.run(*apply_of("rotate"))

    assert (created.code, applied.code) == (2, 4)
    assert estate.changes() == []
    assert found(secrets_of(estate), left_by(desk)) == []


@pytest.mark.parametrize(("when", "step"), [("after", "call"), ("during", "put"), ("after", "put")])
def test_a_rotation_that_is_killed_leaves_no_secret_behind(
    desk: Desk, estate: Estate, when: str, step: str
) -> None:
    killed = desk.run(*apply_of("rotate"), killed=(when, step, "old-01"))
    left = found(secrets_of(estate), left_by(desk))
    resumed = desk.run(*apply_of("rotate", "--resume"))

    assert killed.code == -signal.SIGKILL
    assert resumed.code in {0, 4}
    assert left == []
    assert found(secrets_of(estate), left_by(desk)) == []


def test_a_tour_that_fails_half_way_leaves_no_key_and_no_secret(desk: Desk, estate: Estate) -> None:
    def fail(request: Request) -> Response | None:
        return DENIED if request.operation == "UpdateAccessKey" else None

    estate.emulator.hooks.append(fail)
    own = estate.world.organization.management_account_id
    before = estate.keys(own, "iamaudit")

    ran = desk.run("keys", "tour")

    assert ran.code == 2
    assert "DeleteAccessKey" in [each.operation for each in estate.changes()]
    assert estate.keys(own, "iamaudit") == before
    assert found(secrets_of(estate), left_by(desk)) == []


def test_only_the_owner_may_read_what_the_sink_and_the_store_have(
    desk: Desk, estate: Estate
) -> None:
    desk.run(*apply_of("rotate"))

    def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    sink = desk.folder / "secrets"
    files = [*sink.rglob("*.json"), desk.reports / "iamaudit.db"]
    assert len(files) == 6
    assert {mode(each) for each in files} == {0o600}
    assert {mode(each) for each in sink.rglob("*") if each.is_dir()} == {0o700}


@pytest.mark.parametrize(
    "command",
    [("keys", "create", "--user", "old-01", "--sink", FILE), ("keys", "tour")],
    ids=["create", "tour"],
)
def test_a_key_whose_answer_was_lost_is_named(desk: Desk, estate: Estate, command: Command) -> None:
    estate.emulator.spoils.append(_at("CreateAccessKey", without_its_end))
    own = command == ("keys", "tour")
    account = estate.world.organization.management_account_id if own else estate.accounts[0]
    user = "iamaudit" if own else "old-01"
    before = set(estate.keys(account, user))

    ran = desk.run(*command, *(() if own else in_accounts(estate)))

    left = set(estate.keys(account, user)) - before
    assert ran.code == 4
    assert "Traceback" not in ran.stderr
    assert all(key in ran.stdout + ran.stderr for key in left)
