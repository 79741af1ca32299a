"""Servers that say what they are told to, byte by byte, and both readers of what they say."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from auditor.aws.errors import check_answered_by_aws
from auditor.aws.fast.endpoint import Endpoint, endpoint_of
from auditor.aws.fast.http import Pool
from auditor.aws.readers import ClientReader
from auditor.aws.tls import VerifyingSession
from auditor.ports import IamReader
from tests.aws.answers import a_fast_reader
from tests.aws.connect import some_calls

COMPLETE = (
    b"<GenerateCredentialReportResponse><GenerateCredentialReportResult><State>COMPLETE</State>"
    b"</GenerateCredentialReportResult></GenerateCredentialReportResponse>"
)


def http(body: bytes = COMPLETE, *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Spoken:
    """What a server was told, request by request, on how many connections."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, number: int) -> dict[str, str]:
        head = self.requests[number].partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:])
        return {name.lower(): value for name, value in pairs}


Speak = Callable[[Spoken, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection is closed where it closes it."""


def saying(*parts: bytes, close: bool = False) -> Speak:
    """Answer with these bytes, each in a segment of its own."""

    async def speak(_: Spoken, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.005)
        if close:
            writer.close()

    return speak


async def resetting(_: Spoken, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silent(spoken: Spoken, _: asyncio.StreamWriter) -> None:
    await spoken.over.wait()


Serve = Callable[[Spoken, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Spoken]:
    """Serve each connection while the context lasts; all end with it."""
    spoken = Spoken()
    tasks: set[asyncio.Task[Any]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        writers.append(writer)
        spoken.connections += 1
        with suppress(asyncio.IncompleteReadError, OSError):
            await serve(spoken, reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    spoken.port = server.sockets[0].getsockname()[1]
    try:
        yield spoken
    finally:
        server.close()
        spoken.over.set()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks)


def serving(speak: Speak, tls: ssl.SSLContext | None = None) -> AbstractAsyncContextManager[Spoken]:
    async def serve(
        spoken: Spoken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            spoken.requests.append(head + await reader.readexactly(int(length or 0)))
            await speak(spoken, writer)

    return listening(serve, tls)


def proxying(
    answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n", tls: ssl.SSLContext | None = None
) -> AbstractAsyncContextManager[Spoken]:
    """An HTTP proxy for CONNECT."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(
        spoken: Spoken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        spoken.requests.append(head)
        writer.write(answer)
        if b" 200 " in answer:
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            inward, outward = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pipe(reader, outward), pipe(inward, writer))
            with suppress(OSError):
                await outward.wait_closed()

    return listening(serve, tls)


@dataclass(frozen=True)
class Readers:
    """Both readers, by the same client of the SDK."""

    fast: IamReader
    sdk: IamReader
    pool: Pool
    endpoint: Endpoint


@asynccontextmanager
async def readers(
    url: str | None = None, *, verify: Any = None, region: str = "us-east-1", **config: Any
) -> AsyncIterator[Readers]:
    settings = AioConfig(
        **{
            "retries": {"total_max_attempts": 1},
            "connect_timeout": 0.5,
            "read_timeout": 0.5,
            "http_session_cls": VerifyingSession,
            **config,
        }
    )
    session = aioboto3.Session(
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="secret"
    )
    client_ = session.client(
        "iam", endpoint_url=url, verify=verify, region_name=region, config=settings
    )
    async with client_ as client:
        client.meta.events.register("before-parse", check_answered_by_aws)
        pool, endpoint = Pool(60), await endpoint_of(client)
        yield Readers(
            fast=a_fast_reader(pool, endpoint),
            sdk=ClientReader(client, some_calls(attempts=1), "aws"),
            pool=pool,
            endpoint=endpoint,
        )
        await pool.aclose()


class Authority:
    """Makes certificates; `bundle` is the file that has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        own = (
            self._certificate(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = folder / f"ca-{id(self)}.pem"
        self.bundle.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server with these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
            for name in names
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = (
            self._certificate(subject, key)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{names[0]}-{id(certificate)}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
