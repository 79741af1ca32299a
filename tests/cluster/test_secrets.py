"""What workers are given, and who can talk to them: no secret, and nobody else."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.command import IAMAUDIT, clean_environment
from tests.faults.cloud import CALLER_KEY, Asked, Cloud
from tests.faults.server import FaultServer

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HANDED_OUT = ("sASIA", "tASIA")
"""What the cloud's secrets and session tokens begin with."""
SCAN = (
    *("scan", "--accounts", "org", "--format", "json", "--profile", "audit"),
    *("--workers", "2", "--log-level", "debug"),
)


async def said_by(port: int, tls: ssl.SSLContext | None) -> bytes:
    """What a listener says to one without its certificates."""
    out = None
    try:
        async with asyncio.timeout(5):
            source, out = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            out.write(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
            return await source.read(1000)
    except (OSError, ssl.SSLError):  # among them: no TLS there, and too late
        return b""
    finally:
        if out is not None:
            out.transport.abort()


async def test_workers_have_no_secret_in_argv_or_environment_and_let_nobody_else_in(
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text("[profile audit]\nregion = us-east-1\n")
    (tmp_path / "credentials").write_text(
        f"[audit]\naws_access_key_id = {CALLER_KEY}\naws_secret_access_key = {SECRET}\n"
    )
    reading = asyncio.Event()
    server = FaultServer(
        Cloud(5, accounts=6, users=6, least=2, now=datetime.now(UTC)), gate=asyncio.Event()
    )

    def note(asked: Asked) -> None:
        if asked.service == "iam":
            reading.set()

    server.before = note
    async with server.serving():
        process = await asyncio.create_subprocess_exec(
            str(IAMAUDIT),
            *SCAN,
            env=clean_environment()
            | {
                "HOME": str(tmp_path),
                "AWS_CONFIG_FILE": str(tmp_path / "config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": server.url,
            },
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            await reading.wait()
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
        given = [f"{each.cmdline()} {each.environ()}" for each in family]
        listening = {
            (each.laddr.ip, each.laddr.port)
            for one in family
            for each in one.net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        }
        stranger = ssl.create_default_context()
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        said = await asyncio.gather(
            *(said_by(port, tls) for _, port in listening for tls in (None, stranger))
        )
        assert server.gate is not None
        server.gate.set()
        out, err = await process.communicate()

    assert process.returncode == 1, err
    assert sum("spawn_main" in each for each in given) >= 2
    for secret in (SECRET, *HANDED_OUT):
        assert not any(secret in each for each in given)
        assert secret.encode() not in out + err
    assert len(listening) >= 3  # the scheduler's and each worker's
    assert {ip for ip, _ in listening} == {"127.0.0.1"}
    assert all(not each or each.startswith(b"HTTP/1.1 404 ") for each in said)
    written = [path for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert written
    assert not any(SECRET.encode() in path.read_bytes() for path in written)
