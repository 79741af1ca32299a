"""MFA codes: asked for before anything is drawn on the terminal, once a session of a role."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getpass
from typing import TypeAlias

from auditor.aws.configuration import EXPORT, Origin
from auditor.errors import ConfigurationFailure, InterruptedAuditError

AskMfa: TypeAlias = Callable[[str], str | None]
"""Shows a text and returns what is answered; None where nobody can answer."""


def on_terminal(text: str) -> str | None:
    """Ask on the terminal; raise InterruptedAuditError for Ctrl-C."""
    if not sys.stdin.isatty():
        return None
    try:
        with _interruptible():
            return getpass(text)
    except EOFError:
        return ""
    except KeyboardInterrupt:
        raise InterruptedAuditError(
            "interrupted while it asked for an MFA code", hint="nothing was read or changed"
        ) from None


def nobody(_: str) -> str | None:
    """Ask nobody: for a worker, which has no terminal of its own."""
    return None


class MfaPrompt:
    """Asks for codes until `close`: after that a bar is drawn, and a question would be lost."""

    def __init__(self, ask: AskMfa) -> None:
        self._ask = ask
        self._closed = False

    def close(self) -> None:
        """Ask no more."""
        self._closed = True

    def ask(self, origin: Origin, text: str) -> str:
        """Return the code for the credentials of an origin; raise ConfigurationFailure."""
        answer = None if self._closed else self._ask(text)
        if answer is None:
            raise ConfigurationFailure(
                f"{origin.name} needs an MFA code (mfa_serial), and nobody can be asked here",
                hint="get a session first, as by "
                + EXPORT.format(origin.profile or "default")
                + ", aws sts get-session-token or aws-vault, and use it in place of the profile",
                code="MfaRequired",
            )
        code = "".join(answer.split())
        if not code:
            raise ConfigurationFailure(
                f"no MFA code was given for {origin.name}",
                hint="run the command again, and give the code of mfa_serial",
                code="MfaRequired",
            )
        return code


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end what waits inside: the event loop's handler only cancels its tasks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
