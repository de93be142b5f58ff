"""The command ``sat-sandbox``: writes the keys and serves the judge."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.clock import SystemClock
from sandbox.journal import FileJournal, JournalError
from sandbox.keys import KeyDirectoryError, KeyPairs
from sandbox.scenario import FaultFileError, Scenario, read_scenario
from sandbox.server import DEFAULT_HOST, SandboxService
from sandbox.tokens import DEMO_CREDENTIALS, CredentialsFileError, read_credentials
from sandbox.world import DEFAULT_SEED, World
from sat_hook.protocol.errors import MalformedKeyError

_USER_ERRORS = (
    FaultFileError,
    JournalError,
    KeyDirectoryError,
    CredentialsFileError,
    MalformedKeyError,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "keys":
            KeyPairs.generate().write(options.directory, overwrite=options.overwrite)
            print(f"keys written to {options.directory}")
            return 0
        asyncio.run(_serve(options))
    except _USER_ERRORS as error:
        print(f"sat-sandbox: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sat-sandbox", description="A local SAT server that is also the judge"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    keys = commands.add_parser("keys", help="write both key pairs into a directory")
    keys.add_argument("directory", type=Path)
    keys.add_argument("--overwrite", action="store_true", help="replace keys that are there already")
    serve = commands.add_parser(
        "serve", help="serve the API under /api, tokens at /token, the judge under /_sandbox/"
    )
    serve.add_argument("--port", type=int, required=True, help="0 picks a free one")
    serve.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="written by: sat-sandbox keys DIR"
    )
    serve.add_argument("--host", default=DEFAULT_HOST, help=f"default {DEFAULT_HOST}")
    serve.add_argument("--seed", type=int, default=DEFAULT_SEED, help="the same seed tells the same story")
    serve.add_argument("--faults", type=Path, metavar="FILE", help="YAML, see docs/sandbox.md")
    serve.add_argument("--latency-ms", type=float, default=0.0, metavar="M", help="added to every reply")
    serve.add_argument("--callback-url", metavar="URL", help="where callbacks are posted")
    serve.add_argument(
        "--credentials", type=Path, metavar="FILE", help="client_id: secret pairs, instead of demo: demo"
    )
    serve.add_argument("--journal", type=Path, metavar="FILE", help="remember everything over a restart")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    world = World(
        KeyPairs.read(options.keys),
        SystemClock(),
        seed=options.seed,
        scenario=read_scenario(options.faults) if options.faults else Scenario(),
        credentials=read_credentials(options.credentials) if options.credentials else DEMO_CREDENTIALS,
        journal=FileJournal(options.journal) if options.journal else None,
        callback_url=options.callback_url,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = SandboxService(
        world, host=options.host, port=options.port, latency_seconds=options.latency_ms / 1000
    )
    async with service:
        print(f"sat-sandbox ready at {service.url}", flush=True)
        stopped, broken = loop.create_task(stop.wait()), loop.create_task(service.wait_until_broken())
        done, pending = await asyncio.wait({stopped, broken}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if broken in done:
            broken.result()


if __name__ == "__main__":
    sys.exit(main())
