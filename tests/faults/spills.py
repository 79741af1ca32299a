"""Whether a secret got out: into a file that the tool wrote, or into what it said or logged."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


class Ear(logging.Handler):
    """Hears all that is logged while `listening`, and is told what is said."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))

    @contextmanager
    def listening(self) -> Iterator[None]:
        loggers = logging.getLogger(), logging.getLogger("auditor")  # the tool sets its own level
        levels = [logger.level for logger in loggers]
        loggers[0].addHandler(self)
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            loggers[0].removeHandler(self)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def secrets_in(folder: Path, secrets: Collection[str], heard: Collection[str]) -> Iterator[str]:
    """Yield where one of the secrets is: in a file below the folder, or in what was heard."""
    sought = [secret.encode() for secret in secrets]
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if any(secret in content for secret in sought):
                yield str(file.relative_to(folder))
    for line in heard:
        if any(secret in line for secret in secrets):
            yield "what was said or logged"
