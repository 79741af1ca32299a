"""Dask clusters: one started on this machine for the scan, or one that there is."""

import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from auditor import __version__, fanout
from auditor.aws.tls import is_loopback
from auditor.config import ScanOptions
from auditor.engine.cluster import SAFE_PATH, Cluster
from auditor.engine.in_process import accounts_at_once
from auditor.engine.tally import Tally
from auditor.errors import AuditError

if TYPE_CHECKING:
    from distributed import Client

_CONNECT = 10
"""Seconds to reach a scheduler, at first and when the connection is lost."""
_NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Dask's pages about tasks, which anybody on this machine could read: there is no TLS for them."""
# Workers are started by `python -c`, which looks for modules in the current folder first, and have
# the operator's credentials: what lies in that folder must not run. Any text will do as value.
_SAFE_PATH = {"PYTHONSAFEPATH": SAFE_PATH}


@asynccontextmanager
async def on_cluster(
    options: ScanOptions, *, run_id: str, partition: str, tally: Tally
) -> AsyncIterator[Cluster]:
    """Give the workers of the options, each connected to AWS; raise AuditError."""
    _need_dask()
    from auditor.wiring.worker import (  # noqa: PLC0415 -- needs Dask
        ScanPlugin,
        WorkerOptions,
        interrupt,
        read_account,
    )

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(options))
        threads: dict[str, int] = await client.nthreads()
        if not threads:
            raise AuditError(
                f"the scheduler {options.scheduler} has no workers",
                hint="start some: dask worker ADDRESS --nthreads 15",
            )
        here = options.scheduler is None
        told = WorkerOptions(
            run_id=run_id,
            version=__version__,
            partition=partition,
            connection=options.connection if here else replace(options.connection, profile=None),
            transport=options.transport,
            from_report=options.from_report,
            concurrency=max(1, options.concurrency // len(threads)),
            workers=len(threads),
            started_here=here,
        )
        try:
            await client.register_plugin(ScanPlugin(told))
        except ImportError as error:
            raise AuditError(
                f"the workers of {options.scheduler} can't import iamaudit: {error}",
                hint=f"install iamaudit[cluster]=={__version__} where they run",
            ) from None
        stack.push_async_callback(_unregister, client, run_id)
        yield Cluster(
            client,
            run_id=run_id,
            task=read_account,
            interrupt=interrupt,
            at_once=sum(threads.values()),
            tally=tally,
        )


def check_workers(workers: int | None, scheduler: str | None) -> None:
    """Raise AuditError for both, for what is no address, and for one to be reached in the clear."""
    if scheduler is None:
        return
    if workers is not None:
        raise AuditError("--workers starts a cluster, --scheduler uses one", hint="leave out one")
    parts = urlsplit(scheduler)
    if parts.scheme not in {"tcp", "tls"} or not parts.hostname:
        raise AuditError(
            f"--scheduler: {scheduler!r} is no address",
            hint="write tls://HOST:8786, or tcp:// here",
        )
    if parts.scheme == "tcp" and not is_loopback(parts.hostname):
        raise AuditError(
            f"--scheduler: {scheduler} is neither encrypted nor on this machine",
            hint="use tls:// with certificates in Dask's configuration (distributed.comm.tls)",
        )


def _need_dask() -> None:
    try:
        import distributed  # noqa: F401, PLC0415 -- an extra
    except ImportError:
        raise AuditError(
            "workers need Dask, which is not installed", hint="pip install 'iamaudit[cluster]'"
        ) from None
    for name in ("distributed", "distributed.client"):  # what matters of it is told as errors
        logging.getLogger(name).setLevel(logging.CRITICAL)


@asynccontextmanager
async def _client(options: ScanOptions) -> AsyncIterator["Client"]:
    """Give a client of the scheduler, or of workers that live as long as the context."""
    import dask  # noqa: PLC0415 -- an extra
    from distributed import Client, LocalCluster  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        if options.scheduler is None:
            workers = options.workers or 1
            stack.enter_context(dask.config.set(_NO_PAGES))
            # A worker that is lost is started again with these.
            again = {f"distributed.nanny.pre-spawn-environ.{n}": v for n, v in _SAFE_PATH.items()}
            stack.enter_context(dask.config.set(again))
            with _environment(_SAFE_PATH):
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=accounts_at_once(max(1, options.concurrency // workers)),
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    security=True,  # else anybody on this machine could use the scheduler
                    asynchronous=True,
                )
                await stack.enter_async_context(cluster)
            client = Client(cluster, asynchronous=True, set_as_default=False)
        else:
            client = Client(
                options.scheduler, asynchronous=True, set_as_default=False, timeout=_CONNECT
            )
        try:
            await stack.enter_async_context(client)
        except (OSError, TypeError, RuntimeError) as error:  # Dask's for certificates that lack
            raise AuditError(
                f"the scheduler {options.scheduler} can't be reached: {error}",
                hint="start it, or look at distributed.comm.tls in Dask's configuration",
            ) from None
        try:
            yield client
        finally:
            with fanout.shielded():
                await stack.aclose()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes that are started meanwhile, where the operator did not.

    Not for longer: a `credential_process` that is a Python script may need modules beside it.
    """
    ours = [name for name in variables if not os.environ.get(name)]
    os.environ.update({name: variables[name] for name in ours})
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


async def _unregister(client: "Client", run_id: str) -> None:
    if client.status != "running":
        return  # the scheduler is gone, and with it what it knew
    with fanout.shielded():
        await client.unregister_worker_plugin(run_id)
