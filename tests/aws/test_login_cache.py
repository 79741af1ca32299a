"""The cache of `aws login` where it can't be written."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from auditor.aws.login_cache import Login, LoginCache

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXT = json.dumps(
    {
        "accessToken": {
            "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
            "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "sessionToken": "token",
            "expiresAt": "2026-11-24T12:00:00Z",
        },
        "refreshToken": "refresh",
        "clientId": "client",
        "dpopKey": "key",
    }
)


def renewed() -> Login:
    return replace(Login.parsed(TEXT.encode()), expires_at=NOW + timedelta(minutes=15))


def test_what_can_not_be_written_is_kept_for_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(TEXT)
    below = tmp_path / "file" / "cache.json"  # of a file, so nothing can be written there
    cache = LoginCache()

    cache.write(below, renewed())

    assert cache.read(below) == renewed()


def test_the_sign_in_that_lasts_longer_counts_and_nothing_is_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.mkdir()  # takes the temporary file beside it, and is not replaced by it
    cache = LoginCache()
    cache.write(file, renewed())
    left = list(tmp_path.iterdir())
    file.rmdir()

    file.write_text(TEXT)
    older = cache.read(file)
    file.write_text(TEXT.replace("12:00", "13:00"))
    newer = cache.read(file)

    assert left == [file]
    assert older == renewed()
    assert newer.expires_at == NOW + timedelta(hours=1)


def test_no_representation_holds_a_secret() -> None:
    assert "wJalrXUtnFEMI" not in repr(renewed())
    assert "refresh" not in repr(renewed())
