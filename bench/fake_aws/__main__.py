"""Serve it: print its URL, then run until killed."""

import argparse
import asyncio
import gc
import selectors
from contextlib import suppress
from datetime import datetime

from bench.fake_aws.buckets import Buckets
from bench.fake_aws.http import serve
from bench.fake_aws.service import Service
from bench.fake_aws.world import World


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fake_aws", description=__doc__)
    parser.add_argument("--accounts", type=int, default=3)
    parser.add_argument("--users", type=int, default=10, help="in each account")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="of each answer")
    parser.add_argument("--rate", type=float, help="IAM calls a second in each account")
    parser.add_argument("--burst", type=float, default=20, help="IAM calls at once, with --rate")
    parser.add_argument("--today", type=datetime.fromisoformat, help="what ages are measured from")
    parser.add_argument("--port", type=int, default=0)
    return parser.parse_args()


async def main(given: argparse.Namespace) -> None:
    world = World(accounts=given.accounts, users=given.users, today=given.today)
    service = Service(world, Buckets(rate=given.rate, burst=given.burst))
    server = await serve(service.answer, port=given.port, latency=given.latency / 1000)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    gc.freeze()
    async with server:
        await server.serve_forever()


def punctual_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose timers are not up to a millisecond late, as they are by epoll."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def run() -> None:
    given = parse()
    with asyncio.Runner(loop_factory=punctual_loop if given.latency else None) as runner:
        runner.run(main(given))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        run()
