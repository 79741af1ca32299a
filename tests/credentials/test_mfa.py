"""MFA codes: asked for on a terminal, before anything is drawn, once a session."""

import asyncio
import os
import pty
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.command import IAMAUDIT
from tests.credentials.cases import BASE, BY_ROLE, ENVIRONMENT, Case
from tests.credentials.home import HOUR, Home
from tests.credentials.sources import MFA_CODE
from tests.faults.cloud import MANAGEMENT

SERIAL = f"arn:aws:iam::{MANAGEMENT}:mfa/j"
MFA = f"{BY_ROLE}mfa_serial = {SERIAL}\n"
PROMPT = f"Enter MFA code for {SERIAL}: "
SCAN = ("scan", "--format", "json", "--fail-on", "never")
MEMBER = f"{int(MANAGEMENT) + 1:012}"


@dataclass
class Terminal:
    """The installed command on a terminal, and what it showed there so far."""

    process: asyncio.subprocess.Process
    keyboard: int
    shown: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self) -> None:
        try:
            self.shown += os.read(self.keyboard, 65536).decode()
        except OSError:  # nobody has the other end open any more
            asyncio.get_running_loop().remove_reader(self.keyboard)
        self.changed.set()

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(60):
            while text not in self.shown:
                self.changed.clear()
                await self.changed.wait()

    def answers(self, text: str) -> None:
        os.write(self.keyboard, f"{text}\n".encode())

    async def ends(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def terminal(
    home: Home, environment: dict[str, str], *arguments: str
) -> AsyncIterator[Terminal]:
    keyboard, screen = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        str(IAMAUDIT),
        *arguments,
        env=environment | {"TERM": "xterm"},
        cwd=home.folder,
        stdin=screen,
        stdout=screen,
        stderr=screen,
        start_new_session=True,
    )
    os.close(screen)
    at = Terminal(process, keyboard)
    asyncio.get_running_loop().add_reader(keyboard, at.read)
    try:
        yield at
    finally:
        asyncio.get_running_loop().remove_reader(keyboard)
        os.close(keyboard)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_code_is_asked_for_once_before_anything_is_drawn(home: Home) -> None:
    environment = home.set_up(Case(profile=MFA, more=BASE))

    async with terminal(home, environment, *SCAN, "--profile", "prof") as at:
        await at.shows(PROMPT)
        before = at.shown
        at.answers(f" {MFA_CODE[:3]} {MFA_CODE[3:]} ")
        code = await at.ends()

    assert code == 0, at.shown
    assert before == PROMPT
    assert at.shown.count(PROMPT) == 1


async def test_one_code_serves_all_profiles_that_use_the_session(home: Home) -> None:
    sources = "".join(f"[profile {each}]\n{MFA}" for each in ("one", "two"))
    member = f"role_arn = arn:aws:iam::{MEMBER}:role/Auditor\nsource_profile = one\n"
    environment = home.set_up(
        Case(config=f"{sources}[profile three]\n{member}{BASE}", variables=ENVIRONMENT)
    )
    (home.folder / "all.yaml").write_text(
        f"- {{id: '{MANAGEMENT}', profile: two}}\n- {{id: '{MEMBER}', profile: three}}\n"
    )
    scan = (*SCAN, "--profile", "one", "--accounts", "@all.yaml")

    async with terminal(home, environment, *scan) as at:
        await at.shows(PROMPT)
        at.answers(MFA_CODE)
        code = await at.ends()

    assert code == 0, at.shown
    assert at.shown.count(PROMPT) == 1


async def test_one_interrupt_at_the_question_ends_the_command(home: Home) -> None:
    environment = home.set_up(Case(profile=MFA, more=BASE))

    async with terminal(home, environment, *SCAN, "--profile", "prof") as at:
        await at.shows(PROMPT)
        at.process.send_signal(signal.SIGINT)
        code = await at.ends()

    assert code == 130, at.shown
    assert "Traceback" not in at.shown
    assert not (home.folder / "reports").exists()


@pytest.mark.parametrize(
    ("answer", "says"),
    [("000000", "AccessDenied: MultiFactorAuthentication failed"), ("", "no MFA code was given")],
)
async def test_a_code_that_does_not_serve_is_a_mistake_of_usage(
    answer: str, says: str, home: Home
) -> None:
    environment = home.set_up(Case(profile=MFA, more=BASE))

    async with terminal(home, environment, *SCAN, "--profile", "prof") as at:
        await at.shows(PROMPT)
        at.answers(answer)
        code = await at.ends()

    assert code == 2, at.shown
    assert says in at.shown
    assert "profile prof" in at.shown


async def test_an_accounts_profile_is_asked_about_first_and_a_wrong_code_costs_it_alone(
    home: Home,
) -> None:
    environment = home.set_up(Case(profile=MFA, more=BASE, variables=ENVIRONMENT))
    (home.folder / "all.yaml").write_text(
        f"- {{id: '{MANAGEMENT}', profile: prof}}\n- {{id: '{MEMBER}'}}\n"
    )

    async with terminal(home, environment, *SCAN, "--accounts", "@all.yaml") as at:
        await at.shows(PROMPT)
        before = at.shown
        at.answers("000000")
        code = await at.ends()

    assert code == 3, at.shown
    assert before == PROMPT
    assert at.shown.count(PROMPT) == 1
    [error] = home.accounts[MANAGEMENT]["errors"]
    assert "profile prof: AccessDenied: MultiFactorAuthentication failed" in error["message"]
    assert home.accounts[MEMBER]["outcome"] == "audited"


async def test_without_a_terminal_an_accounts_profile_is_not_waited_for(home: Home) -> None:
    environment = home.set_up(Case(profile=MFA, more=BASE, variables=ENVIRONMENT))
    (home.folder / "all.yaml").write_text(
        f"- {{id: '{MANAGEMENT}', profile: prof}}\n- {{id: '{MEMBER}'}}\n"
    )

    ran = await home.run(environment, *SCAN, "--accounts", "@all.yaml")

    assert ran.code == 3, ran.stderr
    [error] = home.accounts[MANAGEMENT]["errors"]
    assert "profile prof needs an MFA code (mfa_serial)" in error["message"]
    assert home.accounts[MEMBER]["outcome"] == "audited"


async def test_a_session_that_ends_is_not_asked_about_again(home: Home) -> None:
    home.sources.cloud.lifetime = HOUR / 120  # so the SDK renews it at the next call
    environment = home.set_up(Case(profile=MFA, more=BASE))

    async with terminal(home, environment, *SCAN, "--profile", "prof") as at:
        await at.shows(PROMPT)
        at.answers(MFA_CODE)
        code = await at.ends()

    assert code in {2, 3, 4}, at.shown
    assert at.shown.count(PROMPT) == 1
    assert "the session of profile prof has ended, and a new one needs an MFA code" in at.shown
