"""``python -m kvstore serve DIR``: run a server."""

import argparse
import asyncio
import random
import signal
import sys
import time

from assertlib import disk, lifecycle

from .errors import KvError
from .server import Server
from .store import Options, Store


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_serve(options))
    except KvError as error:
        print(f"kvstore: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kvstore")
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="serve the store in a directory")
    serve.add_argument("directory")
    serve.add_argument("--port", type=int, default=0, help="0 takes any free port")
    serve.add_argument("--announce", action="store_true", help="print the port when ready")
    serve.add_argument("--seed", type=int, help="make the choice of lease ids repeatable")
    serve.add_argument("--snapshot-every", type=int, default=Options().snapshot_every)
    serve.add_argument("--watch-limit", type=int, default=Options().watch_limit)
    return parser


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    store = Store.open(
        disk.RealDisk(),
        options.directory,
        clock=time.monotonic,
        options=Options(options.snapshot_every, options.watch_limit),
    )
    started: asyncio.Future[int] = loop.create_future()
    started.add_done_callback(lambda port: _ready(port.result(), options.announce))
    await Server(store, random.Random(options.seed)).run(options.port, started, stop)
    return 1 if store.has_failed else 0


def _ready(port: int, announce: bool) -> None:
    if announce:
        print(port, flush=True)
    lifecycle.setup_complete({"port": port})


if __name__ == "__main__":
    sys.exit(main())
