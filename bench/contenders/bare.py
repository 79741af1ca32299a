"""The bare limit: what the calls cost at least in Python.

Hand-written HTTP on asyncio's streams, a signing key that is derived once, expat, dates read. No
retries, no errors, no TLS, no policy, no store.
"""

import asyncio
import json
import os
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote, urlsplit
from xml.parsers import expat

from bench.contenders.signing import Credential, Signer
from bench.contenders.told import role_arn, tell

CONNECTIONS = 60
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_JSON = "application/x-amz-json-1.1"

Job = Callable[["Line"], Awaitable[None]]


class Line:
    """One connection that is kept."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    async def iam(self, signer: Signer, body: str) -> bytes:
        """Call IAM, or STS with a signer of its own."""
        return await self.call(signer, body, kind=_FORM)

    async def call(self, signer: Signer, body: str, *, kind: str, target: str = "") -> bytes:
        """Return the body of the answer; raise RuntimeError unless it is a good one."""
        content = body.encode()
        head = signer.head(self._host, content, kind=kind, target=target)
        self._writer.write(head + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(answer)
        assert found
        told = await self._reader.readexactly(int(found[1]))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(told.decode())
        return told


class Reading:
    """Reads everything, as a queue of jobs over all connections."""

    def __init__(self, credential: Credential) -> None:
        self._own = Signer(credential, "iam")
        self._sts = Signer(credential, "sts")
        self._organizations = Signer(credential, "organizations")
        self.jobs: asyncio.Queue[Job] = asyncio.Queue()
        self.accounts = 0
        self.users = 0
        self.keys: list[tuple[str, str, datetime]] = []
        self.last_uses: list[tuple[datetime, str, str] | None] = []

    async def organization(self, line: Line) -> None:
        """List the accounts."""
        identity = await line.iam(self._sts, "Action=GetCallerIdentity&Version=2011-06-15")
        [own] = values(identity, "Account")
        question: dict[str, str] = {}
        while True:
            target = "AWSOrganizationsV20161128.ListAccounts"
            body = json.dumps(question)
            page = json.loads(await line.call(self._organizations, body, kind=_JSON, target=target))
            for account in page["Accounts"]:
                self.jobs.put_nowait(self._account(account["Id"], own))
            if "NextToken" not in page:
                return
            question = {"NextToken": page["NextToken"]}

    def _account(self, account_id: str, own: str) -> Job:
        async def job(line: Line) -> None:
            self.accounts += 1
            signer = self._own
            if account_id != own:
                arn = quote(role_arn(account_id), safe="")
                body = f"Action=AssumeRole&Version=2011-06-15&RoleArn={arn}&RoleSessionName=bench"
                answer = await line.iam(self._sts, body)
                parts = values(answer, "AccessKeyId", "SecretAccessKey", "SessionToken")
                signer = Signer(Credential(*parts), "iam")
            marker = ""
            while True:
                body = "Action=ListUsers&Version=2010-05-08&MaxItems=1000" + marker
                page = await line.iam(signer, body)
                for name in values(page, "UserName"):
                    self.users += 1
                    self.jobs.put_nowait(self._user(signer, name))
                found = list(values(page, "Marker"))
                if not found:
                    return
                marker = f"&Marker={quote(found[0], safe='')}"

        return job

    def _user(self, signer: Signer, name: str) -> Job:
        async def job(line: Line) -> None:
            escaped = quote(name, safe="")
            body = f"Action=ListAccessKeys&Version=2010-05-08&UserName={escaped}&MaxItems=1000"
            told = list(values(await line.iam(signer, body), "AccessKeyId", "Status", "CreateDate"))
            for key_id, status, created in zip(told[::3], told[1::3], told[2::3], strict=True):
                self.keys.append((key_id, status, datetime.fromisoformat(created)))
                self.jobs.put_nowait(self._key(signer, key_id))

        return job

    def _key(self, signer: Signer, key_id: str) -> Job:
        async def job(line: Line) -> None:
            body = f"Action=GetAccessKeyLastUsed&Version=2010-05-08&AccessKeyId={key_id}"
            told = list(
                values(await line.iam(signer, body), "LastUsedDate", "ServiceName", "Region")
            )
            use = (datetime.fromisoformat(told[0]), told[1], told[2]) if told[2:] else None
            self.last_uses.append(use)

        return job


def values(xml: bytes, *names: str) -> Iterator[str]:
    """Return the texts of all elements of these names, in the document's order."""
    found: list[str] = []
    wanted = frozenset(names)
    text = ""

    def start(_name: str, _attributes: dict[str, str]) -> None:
        nonlocal text
        text = ""

    def characters(more: str) -> None:
        nonlocal text
        text += more

    def end(name: str) -> None:
        if name in wanted:
            found.append(text)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.CharacterDataHandler = characters
    parser.EndElementHandler = end
    parser.Parse(xml, True)
    return iter(found)


async def work(reading: Reading, host: str, port: int) -> None:
    """Do jobs on a connection, until cancelled."""
    reader, writer = await asyncio.open_connection(host, port)
    line = Line(reader, writer, f"{host}:{port}")
    try:
        while True:
            job = await reading.jobs.get()
            await job(line)
            reading.jobs.task_done()
    finally:
        writer.close()


async def main() -> None:
    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    credential = Credential(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], ""
    )
    assert url.hostname
    assert url.port
    reading = Reading(credential)
    reading.jobs.put_nowait(reading.organization)
    workers = [
        asyncio.create_task(work(reading, url.hostname, url.port)) for _ in range(CONNECTIONS)
    ]
    done = asyncio.create_task(reading.jobs.join())
    await asyncio.wait([done, *workers], return_when=asyncio.FIRST_COMPLETED)
    for worker in workers:
        if worker.done():
            worker.result()
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    tell(accounts=reading.accounts, users=reading.users, last_uses=reading.last_uses)


if __name__ == "__main__":
    with suppress(ImportError):  # not everybody has it; it is faster where it is
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
