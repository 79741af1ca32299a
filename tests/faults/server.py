"""A server between the tool and a cloud, which spoils what a script tells it to spoil.

Each rule says which answers a fault strikes: of which operation, in which account, from which
match on, how often. What is not struck passes as the cloud says it.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from bench.fake_aws.answers import Answer
from tests.faults.cloud import Asked, Cloud, refusal
from tests.faults.delivery import Delivery, deliver
from tests.faults.kinds import REFUSALS, UNDONE, Fault
from tests.faults.spoilt_report import older, with_mark, with_one_spoilt, without_zones

_ALWAYS = 10**9
_ROOM = 250  # characters: enough for a session policy of a few actions


@dataclass
class Rule:
    """Which requests a fault strikes."""

    fault: Fault
    operations: frozenset[str] | None = None
    """None: all but who the caller is."""
    account: str | None = None
    first: int = 0
    """The number of the first match that is struck."""
    count: int = _ALWAYS
    seen: int = 0

    def strikes(self, asked: Asked) -> bool:
        wanted = asked.operation != "GetCallerIdentity"
        if self.operations is not None:
            wanted = asked.operation in self.operations
        if (
            not wanted
            or self.account not in {None, owner(asked)}
            or not _applies(self.fault, asked)
        ):
            return False
        self.seen += 1
        return self.first < self.seen <= self.first + self.count


def _applies(fault: Fault, asked: Asked) -> bool:
    """Whether a fault has a meaning for a request."""
    if fault in {Fault.PACKED, Fault.PACKED_LONG}:
        room = 0 if fault is Fault.PACKED else _ROOM
        return len(asked.form.get("Policy", "")) > room
    return fault is not Fault.ECHOED or "SecretString" in asked.form


def owner(asked: Asked) -> str:
    """Return the account that a request is about: the one whose role is assumed, too."""
    role = asked.form.get("RoleArn")
    return asked.account if role is None else role.split(":")[4]


Before: TypeAlias = Callable[[Asked], None]


@dataclass
class FaultServer:
    """What stands between the tool and the cloud while `serving` lasts."""

    cloud: Cloud
    rules: list[Rule] = field(default_factory=list)
    before: Before = lambda _: None
    """Asked before each request: may change the cloud."""
    latency: float = 0.0
    gate: asyncio.Event | None = None
    """What calls of IAM wait for before they are answered."""
    struck: Counter[Fault] = field(default_factory=Counter)
    struck_accounts: set[str] = field(default_factory=set)
    struck_answers: set[tuple[str, str]] = field(default_factory=set)
    """Account and operation of each."""
    stale_accounts: set[str] = field(default_factory=set)
    """Accounts whose report was older than their root key, or its end."""
    url: str = ""
    spoilt: int = 0
    """Which value of a report is spoilt next."""
    _markers: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def fault(self, asked: Asked) -> Fault | None:
        """Return the fault that strikes a request, if one does."""
        struck = [rule.fault for rule in self.rules if rule.strikes(asked)]
        if not struck:
            return None
        self.struck[struck[0]] += 1
        self.struck_accounts.add(owner(asked))
        self.struck_answers.add((owner(asked), asked.operation))
        return struck[0]

    async def answer(self, head: bytes, body: bytes, out: asyncio.StreamWriter) -> None:
        """Answer one request, or do to it what strikes it."""
        asked = self.cloud.asked(head, body)
        self.before(asked)
        fault = self.fault(asked)
        if self.gate is not None and asked.service == "iam":
            await self.gate.wait()
        if self.latency:
            await asyncio.sleep(self.latency)
        if fault is Fault.SUSPENDED and owner(asked) in self.cloud.accounts:
            self.cloud.accounts[owner(asked)].suspended = True
        if fault in UNDONE:
            self.cloud.calls.append(asked)
            answer = self._refusal(fault, asked)
        else:
            answer = self.cloud.answer(head, asked)
        status, text = answer
        if fault is not None and status == 200:
            text = self._changed(fault, asked, text)
        await deliver(fault, Delivery(status, text, out, self._over))

    def _refusal(self, fault: Fault, asked: Asked) -> Answer:
        if fault is Fault.ECHOED:
            return _echoed(asked, self.struck[fault])
        if fault is Fault.UNAVAILABLE:
            return 503, "<html><body>Service Unavailable</body></html>"
        if fault not in REFUSALS:
            return 500, ""
        return refusal(REFUSALS[fault], asked)

    def _changed(self, fault: Fault, asked: Asked, text: str) -> str:
        """Return the body of a good answer with what is in it changed."""
        if fault in _PAGINGS:
            return self._paged(fault, text)
        if fault is Fault.OVERLAP:
            return _overlapping(asked, text)
        if fault is Fault.SPOILT_VALUE:
            self.spoilt += 1
            return with_one_spoilt(text, self.spoilt - 1)
        if fault is Fault.STALE:
            self.stale_accounts.add(asked.account)
        change = _CHANGES.get(fault)
        return text if change is None else change(text)

    def _paged(self, fault: Fault, text: str) -> str:
        self._markers += 1
        if text.startswith("{"):
            token = {
                Fault.SAME_MARKER: ', "NextToken": "0"',
                Fault.ENDLESS_SAME: f', "NextToken": "-{self._markers + 1000}"',
                Fault.ENDLESS_EMPTY: f', "NextToken": "{self._markers + 1000}"',
                Fault.NO_MARKER: ', "NextToken": ""',
            }[fault]
            return re.sub(r', "NextToken": "[^"]*"', "", text)[:-1] + token + "}"
        marker = {
            Fault.SAME_MARKER: "<Marker>!</Marker>",
            Fault.ENDLESS_SAME: f"<Marker>!{self._markers}</Marker>",
            Fault.ENDLESS_EMPTY: f"<Marker>zzz{self._markers}</Marker>",
            Fault.NO_MARKER: "",
        }[fault]
        return _with_end(text, f"<IsTruncated>true</IsTruncated>{marker}")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FaultServer"]:
        """Listen on this machine while the context lasts; nothing is left of it."""
        tasks: set[asyncio.Task[None]] = set()
        writers: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()

        async def connected(source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            task: asyncio.Task[None] | None = asyncio.current_task()
            assert task
            tasks.add(task)
            writers.add(out)
            with suppress(asyncio.IncompleteReadError, OSError):
                await _talk(source, out, self.answer)
            out.close()
            with suppress(OSError):
                await out.wait_closed()
            writers.discard(out)
            tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self._over.set()
            if self.gate is not None:
                self.gate.set()
            for out in list(writers):
                out.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()


async def _talk(
    source: asyncio.StreamReader,
    out: asyncio.StreamWriter,
    answer: Callable[[bytes, bytes, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    while not out.is_closing():
        head = await source.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await source.readexactly(int(length or 0))
        await answer(head, body, out)
        if not out.is_closing():
            await out.drain()


def _overlapping(asked: Asked, text: str) -> str:
    """Let the page that follows begin within this one; of keys, be the same."""
    names = re.findall(r"<UserName>([^<]+)<", text)
    if "Marker" in asked.form or not names:
        return text
    return _with_end(text, f"<IsTruncated>true</IsTruncated><Marker>{names[0]}</Marker>")


def _echoed(asked: Asked, number: int) -> Answer:
    """Refuse with a message that has what was to be kept secret in it, in several shapes."""
    value = asked.form["SecretString"]
    return [
        (400, json.dumps({"__type": "InvalidParameterException", "Message": f"Bad: {value}"})),
        (500, f"<html><body>{value}</body></html>"),
        (400, json.dumps({"__type": f"DecryptionFailure:{value}", "message": value})),
    ][number % 3]


_PAGINGS = frozenset({Fault.SAME_MARKER, Fault.ENDLESS_SAME, Fault.ENDLESS_EMPTY, Fault.NO_MARKER})
_CHANGES: Mapping[Fault, Callable[[str], str]] = {
    Fault.CUT: lambda text: text[: len(text) * 2 // 3],
    Fault.EMPTY: lambda _: "",
    Fault.HTML: lambda _: "<html><body><p>Sign in to the network</body></html>",
    Fault.JSON: lambda text: "<Accounts/>" if text.startswith("{") else '{"Users": []}',
    Fault.NO_DATES: lambda text: re.sub(r"(Date|Expiration)>[^<]+<", r"\1>soon<", text),
    Fault.IN_PROGRESS: lambda text: text.replace("COMPLETE", "INPROGRESS"),
    Fault.STALE: older,
    Fault.BOM: with_mark,
    Fault.NO_ZONE: without_zones,
    Fault.ANOTHERS: lambda text: re.sub(r"(?<=<UserName>)[^<]+", "somebody-else", text),
    Fault.MARKER_ALONE: lambda text: re.sub("<IsTruncated>true</IsTruncated>", "", text),
    Fault.MARKER_AT_END: lambda text: text.replace("<IsTruncated>true<", "<IsTruncated>false<"),
    Fault.NEW_STATUS: lambda text: re.sub(r"<Status>\w+<", "<Status>Suspended<", text, count=1),
    Fault.BARE_USE: lambda text: re.sub("(?<=</LastUsedDate>).*</Region>", "", text),
}


def _with_end(text: str, end: str) -> str:
    """Return a page of XML with another end."""
    return re.sub(r"<IsTruncated>\w+</IsTruncated>(<Marker>[^<]*</Marker>)?", end, text)
