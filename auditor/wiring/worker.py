"""What runs on a Dask worker: one plugin for each scan, and the task that reads one account."""

import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
from distributed import Worker, WorkerPlugin, get_worker

from auditor import __version__
from auditor.aws.connection import Connection
from auditor.aws.session import Aws, nobody
from auditor.config import TransportName
from auditor.engine.cluster import SAFE_PATH, Read
from auditor.engine.in_process import InProcess
from auditor.engine.inventory import unreachable
from auditor.engine.tally import Tally
from auditor.errors import AuditError, NotSignedInError, SignedOutError
from auditor.model.account import Account
from auditor.model.inventory import AccountInventory, ReadError
from auditor.wiring.clock import SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker is told of a scan: no credential is in it."""

    run_id: str
    version: str
    """Of iamaudit where the scan was started."""
    partition: str
    connection: Connection
    transport: TransportName
    from_report: bool
    concurrency: int
    """Calls in flight at the same time, in this worker."""
    workers: int
    """Of the scan, this one among them."""
    started_here: bool
    """Whether the worker was started for this scan, by it."""


class ScanPlugin(WorkerPlugin):
    """One scan on one worker: its way to AWS, and the accounts being read."""

    def __init__(self, options: WorkerOptions) -> None:
        self.name = options.run_id
        self._options = options

    async def setup(self, worker: Worker) -> None:
        """Connect with the worker's own identity; raise AuditError where that can't be done."""
        if self._options.started_here:
            # Ctrl-C, and a terminal that is closed, reach the whole process group: what was read is
            # asked for, then all end.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if os.environ.get("PYTHONSAFEPATH") == SAFE_PATH:
                # A credential_process that is a Python script may need modules beside it.
                del os.environ["PYTHONSAFEPATH"]
        self._tally = Tally()
        self._scopes: set[anyio.CancelScope] = set()
        self._stopped = False
        self._stack = AsyncExitStack()
        self._unfit: AuditError | None = None
        try:
            await self._connect(worker.address)
        except AuditError as error:
            self._unfit = error
            raise

    async def _connect(self, address: str) -> None:
        options, clock = self._options, SystemClock()
        if options.version != __version__:
            raise AuditError(
                f"the worker {address} has iamaudit {__version__}, this is {options.version}",
                hint="install the same version on all workers",
            )
        aws = Aws(
            options.connection,
            session_name=f"iamaudit-{options.run_id}",
            concurrency=options.concurrency,
            progress=self._tally,
            clock=clock,
            transport=options.transport.value,
            workers=options.workers,
            ask_mfa=nobody,
        )
        caller = await self._stack.enter_async_context(aws.connect())
        if caller.partition != options.partition:
            raise AuditError(
                f"the worker {address} calls from the partition {caller.partition},"
                f" this scan from {options.partition}",
                hint="use workers with an identity of the same partition",
            )
        self._in_process = InProcess(
            aws,
            concurrency=options.concurrency,
            tally=self._tally,
            clock=clock,
            prepared=aws.prepared,
            from_report=options.from_report,
        )

    async def teardown(self, worker: Worker) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def read(self, account: Account, waiting: int) -> Read:
        """Read one account; what was read until `interrupt` where that comes first."""
        kept: list[AccountInventory] = []
        signed_out = None

        async def keep(inventory: AccountInventory) -> None:
            kept.append(inventory)

        if isinstance(self._unfit, NotSignedInError):
            signed_out = self._unfit.why  # it joined late, in place of one that was lost
        elif self._unfit is not None:
            error = ReadError(operation="scan", code="WorkerUnfit", message=str(self._unfit))
            kept.append(unreachable(account, error))
        elif not self._stopped:
            with anyio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    await self._in_process.audit(account, keep, waiting=waiting)
                except SignedOutError as error:
                    signed_out = str(error)
                finally:
                    self._scopes.discard(scope)
        return Read(
            inventory=kept[0] if kept else None, signed_out=signed_out, counts=self._tally.take()
        )

    def interrupt(self) -> None:
        """Let all reading end with what it has."""
        self._stopped = True
        for scope in self._scopes:
            scope.cancel()


async def read_account(run_id: str, account: Account, waiting: int) -> Read:
    """Read one account on the worker that this runs on."""
    return await _plugin(run_id, get_worker()).read(account, waiting)


async def interrupt(run_id: str, dask_worker: Worker) -> None:
    """Let all reading of the run end, on the worker that this runs on."""
    _plugin(run_id, dask_worker).interrupt()


def _plugin(run_id: str, worker: Worker) -> ScanPlugin:
    plugin = worker.plugins[run_id]
    assert isinstance(plugin, ScanPlugin)  # noqa: S101 -- run ids name no other
    return plugin
