"""Where secrets of new keys go, by what the operator names."""

from dataclasses import dataclass
from pathlib import Path

from auditor.aws.connection import Connection
from auditor.aws.region import region_of
from auditor.aws.secrets import SecretsManagerSink
from auditor.aws.session import Aws
from auditor.errors import AuditError
from auditor.model.account import Account, AccountId, parse_account_id
from auditor.paths import expanded
from auditor.ports import SecretSink
from auditor.store.secret_file import SecretFile


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkChoice:
    """A sink, as asked for."""

    folder: Path | None = None
    """For `file:DIR`."""
    account: AccountId | None = None
    """For `secretsmanager:ACCOUNT`; None for the account of the key."""
    kms_key_id: str | None = None


def parse_sink(text: str, *, kms_key_id: str | None = None) -> SinkChoice:
    """Return the sink that the text names; raise AuditError for one that is none."""
    kind, colon, rest = text.partition(":")
    if kind == "file" and rest:
        return SinkChoice(folder=expanded(rest))
    try:
        if kind == "secretsmanager":
            account = parse_account_id(rest) if colon else None
            return SinkChoice(account=account, kms_key_id=kms_key_id)
    except ValueError:
        pass
    raise AuditError(
        f"--sink: {text!r} is no sink",
        hint="write secretsmanager, secretsmanager:ACCOUNT or file:DIR",
    )


def open_sink(choice: SinkChoice, aws: Aws) -> SecretSink:
    """Return the sink; it is entered only when a secret is to be stored."""
    if choice.folder is not None:
        return SecretFile(choice.folder)
    central = None if choice.account is None else Account(id=choice.account)
    return SecretsManagerSink(aws.open_secrets, central=central, kms_key_id=choice.kms_key_id)


def sink_name(choice: SinkChoice, connection: Connection) -> str:
    """Return where exactly the sink is, as this process sees it: a resume must find the same."""
    if choice.folder is not None:
        return f"file:{choice.folder.absolute()}"
    return f"secretsmanager:{choice.account or 'own'}:{region_of(connection)}"
