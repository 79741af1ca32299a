"""Which keys the operator works with: no command takes one of them away (pure)."""

from dataclasses import dataclass

_FEDERATED = "federated-user"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """Whose credentials are in use, and which long-lived keys are known to be behind them."""

    caller_arn: str
    # Of this machine's AWS configuration, and those that signed a call of this process.
    key_ids: frozenset[str] = frozenset()
    # The long-lived key that signs the caller's calls; None for a session, which names no key.
    signing_key_id: str | None = None

    def why(self, *, user_arn: str, key_id: str | None) -> str | None:
        """Return why a plan leaves the key alone as the operator's; None where it is not."""
        if key_id in self.key_ids:
            return "it is in this machine's AWS configuration"
        return "it is the caller's own" if is_caller(self.caller_arn, user_arn) else None

    def why_named(self, *, user_arn: str, key_id: str) -> str | None:
        """Return why a key that a person named is left alone; None where it is not.

        Where a long-lived key signs, the user's other key can be ended: that is how a person ends
        a rotation. A session does not tell which key it came from, so both are left alone.
        """
        if key_id in self.key_ids:
            return "it is in this machine's AWS configuration: it may be what calls"
        if self.signing_key_id is None and is_caller(self.caller_arn, user_arn):
            return "the session that calls may come from it"
        return None


def is_caller(caller_arn: str, user_arn: str) -> bool:
    """Whether the caller is this IAM user, or a session of it.

    A user's name is unique in its account whatever its path and case. A federated session has the
    name that its maker gave it; by custom that is the user's.
    """
    caller, user = caller_arn.split(":", 5), user_arn.split(":", 5)
    if len(caller) < 6 or len(user) < 6 or caller[4] != user[4]:  # noqa: PLR2004 -- an ARN's parts
        return False
    kind, _, name = caller[5].partition("/")
    if kind not in {"user", _FEDERATED}:
        return False
    names = (part.rpartition("/")[2].casefold() for part in (name, user[5]))
    return len(set(names)) == 1 and user[5].startswith("user/")


def same_caller(one: str, other: str) -> bool:
    """Whether two callers are the same user or role; the name of a role's session is no matter."""
    return _without_session(one) == _without_session(other)


def _without_session(arn: str) -> str:
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
