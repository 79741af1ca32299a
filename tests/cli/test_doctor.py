"""`iamaudit doctor`: what it prints, and how it exits."""

from datetime import timedelta

import pytest
from rich.console import Console

from auditor.cli.doctor import _code, _show
from auditor.cli.exits import ExitCode
from auditor.demo.emulator import Request, Response
from auditor.engine.doctor import Check, State, check_of
from auditor.errors import AwsFailure, FailureKind
from auditor.model.account import Via
from auditor.ports import Caller
from auditor.wiring.doctor import Diagnosis, Examined
from tests.builders import ACCOUNT_ID, an_account
from tests.command import Run, World

CALLER = Caller(account_id=an_account().id, arn="arn:aws:iam::1:user/\x1b[31mamy", partition="aws")
FINE = Check(operation="iam:ListUsers", state=State.ALLOWED)
MISSING = Check(
    operation="iam:ListUsers", state=State.MISSING, mend="grant it", statement={"Effect": "Allow"}
)


def an_examined(*checks: Check, **values: object) -> Examined:
    defaults = {"account": an_account(name="\x1b]0;prod\u202e"), "via": Via.ROLE}
    return Examined(checks=checks, **(defaults | values))  # type: ignore[arg-type]


def a_diagnosis(*accounts: Examined, **values: object) -> Diagnosis:
    defaults = {"caller": CALLER, "skew": timedelta(0)}
    return Diagnosis(accounts=accounts, **(defaults | values))  # type: ignore[arg-type]


def shown(found: Diagnosis) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        _show(found, console)
    return capture.get()


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (a_diagnosis(an_examined(FINE)), ExitCode.CLEAN),
        (a_diagnosis(an_examined(FINE), an_examined(MISSING)), ExitCode.INCOMPLETE),
        (a_diagnosis(an_examined(FINE), skew=timedelta(minutes=3)), ExitCode.INCOMPLETE),
        (a_diagnosis(an_examined(FINE), organization=(MISSING,)), ExitCode.INCOMPLETE),
        (a_diagnosis(an_examined(MISSING, via=None)), ExitCode.NOTHING),
        (a_diagnosis(), ExitCode.NOTHING),
    ],
)
def test_the_exit_code_tells_how_much_a_scan_would_miss(found: Diagnosis, code: ExitCode) -> None:
    assert _code(found) is code


def test_names_from_aws_are_shown_as_text() -> None:
    told = shown(a_diagnosis(an_examined(MISSING)))

    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "\\u001b[31mamy" in told


def test_accounts_with_the_same_problem_share_a_line() -> None:
    others = [an_account(f"{number:012}") for number in range(1, 8)]

    told = shown(a_diagnosis(*(an_examined(MISSING, account=each) for each in others)))

    [line] = [line for line in told.splitlines() if "is missing" in line]
    assert line.startswith("000000000001, 000000000002, ")
    assert ' and 2 more accounts: iam:ListUsers is missing; grant it: {"Effect": "Allow"}' in line


def test_a_clock_that_is_off_is_told_with_its_side() -> None:
    told = shown(a_diagnosis(an_examined(FINE), skew=timedelta(seconds=-240)))

    assert "clock: this machine's is 240 seconds ahead of AWS's" in told
    assert "Nothing is missing" not in told


def test_an_organization_is_examined_account_by_account(run: Run, world: World) -> None:
    ran = run("doctor", "--accounts", "org", variables=world.variables)

    assert ran.code in {0, 3}, ran.stdout + ran.stderr
    assert "\x1b" not in ran.stdout
    assert "skipped: suspended" in ran.stdout


def test_no_credentials_are_a_mistake_of_configuration(run: Run) -> None:
    ran = run("doctor", variables={"AWS_EC2_METADATA_DISABLED": "true"})

    assert ran.code == 2
    assert ran.stderr.startswith("iamaudit: no AWS credentials were found; sign in")


def test_an_endpoint_that_is_not_there_is_named(run: Run, world: World) -> None:
    nowhere = {**world.variables, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

    ran = run("doctor", variables=nowhere)

    assert ran.code == 4
    assert "127.0.0.1:9" in ran.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        ["--accounts", "12"],
        ["--profile", "nobody"],
        ["--for", "apply"],
        ["--endpoint-url", "nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(run: Run, world: World, wrong: list[str]) -> None:
    ran = run("doctor", *wrong, variables=world.variables)

    assert ran.code == 2, ran.stdout + ran.stderr
    assert ACCOUNT_ID not in ran.stdout


def denied(message: str) -> Check:
    failure = AwsFailure(
        operation="iam:ListUsers", code="AccessDenied", message=message, kind=FailureKind.DENIED
    )
    return check_of(failure)


def test_the_policy_that_denies_is_named_once_for_all_its_accounts() -> None:
    accounts = [an_account(f"{number:012}") for number in (1, 2)]
    told = shown(
        a_diagnosis(
            *(
                an_examined(
                    denied(
                        f"User: arn:aws:sts::{each.id}:assumed-role/x/y is not authorized to"
                        " perform: iam:ListUsers with an explicit deny in a service control policy:"
                        f" arn:p1 (authorization id example{each.id})"
                    ),
                    account=each,
                )
                for each in accounts
            )
        )
    )

    [line] = [line for line in told.splitlines() if "is missing" in line]
    assert line.startswith("000000000001, 000000000002: iam:ListUsers is missing; ")
    assert "an explicit deny in the service control policy arn:p1 forbids it" in line
    assert line.endswith("--authorization-id example000000000001")


def test_an_account_that_a_policy_bars_is_examined_with_its_name(run: Run, world: World) -> None:
    def barred(request: Request) -> Response | None:
        if request.operation != "ListUsers":
            return None
        return Response(
            status=403,
            code="AccessDenied",
            message="User: x is not authorized to perform: iam:ListUsers on resource: * with an"
            " explicit deny in a service control policy: arn:aws:organizations::1:policy/o/p-1."
            " Go to https://example.com/x for complete details, or call the"
            " GetRequestAuthorizationDetails API with the following authorization id: example1234",
        )

    world.emulator.hooks.append(barred)

    ran = run("doctor", variables=world.variables)

    assert ran.code == 3
    assert "the service control policy arn:aws:organizations::1:policy/o/p-1 forbids" in ran.stdout
    assert "--authorization-id example1234" in ran.stdout
