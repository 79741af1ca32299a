"""The fast readers of a run: one pool of connections for all, one endpoint for each session."""

from typing import Any

import anyio
from aiobotocore.credentials import AioCredentials

from auditor.aws.calls import Calls, uncounted
from auditor.aws.clients import Clients
from auditor.aws.errors import failures
from auditor.aws.fast.endpoint import Endpoint, endpoint_of
from auditor.aws.fast.http import Pool
from auditor.aws.fast.reader import FastReader
from auditor.ports import Clock

_UNUSED = AioCredentials("AKIAIOSFODNN7EXAMPLE", "of-a-request-that-is-never-sent")


class FastDoor:
    """Makes readers; nothing is sent for an account until its reader is asked."""

    def __init__(self, clients: Clients, clock: Clock, *, concurrency: int) -> None:
        self._clients = clients
        self._clock = clock
        self._pool = Pool(concurrency)
        self._endpoints: dict[Any, Endpoint] = {}
        self._turn = anyio.Lock()

    async def reader(
        self, session: Any, credentials: Any, calls: Calls, partition: str
    ) -> FastReader:
        """Return a reader that goes where the session goes, with credentials of the SDK.

        Raises AwsFailure where the session leads nowhere.
        """
        return FastReader(
            await self._endpoint(session),
            self._pool,
            credentials,
            calls,
            partition=partition,
            clock=self._clock,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _endpoint(self, session: Any) -> Endpoint:
        async with self._turn:
            if session not in self._endpoints:
                made = self._clients.client(session, "iam", credentials=_UNUSED)
                async with made as client:
                    with failures("iam:*"), uncounted("iam:GetAccountSummary"):
                        self._endpoints[session] = await endpoint_of(client)
            return self._endpoints[session]
