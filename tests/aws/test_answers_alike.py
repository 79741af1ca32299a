"""Whatever a server or a proxy says, both transports take it, or both refuse it."""

import asyncio
import time
from pathlib import Path

import pytest

from auditor.errors import AwsFailure
from auditor.ports import IamReader
from tests.aws.wire import COMPLETE, Authority, http, proxying, readers, saying, serving

SIZE = len(COMPLETE)
OK = "HTTP/1.1 200 OK\r\n"
LENGTH = f"Content-Length: {SIZE}\r\n"
CHUNKS = f"{SIZE:x}\r\n".encode() + COMPLETE + b"\r\n0\r\n\r\n"


def said(head: str, body: bytes = COMPLETE) -> bytes:
    return head.encode("latin-1") + body


ANSWERS = {
    "as it should be": said(f"{OK}{LENGTH}\r\n"),
    "LF only": said(f"{OK}{LENGTH}\r\n".replace("\r", "")),
    "LF within the head only": said(f"{OK}{LENGTH}".replace("\r", "") + "\r\n"),
    "CR only": said(f"{OK}{LENGTH}\r\n".replace("\n", "")),
    "folded": said(f"{OK}X-Folded: one\r\n two\r\n{LENGTH}\r\n"),
    "folded by a tab": said(f"{OK}X-Folded: one\r\n\ttwo\r\n{LENGTH}\r\n"),
    "folded length": said(f"{OK}Content-Length:\r\n {SIZE}\r\n\r\n"),
    "folded at the beginning": said(f"{OK} X: one\r\n{LENGTH}\r\n"),
    "blank before the colon": said(f"{OK}Content-Length : {SIZE}\r\n\r\n"),
    "blank in a name": said(f"{OK}X Y: one\r\n{LENGTH}\r\n"),
    "no colon": said(f"{OK}X-Nothing\r\n{LENGTH}\r\n"),
    "no name": said(f"{OK}: one\r\n{LENGTH}\r\n"),
    "long header": said(f"{OK}X: {'x' * 8000}\r\n{LENGTH}\r\n"),
    "too long header": said(f"{OK}X: {'x' * 8200}\r\n{LENGTH}\r\n"),
    "too long name": said(f"{OK}{'x' * 8200}: x\r\n{LENGTH}\r\n"),
    "too long reason": said(f"HTTP/1.1 200 {'x' * 8200}\r\n{LENGTH}\r\n"),
    "many headers": said(f"{OK}X: x\r\n" + "X: x\r\n" * 100 + f"{LENGTH}\r\n"),
    "too many headers": said(OK + "X: x\r\n" * 200 + f"{LENGTH}\r\n"),
    "NUL in a header": said(f"{OK}X: a\0b\r\n{LENGTH}\r\n"),
    "control character in a header": said(f"{OK}X: a\x01b\r\n{LENGTH}\r\n"),
    "CR in a header": said(f"{OK}X: a\rb\r\n{LENGTH}\r\n"),
    "Latin-1 in a header": said(f"{OK}X: \xe9\r\n{LENGTH}\r\n"),
    "two equal lengths": said(f"{OK}{LENGTH}{LENGTH}\r\n"),
    "two lengths": said(f"{OK}{LENGTH}Content-Length: 5\r\n\r\n"),
    "list of lengths": said(f"{OK}Content-Length: {SIZE}, {SIZE}\r\n\r\n"),
    "signed length": said(f"{OK}Content-Length: +{SIZE}\r\n\r\n"),
    "negative length": said(f"{OK}Content-Length: -1\r\n\r\n"),
    "hexadecimal length": said(f"{OK}Content-Length: 0x{SIZE:x}\r\n\r\n"),
    "huge length": said(f"{OK}Content-Length: {10**30}\r\n\r\n"),
    "empty length": said(f"{OK}Content-Length: \r\n\r\n"),
    "length and chunks": said(f"{OK}{LENGTH}Transfer-Encoding: chunked\r\n\r\n", CHUNKS),
    "chunks and length": said(f"{OK}Transfer-Encoding: chunked\r\n{LENGTH}\r\n", CHUNKS),
    "chunks": said(f"{OK}Transfer-Encoding: chunked\r\n\r\n", CHUNKS),
    "chunks twice": said(f"{OK}Transfer-Encoding: chunked, chunked\r\n\r\n", CHUNKS),
    "chunks not last": said(f"{OK}Transfer-Encoding: chunked, identity\r\n\r\n", CHUNKS),
    "chunks in capitals": said(f"{OK}Transfer-Encoding: CHUNKED\r\n\r\n", CHUNKS),
    "chunks with LF": said(f"{OK}Transfer-Encoding: chunked\r\n\r\n", CHUNKS.replace(b"\r", b"")),
    "chunks with blanks": said(
        f"{OK}Transfer-Encoding: chunked\r\n\r\n", CHUNKS.replace(b"\r\n", b"  \r\n", 1)
    ),
    "chunk without a size": said(f"{OK}Transfer-Encoding: chunked\r\n\r\n", b"\r\n" + CHUNKS),
    "chunk of a negative size": said(f"{OK}Transfer-Encoding: chunked\r\n\r\n", b"-1\r\n\r\n"),
    "HTTP/1.0": said(f"HTTP/1.0 200 OK\r\n{LENGTH}\r\n"),
    "HTTP/2.0": said(f"HTTP/2.0 200 OK\r\n{LENGTH}\r\n"),
    "HTTP/9.9": said(f"HTTP/9.9 200 OK\r\n{LENGTH}\r\n"),
    "no reason": said(f"HTTP/1.1 200\r\n{LENGTH}\r\n"),
    "no status": said(f"HTTP/1.1\r\n{LENGTH}\r\n"),
    "status of two digits": said(f"HTTP/1.1 20 OK\r\n{LENGTH}\r\n"),
    "status of four digits": said(f"HTTP/1.1 2000 OK\r\n{LENGTH}\r\n"),
    "an empty line before": b"\r\n" + said(f"{OK}{LENGTH}\r\n"),
    "continue before": b"HTTP/1.1 100 Continue\r\n\r\n" + said(f"{OK}{LENGTH}\r\n"),
    "early hints before": b"HTTP/1.1 103 -\r\nLink: x\r\n\r\n" + said(f"{OK}{LENGTH}\r\n"),
    "another protocol": b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "no protocol": b"220 ready\r\n\r\n",
}

# aiohttp says so of a connection that it drops because of what came.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")


async def outcome(reader: IamReader) -> str:
    try:
        await reader.generate_credential_report()
    except AwsFailure:
        return "refused"
    return "taken"


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_is_taken_or_refused_by_both(name: str) -> None:
    async with (
        serving(saying(ANSWERS[name], close=True)) as server,
        readers(server.url) as both,
    ):
        found = await asyncio.gather(outcome(both.fast), outcome(both.sdk))

    assert found[0] == found[1]


TUNNEL = "HTTP/1.1 200 OK\r\n"
TUNNELS = {
    "as it should be": TUNNEL + "\r\n",
    "LF only": "HTTP/1.1 200 OK\n\n",
    "HTTP/1.0": "HTTP/1.0 200 Connection established\r\n\r\n",
    "no reason": "HTTP/1.1 200\r\n\r\n",
    "folded": TUNNEL + "X-Folded: one\r\n two\r\n\r\n",
    "long header": TUNNEL + f"X: {'x' * 8000}\r\n\r\n",
    "too long header": TUNNEL + f"X: {'x' * 8200}\r\n\r\n",
    "endless header": TUNNEL + f"X: {'x' * 100_000}",
    "too many headers": TUNNEL + "X: x\r\n" * 200 + "\r\n",
    "blank before the colon": TUNNEL + "X : x\r\n\r\n",
    "a length": TUNNEL + "Content-Length: 0\r\n\r\n",
    "continue before": "HTTP/1.1 100 Continue\r\n\r\n" + TUNNEL + "\r\n",
    "only continue": "HTTP/1.1 100 Continue\r\n\r\n" * 3,
    "another success": "HTTP/1.1 204 -\r\n\r\n",
    "another protocol": "HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "refused": "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "refused, LF only": "HTTP/1.1 403 Forbidden\n\n",
    "half a head": TUNNEL + "X: ",
    "no protocol": "220 ready\r\n\r\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", TUNNELS)
async def test_an_answer_to_connect_opens_a_tunnel_for_both_or_for_neither(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    tls = authority.server("localhost")
    async with (
        serving(saying(http()), tls) as server,
        proxying(TUNNELS[name].encode()) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        url = f"https://localhost:{server.port}"
        began = time.monotonic()
        async with readers(url, verify=str(authority.bundle)) as both:
            found = await asyncio.gather(outcome(both.fast), outcome(both.sdk))
        took = time.monotonic() - began

    assert found[0] == found[1]
    # Four times the time limit of one read, half a second.
    assert took < 4
